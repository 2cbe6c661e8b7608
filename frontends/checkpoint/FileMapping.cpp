// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// mmap, and the table that the signal handler looks addresses up in.
#include "frontends/checkpoint/FileMapping.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <sys/mman.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace grok::checkpoint {

/// One mapping, as the handler sees it. Free while `end` is null.
struct FileMapping::Guard {
  std::atomic<std::byte *> begin = nullptr;
  std::atomic<std::byte *> end = nullptr;
  std::atomic<bool> torn = false;
  std::atomic<bool> used = false;

  // A signal handler can reach nothing but globals. More tensors than a model
  // has are never mapped at once.
  static std::array<Guard, 4096> all;
  static struct sigaction previousAction;
  static uintptr_t pageBytes;
};

std::array<FileMapping::Guard, 4096> FileMapping::Guard::all;
struct sigaction FileMapping::Guard::previousAction;
uintptr_t FileMapping::Guard::pageBytes;

/// Only calls that are safe in a signal handler: mmap is a bare system call.
void FileMapping::handleBusError(int signal, siginfo_t *info, void *) {
  const int savedError = errno;
  std::byte *address = static_cast<std::byte *>(info->si_addr);
  for (Guard &guard : Guard::all) {
    const std::byte *end = guard.end.load();
    if (info->si_code <= 0 || address < guard.begin.load() || address >= end)
      continue;
    // If this page is gone, so is the rest: zeros from here on.
    std::byte *page = address - reinterpret_cast<uintptr_t>(address) % Guard::pageBytes;
    if (::mmap(page, static_cast<size_t>(end - page), PROT_READ,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
      break;
    guard.torn.store(true);
    errno = savedError;
    return;
  }
  // Not ours: the next attempt of the same instruction meets the old action.
  ::sigaction(signal, &Guard::previousAction, nullptr);
  if (info->si_code <= 0)
    ::raise(signal);
  errno = savedError;
}

void FileMapping::installHandler() {
  static std::once_flag installed;
  std::call_once(installed, [] {
    Guard::pageBytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = handleBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigaction(SIGBUS, &action, &Guard::previousAction);
  });
}

Result<FileMapping> FileMapping::map(const RegularFile &file) {
  if (file.size() == 0)
    return FileMapping({}, nullptr);
  installHandler();
  const size_t size = static_cast<size_t>(file.size());
  void *base = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (base == MAP_FAILED)
    return tl::unexpected(file.path() +
                          ": cannot be mapped: " + std::generic_category().message(errno));
  ::madvise(base, size, MADV_SEQUENTIAL);
  for (Guard &guard : Guard::all) {
    if (guard.used.exchange(true))
      continue;
    guard.torn.store(false);
    std::byte *begin = static_cast<std::byte *>(base);
    guard.begin.store(begin);
    guard.end.store(begin + size);
    return FileMapping({begin, size}, &guard);
  }
  ::munmap(base, size);
  return tl::unexpected(file.path() + ": cannot be mapped: too many files are mapped already");
}

FileMapping::FileMapping(FileMapping &&other) noexcept
    : mapped(std::exchange(other.mapped, std::span<const std::byte>())),
      guard(std::exchange(other.guard, nullptr)) {}

FileMapping::~FileMapping() {
  if (!guard)
    return;
  guard->end.store(nullptr);
  guard->used.store(false);
  ::munmap(const_cast<std::byte *>(mapped.data()), mapped.size());
}

bool FileMapping::isTorn() const { return guard && guard->torn.load(); }

void FileMapping::release(int64_t begin, int64_t end) const {
  if (!guard)
    return;
  const int64_t page = static_cast<int64_t>(Guard::pageBytes);
  const int64_t size = static_cast<int64_t>(mapped.size());
  begin = (std::max<int64_t>(begin, 0) + page - 1) / page * page;
  // The last page may be partly past the end; it belongs to this file alone.
  end = end >= size ? size : end / page * page;
  if (begin < end)
    ::madvise(const_cast<std::byte *>(mapped.data()) + begin, static_cast<size_t>(end - begin),
              MADV_DONTNEED);
}

} // namespace grok::checkpoint
