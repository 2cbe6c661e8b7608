// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Files that appear whole or not at all.
#include "compiler/artifact/OutputFile.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

using namespace grok;
using namespace grok::compiler;
namespace fs = std::filesystem;

static tl::unexpected<std::string> failure(const std::string &path, const std::string &what,
                                           int error) {
  return tl::unexpected(path + ": " + what + ": " + std::strerror(error));
}

Result<void> OutputFile::reserve(uint64_t bytes) {
  // Some file systems cannot reserve; only a full disk is an error here.
  int error = bytes ? ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)) : 0;
  if (error == ENOSPC || error == EFBIG || error == EDQUOT)
    return failure(path, "needs " + std::to_string(bytes >> 20) + " MiB of disk", error);
  return {};
}

Result<OutputFile> OutputFile::create(std::string path, uint64_t bytes) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0)
    return failure(path, "cannot create", errno);
  OutputFile file(std::move(path), fd, /*stays=*/false);
  if (auto reserved = file.reserve(bytes); !reserved)
    return tl::unexpected(reserved.error());
  return file;
}

Result<OutputFile> OutputFile::resume(std::string path, uint64_t bytes) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0)
    return failure(path, "cannot create", errno);
  OutputFile file(std::move(path), fd, /*stays=*/true);
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0)
    return failure(file.path, "cannot write", errno);
  if (auto reserved = file.reserve(bytes); !reserved)
    return tl::unexpected(reserved.error());
  return file;
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), fd(std::exchange(other.fd, -1)), stays(other.stays) {}

OutputFile::~OutputFile() {
  if (fd < 0)
    return;
  ::close(fd);
  if (!stays)
    ::unlink(path.c_str());
}

bool OutputFile::readAt(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    ssize_t count = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes = bytes.subspan(count);
    offset += count;
  }
  return true;
}

Result<void> OutputFile::writeAt(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return failure(path, "cannot write", count ? errno : EIO);
    bytes = bytes.subspan(count);
    offset += count;
  }
  return {};
}

Result<void> OutputFile::close() {
  if (::close(std::exchange(fd, -1)) == 0)
    return {};
  int error = errno;
  if (!stays)
    ::unlink(path.c_str());
  return failure(path, "cannot write", error);
}

static Result<void> writeToDevice(const std::string &path, std::span<const std::byte> bytes) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return failure(path, "cannot open", errno);
  int error = 0;
  while (!bytes.empty() && error == 0) {
    ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count >= 0)
      bytes = bytes.subspan(count);
    else if (errno != EINTR)
      error = errno;
  }
  if (::close(fd) != 0 && error == 0)
    error = errno;
  if (error)
    return failure(path, "cannot write", error);
  return {};
}

Result<void> compiler::writeWholeFile(const std::string &path, std::span<const std::byte> bytes) {
  std::error_code error;
  // A link is followed, so that it stays one.
  fs::path place = fs::is_symlink(path, error) ? fs::weakly_canonical(path, error) : fs::path(path);
  fs::file_status status = fs::status(place, error);
  if (fs::is_directory(status))
    return failure(path, "cannot write", EISDIR);
  if (fs::exists(status) && !fs::is_regular_file(status))
    return writeToDevice(path, bytes);
  std::string temporary = place.string() + ".partial-" + std::to_string(::getpid());
  auto file = OutputFile::create(temporary, 0);
  if (!file)
    return tl::unexpected(file.error());
  if (auto written = file->writeAt(0, bytes); !written)
    return written;
  if (auto closed = file->close(); !closed)
    return closed;
  fs::rename(temporary, place, error);
  if (!error)
    return {};
  fs::remove(temporary);
  return tl::unexpected(path + ": cannot write: " + error.message());
}
