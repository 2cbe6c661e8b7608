// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Opening, recognising and mapping files with the POSIX calls.
#include "frontends/checkpoint/RegularFile.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
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

Result<FileMapping> FileMapping::map(const RegularFile &file) {
  if (file.size() == 0)
    return FileMapping(std::span<const std::byte>());
  size_t size = static_cast<size_t>(file.size());
  void *base = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (base == MAP_FAILED)
    return tl::unexpected(file.path() + ": cannot be mapped: " + lastError());
  ::madvise(base, size, MADV_SEQUENTIAL);
  return FileMapping({static_cast<const std::byte *>(base), size});
}

FileMapping::FileMapping(FileMapping &&other) noexcept
    : mapped(std::exchange(other.mapped, std::span<const std::byte>())) {}

FileMapping::~FileMapping() {
  if (!mapped.empty())
    ::munmap(const_cast<std::byte *>(mapped.data()), mapped.size());
}

void FileMapping::release(int64_t begin, int64_t end) const {
  int64_t page = ::sysconf(_SC_PAGESIZE);
  int64_t size = static_cast<int64_t>(mapped.size());
  begin = (std::max<int64_t>(begin, 0) + page - 1) / page * page;
  // The last page may be partly past the end; it belongs to this file alone.
  end = end >= size ? size : end / page * page;
  if (begin < end)
    ::madvise(const_cast<std::byte *>(mapped.data()) + begin, static_cast<size_t>(end - begin),
              MADV_DONTNEED);
}

} // namespace grok::checkpoint
