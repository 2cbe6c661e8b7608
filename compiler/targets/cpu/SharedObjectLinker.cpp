// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/SharedObjectLinker.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <mutex>

LLD_HAS_DRIVER(elf)

namespace grok::compiler {

using namespace llvm;

namespace {

// lld reads and writes files only; they live in a folder of their own.
class TemporaryFolder {
public:
  TemporaryFolder() { error = sys::fs::createUniqueDirectory("grokc-link", folder); }
  ~TemporaryFolder() {
    if (!error) // what cannot be removed is only litter
      error = sys::fs::remove_directories(folder);
  }
  std::string file(const Twine &name) const {
    SmallString<128> path = folder;
    sys::path::append(path, name);
    return path.str().str();
  }

  SmallString<128> folder;
  std::error_code error;
};

} // namespace

static std::error_code writeFile(const std::string &path, StringRef bytes) {
  std::error_code error;
  raw_fd_ostream stream(path, error, sys::fs::OF_None);
  if (error)
    return error;
  stream << bytes;
  stream.close();
  error = stream.error();
  stream.clear_error();
  return error;
}

static tl::unexpected<std::string> failure(const std::string &what) {
  return tl::unexpected("cannot link kernels: " + what);
}

// "first message of lld" from its "ld.lld: error: first message" lines.
static std::string firstLine(StringRef log) {
  StringRef line = log.split('\n').first;
  line.consume_front("ld.lld: ");
  line.consume_front("error: ");
  return line.str();
}

static tl::expected<void, std::string> runLinker(const std::vector<std::string> &arguments) {
  // One call at a time, and none after a crash inside lld.
  static std::mutex lock;
  static bool canRun = true;
  std::lock_guard<std::mutex> guard(lock);
  if (!canRun)
    return failure("lld failed earlier in this process");
  std::vector<const char *> pointers;
  pointers.reserve(arguments.size());
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string log;
  raw_string_ostream stream(log);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  canRun = result.canRunAgain;
  if (result.retCode != 0)
    return failure(firstLine(log));
  return {};
}

tl::expected<std::vector<uint8_t>, std::string> linkSharedObject(ArrayRef<StringRef> objects) {
  TemporaryFolder folder;
  if (folder.error)
    return failure("no temporary folder: " + folder.error.message());
  std::string output = folder.file("kernels.so");
  // Symbols stay in the dynamic table, where dlsym, gdb and perf find them.
  std::vector<std::string> arguments = {"ld.lld",
                                        "-shared",
                                        "--no-undefined",
                                        "--hash-style=gnu",
                                        "--build-id=none",
                                        "--strip-all",
                                        "--threads=1",
                                        "-z",
                                        "noexecstack",
                                        "-z",
                                        "relro",
                                        "-z",
                                        "now",
                                        "-z",
                                        "max-page-size=4096",
                                        "-o",
                                        output};
  for (size_t i = 0; i < objects.size(); ++i) {
    arguments.push_back(folder.file(Twine(i) + ".o"));
    if (std::error_code error = writeFile(arguments.back(), objects[i]))
      return failure(arguments.back() + ": " + error.message());
  }
  if (auto linked = runLinker(arguments); !linked)
    return tl::unexpected(linked.error());
  auto image = MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!image)
    return failure(output + ": " + image.getError().message());
  StringRef bytes = (*image)->getBuffer();
  return std::vector<uint8_t>(bytes.bytes_begin(), bytes.bytes_end());
}

} // namespace grok::compiler
