// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A compiled model in memory: plan checked, weights mapped, code loaded and
// worker threads running. Shared by any number of sessions.
#pragma once

#include "runtime/Result.h"
#include "runtime/device/Kind.h"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace grok::runtime {

class Communicator;

struct LoadOptions {
  /// Worker threads, the caller included; 0 = one per core of this process.
  /// Ranks that are threads of this process share them.
  int threads = 0;
  /// Hash every weight tensor. Without it only sizes and the header's hash are
  /// checked, which finds files of another plan but not flipped weight bits.
  bool fullCheck = false;
  /// What to run on.
  DeviceKind device = DeviceKind::automatic;
  /// Code level to use, e.g. "x86-64-v3", or the chip that is emulated; empty = the
  /// best this machine can run.
  std::string cpuLevel;
  /// Run a plan that was compiled without weights on zeros, or on a GPU on numbers of
  /// no meaning (for timing only).
  bool zeroWeights = false;
  /// Told how many bytes of the weights have reached a GPU, of all.
  std::function<void(uint64_t done, uint64_t all)> placing = nullptr;
  /// Ranks that the plan must have; 0 = any number.
  int ranks = 0;
  /// This process's end of a job of as many ranks as the plan has, which loads
  /// its own weights only; it outlives the model. Null: all ranks of the plan are
  /// threads of this process.
  Communicator *communicator = nullptr;
};

/// What the plan says about the model, and what loading it took.
struct ModelInfo {
  std::string name;     // "grok-1"
  std::string producer; // "grokc 0.1.0"
  std::string numerics; // "f32" or "bf16"
  std::string weights;  // "int8", "f32", ...
  std::string cpuLevel; // of the code in use, or the chip
  int64_t vocabSize = 0;
  int64_t embeddingSize = 0;
  int64_t numLayers = 0;
  int64_t numExperts = 0;
  int64_t numSelectedExperts = 0;
  int64_t queryColumns = 0; // query heads times their size
  int32_t padToken = 0;
  int32_t eosToken = 0;
  int64_t maxContext = 0;  // positions of one sequence
  int64_t maxStepRows = 0; // rows of one step
  int64_t pageTokens = 0;  // positions of one key/value page
  uint64_t pageBytes = 0;  // of the largest stage
  uint64_t planBytes = 0;
  bool hasWeights = false;          // else it was compiled without
  std::string sharding = "tp1";     // "tp2.pp2"
  int ranks = 1;                    // of the plan
  uint64_t weightBytes = 0;         // of the weight files that this process maps
  uint64_t weightBytesPerToken = 0; // read by a step of one row, on all ranks of a replica
  uint64_t arenaBytes = 0;          // activations of the largest bucket, of one rank
  std::vector<int64_t> buckets;     // max rows of each, ascending
  int threads = 0;
  bool hasDeviceMemory = false; // weights were copied to memory that is not the host's
  bool drawsOnDevice = false;   // tokens, so that logits stay there
  double loadSeconds = 0;
};

struct ModelState;

/// Immutable after load; may be used from several threads.
class Model {
public:
  /// Loads the artifact folder `directory` (model.plan and its weights).
  static Result<std::shared_ptr<const Model>> load(const std::string &directory,
                                                   const LoadOptions &options = {});
  explicit Model(std::unique_ptr<ModelState> state);
  ~Model();

  const ModelInfo &info() const;
  /// The SentencePiece model of the plan; empty if it has none. Lives as long
  /// as the model.
  std::span<const std::byte> tokenizer() const;
  /// Whether sessions may be made here: on rank 0 of a job.
  bool isLeader() const;
  /// Every other rank's part in the leader's sessions, until the leader's model
  /// is gone. An error ends the job.
  Result<void> follow() const;
  /// As Device::measureReadRate.
  Result<std::optional<double>> measureReadRate() const;
  /// For the session only.
  ModelState &state() const { return *contents; }

private:
  std::unique_ptr<ModelState> contents;
};

} // namespace grok::runtime
