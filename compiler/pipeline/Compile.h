// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The one call that compiles: a model in, an artifact out.
#pragma once

#include "compiler/artifact/WeightFile.h"
#include "compiler/kernels/KernelSpec.h"
#include "compiler/pipeline/Phases.h"
#include "compiler/quantization/Encoder.h"
#include "compiler/report/QuantizationReport.h"
#include "compiler/verification/Report.h"

#include <functional>
#include <span>

namespace grok::compiler {

struct CompileOptions {
  std::string model;               // folder or preset
  std::string weightsFrom;         // empty, folder, "random:SEED" or "none"
  std::string output;              // artifact folder, or .mlir file ("-" = stdout)
  std::vector<std::string> levels; // CPU levels to compile for
  std::vector<std::string> chips;  // GPU chips to compile for
  bool emulate = false;            // GPU kernels also translated for the emulator
  bool persistent = false;         // GPUs do a step of one row in one launch; experimental
  Numerics numerics = Numerics::fast;
  CacheElement kv = CacheElement::f32;
  int64_t activationBits = 8;        // fast: of inputs that meet integer weights; or 15
  std::string weights = "stored";    // stored, f32, bf16, int8, int4, int3 or auto
  double bitsPerWeight = 0;          // auto: at most this average; 0 = any
  uint64_t memoryBudget = 0;         // auto: weights, cache and arena; 0 = any
  std::vector<std::string> assigned; // "layer3.down:int4g32": formats of single items
  std::string calibrate;             // text file; empty = none
  std::string emitReport;            // .html or .json file; empty = none
  std::string devices;               // machine, machine file or number of ranks; empty = one
  std::string sharding;              // "tp2.pp2", or auto: the best on the devices
  search::Workload workload;         // for which auto is best: goal, batch, lengths of requests
  bool reproducible = false;         // the bits of the logits do not depend on the sharding
  std::optional<int64_t> maxContext; // default: the model's sequence_len
  int64_t maxStepRows = 512;
  int64_t pageTokens = 32;
  Phase lastPhase = Phase::artifact;
  std::string dumpPhases;  // folder; empty = no dump
  std::string kernelCache; // folder; empty = off
  int threads = 1;
  bool verify = false; // compare the artifact with the interpreter; needs weights
};

struct PhaseTime {
  std::string name;
  double seconds;
  std::string detail; // "11 kernels x 3 levels, 33 from the cache"
};

struct CompileReport {
  std::vector<PhaseTime> phases;
  uint64_t planBytes = 0;
  uint64_t weightBytes = 0; // 0 without weights
  std::string output;
  std::optional<verification::Report> verification;
  std::optional<report::QuantizationReport> quantization; // unless all is as stored
};

/// What a caller may watch.
struct CompileHooks {
  std::function<void(std::string_view phase)> phaseStarted;
  std::function<void(const PhaseTime &)> phaseEnded;
  PackProgress packing;
  /// Says what is wrong with a tokenizer for a vocabulary of this size, or
  /// nothing. The runtime knows; the compiler only carries the bytes.
  std::function<std::optional<std::string>(std::span<const std::byte>, int64_t)> checkTokenizer;
  /// Ids of a text by the tokenizer of a vocabulary of this size, for calibration.
  std::function<Result<std::vector<int32_t>>(std::span<const std::byte>, int64_t, std::string_view)>
      tokenize;
  /// Quantises in place of the compiler's own choice; null = its own.
  const quantization::MatrixEncoder *encoder = nullptr;
  /// Called on every pass manager before it runs (timing, IR printing).
  std::function<void(mlir::PassManager &)> configurePasses;
};

/// Nothing is left behind on failure. The error is one line. An artifact that was
/// found to differ from the interpreter is no failure: see the report.
Result<CompileReport> compileModel(const CompileOptions &options, const CompileHooks &hooks);

} // namespace grok::compiler
