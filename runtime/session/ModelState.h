// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The inside of a model, shared by its sessions.
#pragma once

#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/plan/PlanReader.h"
#include "runtime/session/Model.h"
#include "runtime/weights/WeightFile.h"
#include <memory>
#include <mutex>

namespace grok::runtime {

struct ModelState {
  PlanDocument document;
  const plan::Program &program; // of this process's rank
  const plan::Layout &layout;
  WeightFile weights;
  std::unique_ptr<CpuDevice> device;
  std::mutex running; // the device takes one step at a time
  ModelInfo info;
};

} // namespace grok::runtime
