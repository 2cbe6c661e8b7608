// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/cpu/CodeLibrary.h"
#include "runtime/plan/Sha256.h"
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <span>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

// Linux 6.3; older headers lack it, older kernels refuse it.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace grok::runtime {

static std::string missingFeatures(const plan::CodeBlob &blob, const CpuFeatures &features) {
  std::string missing;
  for (uint32_t i = 0; blob.features() && i < blob.features()->size(); ++i)
    if (!features.has(blob.features()->Get(i)->string_view()))
      missing += (missing.empty() ? "" : " ") + blob.features()->Get(i)->str();
  return missing;
}

static uint32_t numFeatures(const plan::CodeBlob &blob) {
  return blob.features() ? blob.features()->size() : 0;
}

Result<const plan::CodeBlob *> selectCode(const plan::Plan &plan, const CpuFeatures &features,
                                          std::string_view level) {
  const plan::CodeBlob *best = nullptr;
  std::string reasons;
  for (const plan::CodeBlob *blob : *plan.code()) {
    if (blob->target()->string_view() != "cpu" ||
        (!level.empty() && blob->level()->string_view() != level))
      continue;
    std::string missing = missingFeatures(*blob, features);
    if (!missing.empty())
      reasons += "; " + blob->level()->str() + " needs " + missing;
    else if (!best || numFeatures(*blob) >= numFeatures(*best))
      best = blob;
  }
  if (best)
    return best;
  if (!level.empty() && reasons.empty())
    return fail("the plan has no code of level '", level, "'");
  return fail("the plan has no code for this CPU", reasons, "; compile it for this CPU's level");
}

static bool writeAll(int descriptor, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return true;
}

static std::string loaderError() {
  const char *message = dlerror();
  return message ? message : "unknown loader error";
}

Result<CodeLibrary> CodeLibrary::loadSealed(std::span<const uint8_t> image) {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  FileHandle file(memfd_create("grok-kernels", flags | MFD_EXEC));
  if (!file.isOpen() && errno == EINVAL)
    file = FileHandle(memfd_create("grok-kernels", flags));
  if (!file.isOpen() || !writeAll(file.get(), image) ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail("sealed memory: ", std::strerror(errno));
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return fail(loaderError());
  return CodeLibrary(handle, std::move(file));
}

// A folder that only this user may enter; the file is gone from it as soon as
// it is mapped.
static Result<void *> loadThrough(const std::string &parent, std::span<const uint8_t> image) {
  std::string folder = parent + "/grokc-XXXXXX";
  if (!mkdtemp(folder.data()))
    return fail(folder, ": ", std::strerror(errno));
  std::string path = folder + "/kernels.so";
  FileHandle file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700));
  std::string problem;
  void *handle = nullptr;
  if (!file.isOpen() || !writeAll(file.get(), image))
    problem = path + ": " + std::strerror(errno);
  file = FileHandle();
  if (problem.empty()) {
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    problem = handle ? "" : loaderError();
  }
  unlink(path.c_str());
  rmdir(folder.c_str());
  if (!handle)
    return fail(problem);
  return handle;
}

Result<CodeLibrary> CodeLibrary::loadFromFile(std::span<const uint8_t> image) {
  std::string problems;
  for (const char *variable : {"XDG_RUNTIME_DIR", "TMPDIR", "XDG_CACHE_HOME", "HOME", ""}) {
    const char *folder = *variable ? std::getenv(variable) : "/tmp";
    if (!folder || !*folder)
      continue;
    auto handle = loadThrough(folder, image);
    if (handle)
      return CodeLibrary(*handle, FileHandle());
    problems += (problems.empty() ? "" : "; ") + handle.error();
  }
  return fail(problems);
}

Result<CodeLibrary> CodeLibrary::load(const plan::CodeBlob &blob, CodeMemory memory) {
  std::string what = "code '" + blob.level()->str() + "'";
  std::span<const uint8_t> image(blob.image()->data(), blob.image()->size());
  Digest found = sha256(std::as_bytes(image));
  if (blob.sha256()->size() != found.size() ||
      std::memcmp(blob.sha256()->data(), found.data(), found.size()) != 0)
    return fail(what, ": SHA-256 mismatch; compile the model again");
  return load(image, what, memory);
}

Result<CodeLibrary> CodeLibrary::load(std::span<const uint8_t> image, const std::string &what,
                                      CodeMemory memory) {
  std::string problems;
  if (memory != CodeMemory::file) {
    auto library = loadSealed(image);
    if (library)
      return library;
    problems = library.error();
  }
  if (memory != CodeMemory::sealed) {
    auto library = loadFromFile(image);
    if (library)
      return library;
    problems += (problems.empty() ? "" : "; ") + library.error();
  }
  return fail(what, ": cannot load: ", problems);
}

CodeLibrary::CodeLibrary(CodeLibrary &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), file(std::move(other.file)) {}

CodeLibrary::~CodeLibrary() {
  if (handle)
    dlclose(handle);
}

Result<void *> CodeLibrary::symbol(const std::string &name) const {
  void *address = dlsym(handle, name.c_str());
  if (!address)
    return fail("kernel '", name, "' is missing in the code; compile the model again");
  return address;
}

Result<GrokKernel> CodeLibrary::kernel(const std::string &name) const {
  return symbol(name).map([](void *address) { return reinterpret_cast<GrokKernel>(address); });
}

} // namespace grok::runtime
