// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/output/PendingFile.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace grok::runtime {

/// The folder that holds `path`.
static std::string folderOf(const std::string &path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A free name beside `path`.
static std::string temporaryName(const std::string &path) {
  return path + ".partial." + std::to_string(getpid());
}

Result<PendingFile> PendingFile::create(const std::string &path) {
  if (path.empty() || path.ends_with('/'))
    return fail("'", path, "', not a file name, name a file to write to");
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return fail(path, ", not a regular file, give another name to write to");
  int descriptor = open(folderOf(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (descriptor >= 0)
    return PendingFile(descriptor, path, "");
  // Some file systems (NFS, old overlayfs) know no nameless files.
  const std::string temporary = temporaryName(path);
  descriptor = open(temporary.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return fail(path, ", cannot be written: ", std::strerror(errno));
  return PendingFile(descriptor, path, temporary);
}

PendingFile::PendingFile(PendingFile &&other) noexcept
    : descriptor(std::exchange(other.descriptor, -1)), path(std::move(other.path)),
      temporary(std::exchange(other.temporary, "")), size(other.size) {}

PendingFile::~PendingFile() {
  if (descriptor >= 0)
    close(descriptor);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

Result<void> PendingFile::failure(const char *action) const {
  return fail(path, ", cannot be ", action, ": ", std::strerror(errno));
}

Result<void> PendingFile::append(std::span<const std::byte> bytes) {
  Result<void> written = writeAt(size, bytes);
  size += written ? bytes.size() : 0;
  return written;
}

Result<void> PendingFile::writeAt(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return failure("written");
    offset += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
  return {};
}

Result<void> PendingFile::commit() {
  if (temporary.empty()) {
    // linkat cannot replace a file, rename can: go by way of a second name.
    const std::string link = temporaryName(path);
    const std::string source = "/proc/self/fd/" + std::to_string(descriptor);
    if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, link.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return failure("named");
    temporary = link;
  }
  // Some file systems report a full disk only here.
  if (close(std::exchange(descriptor, -1)) != 0)
    return failure("written");
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return failure("named");
  temporary.clear();
  return {};
}

Result<void> writeFile(const std::string &path, std::string_view content) {
  return PendingFile::create(path).and_then([&](PendingFile file) {
    return file.append(content).and_then([&] { return file.commit(); });
  });
}

} // namespace grok::runtime
