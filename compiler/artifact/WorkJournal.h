// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which tensors of a weight file are finished, for a run that goes on where an
// identical one was interrupted.
#pragma once

#include "compiler/artifact/TensorPacker.h"

#include <map>

namespace grok::compiler {

/// Stands for all that the bytes of a weight file depend on: the tensors'
/// layouts, the files they come from, the encoder and this compiler. `origin`
/// names weights that are in no file ("random:7").
std::string identityOf(std::span<const PackedTensor> tensors, const PackingSource &source,
                       std::string_view origin);

/// A text file in the folder being written, a line per finished tensor: digest and name.
/// It belongs to the folder, whose name tells one piece of work from another.
class WorkJournal {
public:
  /// Reads what an earlier run finished; a line that was cut short is dropped.
  static Result<WorkJournal> open(const std::string &directory);
  WorkJournal(WorkJournal &&other) noexcept;
  WorkJournal &operator=(WorkJournal &&) = delete;
  ~WorkJournal();

  /// The digest under which `tensor` was finished. Its bytes may still be
  /// damaged: nothing forces them to the disk before this line.
  std::optional<runtime::Digest> find(std::string_view tensor) const;
  Result<void> add(std::string_view tensor, const runtime::Digest &digest);
  /// Deletes the file: everything is finished.
  Result<void> finish();

private:
  WorkJournal(std::string path, int fd) : path(std::move(path)), fd(fd) {}
  Result<void> readLines();

  std::string path;
  int fd;
  std::map<std::string, runtime::Digest, std::less<>> finished;
};

} // namespace grok::compiler
