// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Output files that appear under their name only when they are complete.
#pragma once

#include "runtime/Result.h"
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace grok::runtime {

/// A file being written. Its bytes have no name until `commit` (where the file
/// system allows, else a temporary one), so an error or a kill leaves nothing
/// half-written behind.
class PendingFile {
public:
  /// `path` may name a regular file, which `commit` replaces, or nothing yet.
  static Result<PendingFile> create(const std::string &path);

  PendingFile(PendingFile &&other) noexcept;
  PendingFile &operator=(PendingFile &&) = delete;
  /// Discards what was not committed.
  ~PendingFile();

  Result<void> append(std::span<const std::byte> bytes);
  Result<void> append(std::string_view text) { return append(std::as_bytes(std::span(text))); }
  /// Overwrites bytes that are already written.
  Result<void> writeAt(uint64_t offset, std::span<const std::byte> bytes);
  /// Gives the file its name, with the permissions of a new file.
  Result<void> commit();

private:
  PendingFile(int descriptor, std::string path, std::string temporary)
      : descriptor(descriptor), path(std::move(path)), temporary(std::move(temporary)) {}
  Result<void> failure(const char *action) const;

  int descriptor;
  std::string path;
  std::string temporary; // name of the bytes so far; empty = none
  uint64_t size = 0;
};

/// Writes a whole file at once.
Result<void> writeFile(const std::string &path, std::string_view content);

} // namespace grok::runtime
