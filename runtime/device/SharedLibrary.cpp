// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/SharedLibrary.h"
#include <cstdlib>
#include <dlfcn.h>
#include <string>
#include <vector>

namespace grok::runtime {

static std::string lastError() {
  const char *error = dlerror();
  return error ? error : "unknown error";
}

Result<SharedLibrary> SharedLibrary::open(std::span<const std::string> paths) {
  std::string firstError;
  for (const std::string &path : paths) {
    SharedLibrary library;
    library.path = path;
    library.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library.handle)
      return library;
    // A file that is there but cannot be used says more than one that is not.
    const std::string error = lastError();
    const bool missing = error.find(path + ": cannot open shared object file") == 0;
    if (firstError.empty() || !missing)
      firstError = error;
  }
  return fail(firstError);
}

/// `path` beside the file that holds this code.
static std::string besideThisCode(const std::string &path) {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void *>(&besideThisCode), &info) || !info.dli_fname)
    return path;
  const std::string file = info.dli_fname;
  const size_t folder = file.rfind('/');
  return folder == std::string::npos ? path : file.substr(0, folder + 1) + path;
}

Result<SharedLibrary> SharedLibrary::openOurs(const char *variable, const std::string &name) {
  if (const char *chosen = std::getenv(variable))
    return open(std::vector<std::string>{chosen});
  return open(
      std::vector<std::string>{besideThisCode(name), besideThisCode("../lib/" + name), name});
}

Result<void *> SharedLibrary::symbol(const char *name) const {
  dlerror();
  void *found = dlsym(handle, name);
  if (!found)
    return fail(path, " has no ", name, ": ", lastError());
  return found;
}

} // namespace grok::runtime
