// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Files that appear whole or not at all.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::compiler {

template <typename T> using Result = checkpoint::Result<T>;

/// A file being written; removed again unless `close` succeeded or it is to be
/// gone on with.
class OutputFile {
public:
  /// Reserves `bytes` on the disk, so that a full disk is noticed before work.
  static Result<OutputFile> create(std::string path, uint64_t bytes);
  /// Goes on with the file of an interrupted run, or creates it. What is written
  /// stays, whether or not `close` is reached.
  static Result<OutputFile> resume(std::string path, uint64_t bytes);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  Result<void> writeAt(uint64_t offset, std::span<const std::byte> bytes);
  /// Bytes written before, by this run or an earlier one; false if not there.
  bool readAt(uint64_t offset, std::span<std::byte> bytes) const;
  Result<void> close();

private:
  OutputFile(std::string path, int fd, bool stays) : path(std::move(path)), fd(fd), stays(stays) {}
  Result<void> reserve(uint64_t bytes);

  std::string path;
  int fd;
  bool stays; // also if `close` is not reached
};

/// Writes a whole file: a regular one (or a new one) by a temporary name and a
/// rename; a device or pipe, such as /dev/null, directly.
Result<void> writeWholeFile(const std::string &path, std::span<const std::byte> bytes);

} // namespace grok::compiler
