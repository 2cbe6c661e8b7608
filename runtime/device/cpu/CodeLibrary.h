// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The plan's machine code: which blob suits this CPU, and loading it. A plan is
// trusted like a shared library: its code runs with the rights of the process.
#pragma once

#include "runtime/Result.h"
#include "runtime/device/cpu/CpuFeatures.h"
#include "runtime/plan/File.h"
#include "runtime/plan/KernelABI.h"
#include "runtime/plan/plan_generated.h"
#include <span>

namespace grok::runtime {

/// The blob with the most required features that are all present, or the one of
/// `level` if that is not empty. The error says what each blob lacks.
Result<const plan::CodeBlob *> selectCode(const plan::Plan &plan, const CpuFeatures &features,
                                          std::string_view level = {});

/// How to give the code to the dynamic loader.
enum class CodeMemory {
  any,    // sealed memory; a private file where the system forbids that
  sealed, // sealed memory only
  file,   // private file only
};

/// A loaded code blob. Its symbols are not visible to anything else.
class CodeLibrary {
public:
  CodeLibrary(CodeLibrary &&other) noexcept;
  CodeLibrary &operator=(CodeLibrary &&other) = delete;
  ~CodeLibrary();

  /// Checks the blob's hash and loads it.
  static Result<CodeLibrary> load(const plan::CodeBlob &blob, CodeMemory memory = CodeMemory::any);

  /// Loads a shared object of a plan whose digest was checked; `what` for messages.
  static Result<CodeLibrary> load(std::span<const uint8_t> image, const std::string &what,
                                  CodeMemory memory = CodeMemory::any);

  /// The kernel of that name; an error if the code lacks it.
  Result<GrokKernel> kernel(const std::string &symbol) const;
  /// The same for code of other form.
  Result<void *> symbol(const std::string &name) const;

private:
  CodeLibrary(void *handle, FileHandle file) : handle(handle), file(std::move(file)) {}
  static Result<CodeLibrary> loadSealed(std::span<const uint8_t> image);
  static Result<CodeLibrary> loadFromFile(std::span<const uint8_t> image);

  void *handle;
  // Stays open while the library is loaded: the loader knows it by the path
  // /proc/self/fd/N and would take a second library of that path for this one.
  FileHandle file;
};

} // namespace grok::runtime
