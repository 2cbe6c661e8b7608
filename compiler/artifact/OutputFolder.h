// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folders that appear whole or not at all.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::compiler {

template <typename T> using Result = checkpoint::Result<T>;

/// A folder being written beside its final place. `commit` renames it there,
/// replacing an older artifact; without it the folder is removed, unless it is
/// kept for the next run.
///
/// The folder's name is made from the target's name and `identity`, which stands
/// for all that its content depends on. So a run finds what an identical run left
/// when it was killed. What other runs left is removed: a lock tells the living
/// from the dead.
class OutputFolder {
public:
  /// Fails if `target` exists and is not an artifact or an empty folder. An
  /// empty `identity` always starts anew.
  static Result<OutputFolder> create(const std::string &target, std::string_view identity = {});
  OutputFolder(OutputFolder &&other) noexcept;
  OutputFolder &operator=(OutputFolder &&) = delete;
  ~OutputFolder();

  const std::string &path() const { return temporary; }
  /// Leaves the folder for an identical run to go on with.
  void keep();
  Result<void> commit();

private:
  OutputFolder(std::string target, std::string temporary, int lock)
      : target(std::move(target)), temporary(std::move(temporary)), lock(lock) {}

  std::string target, temporary;
  int lock; // descriptor of the folder, locked; -1 = none
};

} // namespace grok::compiler
