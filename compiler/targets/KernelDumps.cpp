// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/KernelDumps.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace grok::compiler {

tl::expected<void, std::string> makeDumpFolder(const std::string &folder) {
  if (!folder.empty())
    if (std::error_code error = llvm::sys::fs::create_directories(folder))
      return tl::unexpected("dump folder " + folder + ": " + error.message());
  return {};
}

void writeDump(const std::string &folder, const std::string &name,
               llvm::function_ref<void(llvm::raw_ostream &)> print) {
  if (folder.empty())
    return;
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (!error)
    print(stream);
  stream.clear_error(); // its destructor would end the process
}

} // namespace grok::compiler
