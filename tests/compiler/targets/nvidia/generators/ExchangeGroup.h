// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Emulated devices with windows of their own, a thread each.
#pragma once

#include "runtime/plan/ExchangeABI.h"
#include "tests/compiler/targets/nvidia/GpuKernelRun.h"

namespace grok::compiler::testing {

/// What one device has of a group.
struct ExchangeDevice {
  Buffer window = Buffer(GROK_EXCHANGE_WINDOW_BYTES);
  GrokExchangeState state = {};
  GrokExchangeControl control = {};
  GrokExchange exchange = {};

  /// The word at `position` that `sender` wrote with a number: the number above.
  uint64_t received(uint32_t number, size_t sender, size_t position) const;
};

/// By member: row-major float32 rows.
using Messages = std::vector<std::vector<float>>;

/// Devices that take part in any number of collectives.
class ExchangeGroup {
public:
  explicit ExchangeGroup(int members) : devices(static_cast<size_t>(members)) {}

  size_t members() const { return devices.size(); }
  ExchangeDevice &operator[](size_t member) { return devices[member]; }
  /// Fills in the member's GrokExchange, of operation 7.
  void describe(size_t member, int64_t rowWords, bool isSum, bool ofLogits = false);
  /// Runs a kernel whose last operand is the member's GrokExchange; gives the emulator's
  /// error.
  std::string launch(size_t member, const GpuKernel &kernel, std::vector<GpuOperand> operands,
                     const Step &step, const GpuLaunch &how);
  /// body(member) in a thread each; member m begins `m` milliseconds late.
  void together(const std::function<void(size_t member)> &body);

private:
  std::vector<ExchangeDevice> devices;
};

Messages randomMessages(int members, int64_t words, unsigned seed);
/// As collectives of CPUs add.
std::vector<float> sumOf(const Messages &messages);

} // namespace grok::compiler::testing
