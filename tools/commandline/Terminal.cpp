// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/commandline/Terminal.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace grok::tools {
using runtime::fail;
using runtime::Result;

void refuseBrokenPipes() { std::signal(SIGPIPE, SIG_IGN); }

Result<void> writeOut(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = write(STDOUT_FILENO, text.data(), text.size());
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0 && errno == EPIPE)
      return fail("standard output, its reader has gone, the rest is lost");
    if (done < 0)
      return fail("standard output, cannot be written: ", std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(done));
  }
  return {};
}

ProgressLine::ProgressLine(std::string tool)
    : tool(std::move(tool)), isTerminal(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(std::string_view what, int64_t done, int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!isTerminal || (isShown && done < total && now - lastShown < std::chrono::milliseconds(100)))
    return;
  lastShown = now;
  isShown = true;
  std::fprintf(stderr, "\r\033[K%s: %.*s %lld/%lld", tool.c_str(), static_cast<int>(what.size()),
               what.data(), static_cast<long long>(done), static_cast<long long>(total));
}

void ProgressLine::clear() {
  if (isShown)
    std::fputs("\r\033[K", stderr);
  isShown = false;
}

} // namespace grok::tools
