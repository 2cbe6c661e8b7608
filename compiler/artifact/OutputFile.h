// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Files and folders that appear whole or not at all.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::compiler {

template <typename T> using Result = checkpoint::Result<T>;

/// A file being written; removed again unless `close` succeeded.
class OutputFile {
public:
  /// Reserves `bytes` on the disk, so that a full disk is noticed before work.
  static Result<OutputFile> create(std::string path, uint64_t bytes);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  Result<void> writeAt(uint64_t offset, std::span<const std::byte> bytes);
  Result<void> close();

private:
  OutputFile(std::string path, int fd) : path(std::move(path)), fd(fd) {}
  std::string path;
  int fd;
};

/// Writes a whole file: a regular one (or a new one) by a temporary name and a
/// rename; a device or pipe, such as /dev/null, directly.
Result<void> writeWholeFile(const std::string &path, std::span<const std::byte> bytes);

/// A folder being written beside its final place. `commit` renames it there,
/// replacing an older artifact; without it the folder is removed.
class OutputFolder {
public:
  /// Fails if `target` exists and is not an artifact or an empty folder.
  static Result<OutputFolder> create(const std::string &target);
  OutputFolder(OutputFolder &&other) noexcept;
  OutputFolder &operator=(OutputFolder &&) = delete;
  ~OutputFolder();

  const std::string &path() const { return temporary; }
  Result<void> commit();

private:
  OutputFolder(std::string target, std::string temporary)
      : target(std::move(target)), temporary(std::move(temporary)) {}
  std::string target, temporary;
};

} // namespace grok::compiler
