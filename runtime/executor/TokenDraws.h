// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Draws tokens on the device, by the plan's kernel for it.
#pragma once

#include "runtime/device/Device.h"
#include <memory>
#include <span>
#include <vector>

namespace grok::runtime {

class TokenDraws {
public:
  /// For steps of that many rows; null if the device has no kernel that draws.
  static Result<std::unique_ptr<TokenDraws>> create(Device &device, uint64_t rows);

  /// Draws from `logits` as the step says (GrokStepInfo::draws), after the launches so
  /// far. The tokens also stay on the device, at the same place in every step.
  Result<void> launch(const std::byte *logits);
  /// Waits; what runtime/sampler's drawToken gives, of the first `rows` rows of logits.
  /// Valid until the next call.
  Result<std::span<const int32_t>> fetch(uint64_t rows);

private:
  TokenDraws(Device &device, uint32_t kernel) : device(device), kernel(kernel) {}

  Device &device;
  uint32_t kernel;
  std::unique_ptr<DeviceMemory> tokens;
  std::vector<int32_t> fetched;
};

} // namespace grok::runtime
