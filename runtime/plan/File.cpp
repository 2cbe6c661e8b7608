// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/plan/File.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace grok::runtime {

FileHandle &FileHandle::operator=(FileHandle &&other) noexcept {
  if (this != &other) {
    if (isOpen())
      close(descriptor);
    descriptor = other.release();
  }
  return *this;
}

FileHandle::~FileHandle() {
  if (isOpen())
    close(descriptor);
}

int FileHandle::release() { return std::exchange(descriptor, -1); }

Result<FileHandle> openFile(const std::string &path, uint64_t &size) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  FileHandle file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.isOpen())
    return fail(path, ": cannot open: ", std::strerror(errno));
  struct stat status;
  if (fstat(file.get(), &status) != 0)
    return fail(path, ": cannot read its size: ", std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    return fail(path, ": not a regular file");
  size = static_cast<uint64_t>(status.st_size);
  return file;
}

Result<FileBytes> readFile(const std::string &path, uint64_t limit) {
  uint64_t size = 0;
  auto file = openFile(path, size);
  if (!file)
    return fail(file.error());
  if (size > limit)
    return fail(path, ": ", size, " bytes, expected at most ", limit);
  FileBytes bytes;
  bytes.size = size;
  bytes.data.reset(new (std::nothrow) std::byte[size]);
  if (!bytes.data)
    return fail(path, ": no memory for ", size, " bytes");
  for (size_t done = 0; done < bytes.size;) {
    ssize_t count = read(file->get(), bytes.data.get() + done, bytes.size - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fail(path, ": cannot read: ", std::strerror(errno));
    if (count == 0)
      return fail(path, ": became shorter while it was read");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

} // namespace grok::runtime
