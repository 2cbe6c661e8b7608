// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reading files whose content is not trusted.
#pragma once

#include "runtime/Result.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace grok::runtime {

/// An open file descriptor, closed with the object.
class FileHandle {
public:
  explicit FileHandle(int descriptor = -1) : descriptor(descriptor) {}
  FileHandle(FileHandle &&other) noexcept : descriptor(other.release()) {}
  FileHandle &operator=(FileHandle &&other) noexcept;
  ~FileHandle();

  int get() const { return descriptor; }
  bool isOpen() const { return descriptor >= 0; }
  int release();

private:
  int descriptor;
};

struct FileBytes {
  std::unique_ptr<std::byte[]> data;
  size_t size = 0;
  std::span<const std::byte> span() const { return {data.get(), size}; }
};

/// Opens a regular file for reading and gives its size. Pipes, devices and
/// folders are refused without blocking on them.
Result<FileHandle> openFile(const std::string &path, uint64_t &size);

/// The whole file, refused if larger than `limit`.
Result<FileBytes> readFile(const std::string &path, uint64_t limit);

} // namespace grok::runtime
