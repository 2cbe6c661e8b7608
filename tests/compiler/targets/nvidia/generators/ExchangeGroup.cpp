// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/targets/nvidia/generators/ExchangeGroup.h"

#include "runtime/collectives/TreeSum.h"
#include <gtest/gtest.h>
#include <thread>

namespace grok::compiler::testing {

uint64_t ExchangeDevice::received(uint32_t number, size_t sender, size_t position) const {
  const auto *words = static_cast<const uint64_t *>(window.data());
  return words[(number % 2 * grokExchangeMembers + sender) * grokExchangeWords + position];
}

void ExchangeGroup::describe(size_t member, int64_t rowWords, bool isSum, bool ofLogits) {
  GrokExchange &exchange = devices[member].exchange;
  for (size_t peer = 0; peer < devices.size(); ++peer)
    exchange.windows[peer] = reinterpret_cast<uint64_t>(devices[peer].window.data());
  exchange.state = reinterpret_cast<uint64_t>(&devices[member].state);
  exchange.control = reinterpret_cast<uint64_t>(&devices[member].control);
  exchange.rowWords = rowWords;
  exchange.members = static_cast<int32_t>(devices.size());
  exchange.index = static_cast<int32_t>(member);
  exchange.isSum = isSum;
  exchange.ofLogits = ofLogits;
  exchange.operation = 7;
}

std::string ExchangeGroup::launch(size_t member, const GpuKernel &kernel,
                                  std::vector<GpuOperand> operands, const Step &step,
                                  const GpuLaunch &how) {
  ExchangeDevice &own = devices[member];
  operands.emplace_back(&own.exchange, sizeof own.exchange);
  std::vector<GpuOperand> others = {{&own.state, sizeof own.state},
                                    {&own.control, sizeof own.control}};
  for (ExchangeDevice &device : devices)
    others.emplace_back(device.window);
  GpuLaunch launch = how;
  launch.seed += static_cast<uint32_t>(member);
  return kernel.tryRun(operands, others, step, launch);
}

void ExchangeGroup::together(const std::function<void(size_t)> &body) {
  std::vector<std::thread> threads;
  for (size_t member = 0; member < devices.size(); ++member)
    threads.emplace_back([&, member] {
      std::this_thread::sleep_for(std::chrono::milliseconds(member));
      body(member);
    });
  for (std::thread &thread : threads)
    thread.join();
}

Messages randomMessages(int members, int64_t words, unsigned seed) {
  std::mt19937 random = reproducible(seed);
  std::uniform_real_distribution<float> number(-3, 3);
  Messages messages(static_cast<size_t>(members));
  for (auto &message : messages)
    for (int64_t i = 0; i < words; ++i)
      message.push_back(number(random));
  return messages;
}

std::vector<float> sumOf(const Messages &messages) {
  std::vector<const float *> parts;
  for (const auto &message : messages)
    parts.push_back(message.data());
  std::vector<float> sum(messages[0].size());
  runtime::treeSum(parts, sum.data(), static_cast<int64_t>(sum.size()));
  return sum;
}

} // namespace grok::compiler::testing
