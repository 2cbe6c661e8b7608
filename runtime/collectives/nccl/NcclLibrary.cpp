// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/nccl/NcclLibrary.h"
#include "runtime/device/SharedLibrary.h"
#include <cstdlib>
#include <vector>

namespace grok::runtime::nccl {

static constexpr int oldestVersion = 21700;

static Result<Functions> findAll(const SharedLibrary &library) {
  Functions functions;
  Result<void> found;
  const auto find = [&](const char *name, auto &function) {
    if (found)
      found = library.find(name, function);
  };
  find("ncclGetVersion", functions.getVersion);
  find("ncclGetUniqueId", functions.getUniqueId);
  find("ncclCommInitRankConfig", functions.initRank);
  find("ncclCommGetAsyncError", functions.getAsyncError);
  find("ncclGroupStart", functions.groupStart);
  find("ncclGroupEnd", functions.groupEnd);
  find("ncclSend", functions.send);
  find("ncclRecv", functions.receive);
  find("ncclAllGather", functions.allGather);
  find("ncclCommAbort", functions.abort);
  find("ncclCommFinalize", functions.finalize);
  find("ncclCommDestroy", functions.destroy);
  find("ncclGetErrorString", functions.errorText);
  find("ncclGetLastError", functions.lastError);
  if (!found)
    return fail(found.error());
  return functions;
}

static const char *chosenLibrary() { return std::getenv("GROK_NCCL_LIBRARY"); }

bool isAskedFor() { return chosenLibrary() && *chosenLibrary() != '\0'; }

Result<Functions> open() {
  const char *chosen = chosenLibrary();
  if (chosen && !isAskedFor())
    return fail("NCCL cannot be used: GROK_NCCL_LIBRARY is set to nothing");
  const std::vector<std::string> paths = {chosen ? chosen : "libnccl.so.2"};
  auto library = SharedLibrary::open(paths);
  if (!library)
    return fail("NCCL cannot be used: ", library.error());
  auto functions = findAll(*library);
  if (!functions)
    return fail("NCCL cannot be used: ", functions.error());
  int version = 0;
  if (functions->getVersion(&version) != success || version < oldestVersion)
    return fail("NCCL cannot be used: version ", version, ", expected ", oldestVersion,
                " or later");
  return functions;
}

} // namespace grok::runtime::nccl
