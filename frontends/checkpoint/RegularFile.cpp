// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Opening and recognising files with the POSIX calls.
#include "frontends/checkpoint/RegularFile.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace grok::checkpoint {

static std::string lastError() { return std::generic_category().message(errno); }

static FileIdentity identityOf(const struct stat &status) {
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino),
          static_cast<int64_t>(status.st_size), static_cast<int64_t>(status.st_mtim.tv_sec),
          static_cast<int64_t>(status.st_mtim.tv_nsec)};
}

static std::string_view kindOf(mode_t mode) {
  if (S_ISDIR(mode))
    return "a folder";
  if (S_ISFIFO(mode))
    return "a FIFO";
  return "a device or socket";
}

Result<RegularFile> RegularFile::open(const std::string &path) {
  // O_NONBLOCK: opening a FIFO that nobody writes would wait for ever.
  RegularFile file(path, ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.fd < 0) {
    int error = errno;
    struct stat link;
    bool dangling = error == ENOENT && ::lstat(path.c_str(), &link) == 0;
    return tl::unexpected(
        path + ": cannot be opened: " +
        (dangling ? "it is a symbolic link to nothing" : std::generic_category().message(error)));
  }
  struct stat status;
  if (::fstat(file.fd, &status) != 0)
    return tl::unexpected(path + ": cannot be examined: " + lastError());
  if (!S_ISREG(status.st_mode))
    return tl::unexpected(path + ": is " + std::string(kindOf(status.st_mode)) +
                          ", not a regular file");
  file.opened = identityOf(status);
  return file;
}

RegularFile::RegularFile(RegularFile &&other) noexcept
    : name(std::move(other.name)), fd(std::exchange(other.fd, -1)), opened(other.opened) {}

RegularFile &RegularFile::operator=(RegularFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(fd, other.fd);
  std::swap(opened, other.opened);
  return *this;
}

RegularFile::~RegularFile() {
  if (fd >= 0)
    ::close(fd);
}

bool RegularFile::readAt(int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    ssize_t count = ::pread(fd, out.data(), out.size(), offset);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    out = out.subspan(static_cast<size_t>(count));
    offset += count;
  }
  return true;
}

Result<void> RegularFile::checkUnchanged(const FileIdentity &identity) const {
  struct stat status;
  if (::fstat(fd, &status) != 0)
    return tl::unexpected(name + ": cannot be examined: " + lastError());
  FileIdentity now = identityOf(status);
  if (now == identity)
    return {};
  if (now.size != identity.size)
    return tl::unexpected(name + ": changed from " + std::to_string(identity.size) + " to " +
                          std::to_string(now.size) +
                          " bytes while in use; run again when nobody writes it");
  return tl::unexpected(name + ": was written or replaced while in use; run again when nobody "
                               "writes it");
}

} // namespace grok::checkpoint
