// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/compiler/targets/nvidia/generators/ProductRun.h"

#include "tests/compiler/kernels/QuantizedReference.h"

#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

static const std::string cpuLevel = "x86-64-v3"; // has FMA, as GPUs have

// Where multipliers stand: before the lines of up to four groups.
static void limitMultipliers(std::mt19937 &random, const WeightFormat &format, int64_t inputs,
                             uint8_t *panel) {
  const int64_t groups = inputs / format.group, groupBytes = 2 * format.group * format.bits();
  const int most = format.element == Element::i4 ? 15 : 31;
  for (int64_t first = 0; first < groups; first += 4) {
    const int64_t count = std::min<int64_t>(4, groups - first);
    for (int64_t i = 0; i < 16 * count; ++i)
      *panel++ = static_cast<uint8_t>(static_cast<int>(random() % (2 * most + 1)) - most);
    panel += count * groupBytes;
  }
}

Buffer randomPanels(std::mt19937 &random, const WeightFormat &format, int64_t inputs,
                    int64_t panels) {
  std::normal_distribution<float> normal;
  const int64_t bytes = format.panelBytes(inputs);
  Buffer packed(panels * bytes);
  for (int64_t i = 0; i < panels * bytes; ++i)
    packed.byteData()[i] = static_cast<uint8_t>(random());
  if (format.element == Element::i8) // -128 is no code
    for (int64_t i = 0; i < panels * bytes; ++i)
      packed.byteData()[i] = static_cast<uint8_t>(static_cast<int>(random() % 255) - 127);
  if (format.element == Element::f32)
    for (int64_t i = 0; i < panels * bytes / 4; ++i)
      packed.floats()[i] = normal(random);
  if (format.element == Element::bf16)
    for (int64_t i = 0; i < panels * bytes / 2; ++i)
      static_cast<uint16_t *>(packed.data())[i] = bf16Bits(normal(random));
  for (int64_t panel = 0; panel < panels && format.hasMultipliers(); ++panel)
    limitMultipliers(random, format, inputs, packed.byteData() + panel * bytes);
  return packed;
}

Buffer randomScales(std::mt19937 &random, const WeightFormat &format, int64_t panels) {
  const int64_t count = format.isInteger() ? format.groups * panels * panelColumns : 0;
  Buffer scales(count * 2);
  for (int64_t i = 0; i < count; ++i)
    static_cast<uint16_t *>(scales.data())[i] =
        bf16Bits(0.001f + static_cast<float>(random() % 1000) * 1e-5f);
  return scales;
}

Buffer copyOf(const Buffer &buffer) {
  Buffer copy(buffer.size());
  std::memcpy(copy.data(), buffer.data(), buffer.size());
  return copy;
}

Buffer inputRows(const KernelSpec &spec, const Buffer &rows, int64_t count) {
  return readsQuantizedRows(spec) ? quantizedRows(rows.floats(), count, contractionOf(spec),
                                                  spec.weight.unit, spec.digits)
                                  : copyOf(rows);
}

std::vector<Buffer> runOnCpu(const KernelSpec &spec, const Step &step, int64_t tiles,
                             const std::vector<const Buffer *> &before) {
  std::vector<Buffer> buffers;
  std::vector<const void *> addresses;
  for (const Buffer *buffer : before)
    addresses.push_back(buffers.emplace_back(copyOf(*buffer)).data());
  LoadedKernels({{"kernel", spec}}, cpuLevel).run("kernel", addresses, step, 0, tiles);
  return buffers;
}

// Weights are operands from the second on.
static size_t countWeights(const KernelSpec &spec) {
  switch (spec.op) {
  case KernelOp::qkv:
    return 7; // three matrices with their scales; rope
  case KernelOp::gateUp:
    return 4;
  default:
    return 2;
  }
}

void expectOnGpu(const KernelSpec &spec, const Step &step, const std::vector<Buffer> &expected,
                 const std::vector<const Buffer *> &before, const std::string &chip) {
  GpuKernel kernel(spec, chip);
  for (const GpuLaunch &launch : everyLaunch()) {
    std::vector<Buffer> buffers;
    for (const Buffer *buffer : before)
      buffers.push_back(copyOf(*buffer));
    std::vector<GpuOperand> operands(buffers.begin(), buffers.end());
    for (size_t i = 1; i <= countWeights(spec); ++i)
      operands[i].isWeight = true;
    kernel.run(operands, step, launch);
    for (size_t i = 0; i < buffers.size(); ++i) {
      ASSERT_TRUE(buffers[i] == expected[i])
          << canonicalText(spec) << ": operand " << i << ", " << nameOf(launch);
      ASSERT_TRUE(buffers[i].isGuardIntact()) << "operand " << i << ", " << nameOf(launch);
    }
  }
}

void expectSameBits(const KernelSpec &spec, const Step &step, int64_t tiles,
                    const std::vector<const Buffer *> &before, const std::string &chip) {
  expectOnGpu(spec, step, runOnCpu(spec, step, tiles, before), before, chip);
}

} // namespace grok::compiler::testing
