// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/ProcessIdentity.h"
#include "runtime/collectives/HostInfo.h"
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

namespace grok::runtime {

// Clock ticks from boot to the start of a process: field 22 of its stat, the
// 20th behind its name, which may hold anything. 0 if there is no such process.
static uint64_t startTimeOf(int64_t pid) {
  std::string stat;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), stat);
  const size_t name = stat.rfind(')');
  if (name == std::string::npos)
    return 0;
  std::istringstream fields(stat.substr(name + 1));
  std::string field;
  for (int i = 0; i < 19; ++i)
    fields >> field;
  uint64_t ticks = 0;
  fields >> ticks;
  return ticks;
}

ProcessIdentity ProcessIdentity::ofThis() {
  ProcessIdentity identity = {};
  grok::runtime::bootId().copy(identity.bootId.data(), identity.bootId.size() - 1);
  const ssize_t length =
      readlink("/proc/self/ns/pid", identity.pidNamespace.data(), identity.pidNamespace.size() - 1);
  if (length < 0)
    identity.pidNamespace = {};
  identity.pid = getpid();
  identity.startTime = startTimeOf(identity.pid);
  return identity;
}

bool onOneHost(const ProcessIdentity &first, const ProcessIdentity &second) {
  return first.bootId[0] != 0 && first.bootId == second.bootId;
}

// The descriptor is opened first: it stays this process's even if the number is
// given to another one between our look and the signal.
void endProcess(const ProcessIdentity &process) {
  const ProcessIdentity own = ProcessIdentity::ofThis();
  if (!onOneHost(own, process) || own.pidNamespace[0] == 0 ||
      own.pidNamespace != process.pidNamespace || process.pid == own.pid)
    return;
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  if (descriptor < 0)
    return;
  if (startTimeOf(process.pid) == process.startTime)
    syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, nullptr, 0);
  close(descriptor);
}

} // namespace grok::runtime
