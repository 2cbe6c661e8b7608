// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/Ptxas.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>

namespace grok::compiler {

using namespace llvm;

// A file that goes when the object does.
class TemporaryFile {
public:
  explicit TemporaryFile(StringRef suffix) {
    error = sys::fs::createTemporaryFile("grokc", suffix, path);
    remover.setFile(path, /*deleteIt=*/!error);
  }
  std::error_code error;
  SmallString<128> path;

private:
  FileRemover remover;
};

static std::string readWhole(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

// Standard output and error together, and the exit status.
static std::pair<int, std::string> runProgram(StringRef program, ArrayRef<StringRef> arguments) {
  TemporaryFile output("txt");
  if (output.error)
    return {-1, "no temporary file: " + output.error.message()};
  std::optional<StringRef> redirects[] = {StringRef(), output.path.str(), output.path.str()};
  std::string message;
  int status = sys::ExecuteAndWait(program, arguments, std::nullopt, redirects,
                                   /*SecondsToWait=*/300, /*MemoryLimit=*/0, &message);
  return {status, message + readWhole(output.path)};
}

static ErrorOr<std::string> findTool(StringRef name) {
  if (std::optional<std::string> home = sys::Process::GetEnv("CUDA_HOME"))
    if (auto found = sys::findProgramByName(name, {*home + "/bin"}))
      return found;
  return sys::findProgramByName(name);
}

std::optional<Ptxas> Ptxas::find() {
  ErrorOr<std::string> found = findTool("ptxas");
  if (!found)
    return std::nullopt;
  auto [status, text] = runProgram(*found, {*found, "--version"});
  if (status != 0)
    return std::nullopt;
  Ptxas result;
  result.program = *found;
  SmallVector<StringRef> groups;
  result.versionText = Regex("release [0-9.]+, V([0-9.]+)").match(text, &groups)
                           ? groups[1].str()
                           : StringRef(text).trim().str();
  return result;
}

// The largest: functions that the kernel calls have lines of their own.
static int64_t numberBefore(StringRef text, StringRef unit) {
  SmallVector<StringRef> groups;
  const Regex pattern(("([0-9]+) " + unit).str());
  int64_t most = 0;
  while (pattern.match(text, &groups)) {
    int64_t value = 0;
    groups[1].getAsInteger(10, value);
    most = std::max(most, value);
    text = text.substr(static_cast<size_t>(groups[0].end() - text.begin()));
  }
  return most;
}

PtxasReport parsePtxasReport(const std::string &text) {
  PtxasReport report;
  report.text = text;
  report.registers = numberBefore(text, "registers");
  report.spillBytes =
      numberBefore(text, "bytes spill stores") + numberBefore(text, "bytes spill loads");
  report.stackBytes = numberBefore(text, "bytes stack frame");
  report.staticShared = numberBefore(text, "bytes smem");
  return report;
}

tl::expected<Cubin, std::string> Ptxas::assemble(const std::string &ptx,
                                                 const NvidiaChip &chip) const {
  TemporaryFile input("ptx"), output("cubin");
  if (input.error || output.error)
    return tl::unexpected("no temporary file for ptxas: " +
                          (input.error ? input.error : output.error).message());
  std::error_code error;
  raw_fd_ostream stream(input.path, error);
  stream << ptx;
  stream.close();
  if (error || stream.has_error()) {
    stream.clear_error();
    return tl::unexpected("cannot write " + input.path.str().str() + " for ptxas");
  }
  std::string arch = "-arch=" + chip.name;
  auto [status, text] =
      runProgram(program, {program, "-v", arch, input.path.str(), "-o", output.path.str()});
  if (status != 0) {
    StringRef first = StringRef(text).trim().split('\n').first;
    return tl::unexpected("ptxas: " + (first.empty() ? "failed" : first).str());
  }
  std::string image = readWhole(output.path);
  return Cubin{{image.begin(), image.end()}, parsePtxasReport(text)};
}

std::optional<std::string> disassemble(const std::vector<uint8_t> &cubin) {
  ErrorOr<std::string> program = findTool("nvdisasm");
  TemporaryFile input("cubin");
  if (!program || input.error)
    return std::nullopt;
  std::error_code error;
  raw_fd_ostream stream(input.path, error);
  stream.write(reinterpret_cast<const char *>(cubin.data()), cubin.size());
  stream.close();
  stream.clear_error(); // then nvdisasm fails
  auto [status, text] = runProgram(*program, {*program, "-c", input.path.str()});
  return status == 0 ? std::optional(text) : std::nullopt;
}

} // namespace grok::compiler
