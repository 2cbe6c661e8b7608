// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVIDIA's assembler, where one is installed: PTX to machine code, and what it
// says about registers.
#pragma once

#include "compiler/targets/nvidia/Chips.h"

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace grok::compiler {

/// What `ptxas -v` prints for a kernel.
struct PtxasReport {
  int64_t registers = 0;    // of a thread
  int64_t spillBytes = 0;   // stores and loads of registers in local memory
  int64_t stackBytes = 0;   // local memory of a thread
  int64_t staticShared = 0; // bytes of a block, beside dynamic shared memory
  std::string text;         // all that it printed
};

struct Cubin {
  std::vector<uint8_t> image;
  PtxasReport report;
};

class Ptxas {
public:
  /// The `ptxas` of $CUDA_HOME/bin or of $PATH, or nothing.
  static std::optional<Ptxas> find();

  /// Assembles one kernel. The error is what ptxas says, in one line.
  tl::expected<Cubin, std::string> assemble(const std::string &ptx, const NvidiaChip &chip) const;

  const std::string &path() const { return program; }
  /// "13.0.88" or as printed; part of cache keys, since code depends on it.
  const std::string &version() const { return versionText; }

private:
  std::string program, versionText;
};

/// Machine code as text (SASS) by `nvdisasm`, where one is installed; else nothing.
std::optional<std::string> disassemble(const std::vector<uint8_t> &cubin);

/// Reads the numbers of `ptxas -v` for the one kernel that `text` is about, with the
/// functions that it calls: the most of any.
PtxasReport parsePtxasReport(const std::string &text);

} // namespace grok::compiler
