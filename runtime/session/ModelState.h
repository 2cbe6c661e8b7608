// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The inside of a model, shared by its sessions.
#pragma once

#include "runtime/device/Device.h"
#include "runtime/executor/NcclExchange.h"
#include "runtime/executor/PeerExchange.h"
#include "runtime/plan/PlanReader.h"
#include "runtime/session/Model.h"
#include "runtime/weights/WeightFile.h"
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace grok::runtime {

/// One rank of the plan in this process.
struct RankState {
  RankPlace place;
  const plan::Program &program;
  const plan::Layout &layout;
  WeightFile weights;
  std::unique_ptr<Device> device;
  std::unique_ptr<DeviceMemory> placedWeights; // the file's bytes, for kernels
  Communicator *communicator = nullptr;        // null in a plan for one rank
  std::optional<RankLinks> links;
  std::unique_ptr<PeerExchange> exchange; // likewise
  std::unique_ptr<NcclExchange> nccl;     // likewise
};

/// Rank 0 is the leader: its sessions tell the others each step. The others are
/// threads of this process, or processes of their own (see followLeader).
struct ModelState {
  explicit ModelState(PlanDocument document) : document(std::move(document)) {}
  ~ModelState();

  const plan::Plan &plan() const { return document.root(); }
  const plan::Sharding &sharding() const { return *plan().sharding(); }

  PlanDocument document;
  std::vector<std::unique_ptr<Communicator>> communicators; // of ranks that are threads
  std::vector<std::unique_ptr<RankState>> ranks;            // of this process
  std::vector<std::thread> followers;                       // one for each but the first
  std::mutex running;                                       // the ranks take one step at a time
  int32_t sessionsMade = 0;
  int64_t logitStride = 0; // floats from one row of logits to the next
  ModelInfo info;
};

} // namespace grok::runtime
