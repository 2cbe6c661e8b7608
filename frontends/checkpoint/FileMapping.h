// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Files as memory, without the SIGBUS that a mapped file raises when somebody
// cuts it short or its disk fails.
#pragma once

#include "frontends/checkpoint/RegularFile.h"

#include <csignal>

namespace grok::checkpoint {

/// A whole file, read-only, in memory that the kernel fills when it is touched.
/// What can no longer be read appears as zeros, and `isTorn` then tells.
///
/// The first mapping installs a handler for SIGBUS, which passes on whatever
/// does not concern a mapping.
class FileMapping {
public:
  static Result<FileMapping> map(const RegularFile &file);
  FileMapping(FileMapping &&other) noexcept;
  FileMapping &operator=(FileMapping &&) = delete;
  ~FileMapping();

  std::span<const std::byte> bytes() const { return mapped; }
  bool isTorn() const;
  /// Drops the whole pages in [begin, end) from memory; they can be read again.
  void release(int64_t begin, int64_t end) const;

private:
  struct Guard;

  FileMapping(std::span<const std::byte> bytes, Guard *guard) : mapped(bytes), guard(guard) {}
  static void handleBusError(int signal, siginfo_t *info, void *context);
  static void installHandler();

  std::span<const std::byte> mapped;
  Guard *guard = nullptr; // null for an empty file
};

} // namespace grok::checkpoint
