// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Files opened with suspicion: regular ones only, and recognised again, so that
// a FIFO cannot hang us and a file changed under us is noticed.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::checkpoint {

/// What stays the same while nobody writes or replaces a file.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modifiedSeconds = 0;
  int64_t modifiedNanoseconds = 0;

  bool operator==(const FileIdentity &) const = default;
};

/// A regular file, or a link to one, open for reading. Closed on destruction.
class RegularFile {
public:
  static Result<RegularFile> open(const std::string &path);
  RegularFile(RegularFile &&other) noexcept;
  RegularFile &operator=(RegularFile &&other) noexcept;
  ~RegularFile();

  const std::string &path() const { return name; }
  /// As found when it was opened.
  const FileIdentity &identity() const { return opened; }
  int64_t size() const { return opened.size; }
  /// Fills `out` from `offset`; false if the file is shorter now or unreadable.
  bool readAt(int64_t offset, std::span<std::byte> out) const;
  /// Fails if the open file no longer has `identity`.
  Result<void> checkUnchanged(const FileIdentity &identity) const;
  int descriptor() const { return fd; }

private:
  RegularFile(std::string path, int descriptor) : name(std::move(path)), fd(descriptor) {}

  std::string name;
  int fd = -1;
  FileIdentity opened;
};

} // namespace grok::checkpoint
