// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/runtime/collectives/ForkedRanks.h"
#include "runtime/collectives/SocketTransport.h"
#include <cstdlib>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace grok::runtime {

using Row = std::vector<int>;

// [rank][peer]: a connected socket.
static std::vector<Row> connectAll(int ranks) {
  const auto count = static_cast<size_t>(ranks);
  std::vector<Row> sockets(count, Row(count, -1));
  for (size_t low = 0; low < count; ++low)
    for (size_t high = low + 1; high < count; ++high) {
      int pair[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        std::abort();
      sockets[low][high] = pair[0];
      sockets[high][low] = pair[1];
    }
  return sockets;
}

static void closeAll(const Row &sockets) {
  for (const int socket : sockets)
    if (socket >= 0)
      close(socket);
}

[[noreturn]] static void runChild(size_t rank, const std::vector<Row> &sockets, bool sharedMemory,
                                  const std::function<Result<void>(Communicator &)> &body,
                                  int report) {
  for (size_t other = 0; other < sockets.size(); ++other)
    if (other != rank)
      closeAll(sockets[other]);
  std::string error;
  {
    const int ranks = static_cast<int>(sockets.size());
    const std::vector<std::string> hosts(sockets.size(), "test");
    ProcessCommunicator communicator(makeSocketTransport(sockets[rank]),
                                     {static_cast<int>(rank), hosts, ranks, sharedMemory});
    if (auto done = body(communicator); !done)
      error = done.error();
  }
  const ssize_t written = write(report, error.data(), error.size());
  _exit(written == static_cast<ssize_t>(error.size()) ? 0 : 9);
}

static std::string reportOf(pid_t child, int report) {
  std::string text(4096, '\0');
  size_t length = 0;
  for (ssize_t got = 0; (got = read(report, text.data() + length, text.size() - length)) > 0;)
    length += static_cast<size_t>(got);
  text.resize(length);
  close(report);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    text += "signal " + std::to_string(WTERMSIG(status));
  return text;
}

std::vector<std::string> onForkedRanks(int ranks, bool sharedMemory,
                                       const std::function<Result<void>(Communicator &)> &body) {
  const std::vector<Row> sockets = connectAll(ranks);
  std::vector<std::pair<pid_t, int>> children;
  for (size_t rank = 0; rank < sockets.size(); ++rank) {
    int report[2];
    if (pipe(report) != 0)
      std::abort();
    const pid_t child = fork();
    if (child == 0)
      runChild(rank, sockets, sharedMemory, body, report[1]);
    close(report[1]);
    children.emplace_back(child, report[0]);
  }
  for (const Row &row : sockets)
    closeAll(row);
  std::vector<std::string> errors;
  errors.reserve(children.size());
  for (const auto &[child, report] : children)
    errors.push_back(reportOf(child, report));
  return errors;
}

} // namespace grok::runtime
