// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A step as tasks of one kernel: the bits of the launches, whatever the grid and the
// schedule; what happens if blocks do not meet; what ptxas says of Grok-1's.
#include "compiler/targets/nvidia/generators/PersistentKernel.h"
#include "compiler/targets/nvidia/NvidiaKernelCompiler.h"
#include "dialects/plan/QuantizedRow.h"
#include "tests/compiler/targets/nvidia/generators/Grok1.h"
#include "tests/compiler/targets/nvidia/generators/ProductRun.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include <gtest/gtest.h>

namespace grok::compiler::testing {

using Element = WeightFormat::Element;

static constexpr int64_t width = 192, rows = 2;

namespace {

/// Twice norm, quantize and a matrix: the matrix is shared out to all blocks, the norm
/// after it reads what all of them wrote.
struct Chain {
  Chain();

  /// By launches, from zeros; gives the last rows.
  Buffer launched();
  /// By tasks; the emulator's error.
  std::string run(GpuKernel &persistent, const GpuLaunch &how);
  /// The persistent kernel, after `change`.
  std::unique_ptr<GpuKernel> persistent(const std::string &chip,
                                        llvm::function_ref<void(mlir::ModuleOp)> change);

  std::vector<NamedKernelSpec> kernels;
  std::mt19937 random = reproducible(3);
  Buffer x, scale, normed, codes, y, panels, scales;
  std::vector<GrokTask> tasks;
  Step step = Step::ofRows(rows);

private:
  std::vector<GpuOperand> everything() { return {x, scale, normed, codes, y, panels, scales}; }
};

} // namespace

static NamedKernelSpec kernelOf(KernelOp op) {
  NamedKernelSpec kernel{nameOf(op), {}};
  kernel.spec.op = op;
  kernel.spec.numerics = Numerics::fast;
  kernel.spec.maxRows = 8;
  kernel.spec.emb = kernel.spec.in = kernel.spec.out = width;
  kernel.spec.eps = 1e-5;
  kernel.spec.weight = WeightFormat::forContraction(Element::i8, width, 1, Numerics::fast);
  return kernel;
}

Chain::Chain()
    : kernels(
          {kernelOf(KernelOp::rmsNorm), kernelOf(KernelOp::quantize), kernelOf(KernelOp::linear)}),
      x(randomRows(random, rows, width, false)), scale(randomRows(random, 1, width, false)),
      normed(rows * width * 4),
      codes(rows * plan::QuantizedRow::of(width, kernels[2].spec.weight.unit).bytes),
      y(rows * width * 4),
      panels(randomPanels(random, kernels[2].spec.weight, width, panelsOf(width))),
      scales(randomScales(random, kernels[2].spec.weight, panelsOf(width))) {
  for (const Buffer *from : {&x, &y}) {
    tasks.push_back({0, {from->data(), scale.data(), normed.data()}});
    tasks.push_back({1, {normed.data(), codes.data()}});
    tasks.push_back({2, {codes.data(), panels.data(), scales.data(), y.data()}});
  }
}

Buffer Chain::launched() {
  for (const GrokTask &task : tasks) {
    const NamedKernelSpec &kernel = kernels[task.kernel];
    std::vector<GpuOperand> operands;
    for (int64_t i = 0; i < operandCount(kernel.spec); ++i)
      for (const GpuOperand &each : everything())
        if (each.address == task.operands[i])
          operands.push_back(each);
    GpuKernel(kernel.spec).run(operands, step);
  }
  return copyOf(y);
}

std::unique_ptr<GpuKernel> Chain::persistent(const std::string &chip,
                                             llvm::function_ref<void(mlir::ModuleOp)> change) {
  NamedKernelSpec spec = kernelOf(KernelOp::persistent);
  spec.symbol = "kernel";
  std::vector<NumberedKernel> parts;
  for (size_t i = 0; i < kernels.size(); ++i)
    parts.push_back({static_cast<int64_t>(i), &kernels[i]});
  NvidiaKernelCompiler compiler({}, /*assembler=*/nullptr);
  GpuShape shape;
  auto lowered = compiler.lower(spec, parts, *nvidiaChipNamed(chip), shape);
  if (!lowered)
    throw std::runtime_error(lowered.error());
  change(**lowered);
  return std::make_unique<GpuKernel>(**lowered, shape);
}

std::string Chain::run(GpuKernel &persistent, const GpuLaunch &how) {
  for (Buffer *buffer : {&normed, &codes, &y})
    std::memset(buffer->data(), 0, buffer->size());
  std::vector<GrokTask> list = {{static_cast<int64_t>(tasks.size()), {}}};
  list.insert(list.end(), tasks.begin(), tasks.end());
  return persistent.tryRun({{list.data(), list.size() * sizeof list[0]}}, everything(), step, how);
}

static void keep(mlir::ModuleOp) {}

// Blocks do not meet.
static void dropMeetings(mlir::ModuleOp module) {
  module.walk([](mlir::LLVM::CallOp call) {
    if (call.getCallee() == llvm::StringRef(meetingSymbol))
      call.erase();
  });
}

static const std::vector<GpuLaunch> &meetings() {
  static const std::vector<GpuLaunch> launches = {{1, grokScheduleInOrder, 1},
                                                  {2, grokScheduleRandom, 1},
                                                  {3, grokScheduleGreedyWarp, 1},
                                                  {4, grokScheduleInOrder, 1}};
  return launches;
}

TEST(PersistentKernel, hasTheBitsOfTheLaunches) {
  for (const char *chip : {"sm_80", "sm_90a"}) {
    Chain chain;
    const Buffer expected = chain.launched();
    auto kernel = chain.persistent(chip, keep);
    EXPECT_TRUE(kernel->shape().isCooperative);
    // One object: what a launch leaves behind serves the next.
    for (const GpuLaunch &how : meetings()) {
      EXPECT_EQ(chain.run(*kernel, how), "") << nameOf(how);
      EXPECT_TRUE(chain.y == expected) << chip << ", " << nameOf(how);
    }
  }
}

TEST(PersistentKernel, blocksThatDoNotMeetAreSeen) {
  Chain chain;
  const Buffer expected = chain.launched();
  auto kernel = chain.persistent("sm_90a", dropMeetings);
  int wrong = 0;
  for (const GpuLaunch &how : meetings())
    wrong += !chain.run(*kernel, how).empty() || !(chain.y == expected);
  EXPECT_GE(wrong, 3); // of one block, barriers of the block could do
}

TEST(PersistentKernel, aMeetingThatIsNeverFullIsADeadlock) {
  Chain chain;
  auto kernel = chain.persistent("sm_90a", keep);
  const int32_t absent = -1;
  std::memcpy(kernel->scratchMemory(), &absent, sizeof absent);
  const std::string error = chain.run(*kernel, {2, grokScheduleInOrder, 1});
  EXPECT_NE(error.find("deadlock"), std::string::npos) << error;
  EXPECT_NE(error.find("spinning for memory to change"), std::string::npos) << error;
}

// ---- Grok-1

static NamedKernelSpec grok1(KernelOp op, Element element, const char *suffix = "") {
  NamedKernelSpec kernel{nameOf(op) + std::string(suffix), grok1Shapes(op)};
  KernelSpec &spec = kernel.spec;
  spec.multiplier = 0.08838834764831845;
  spec.softcap = op == KernelOp::attention ? 30 : 0;
  const int64_t inputs = op == KernelOp::quantize ? spec.in : contractionOf(spec);
  spec.weight = WeightFormat::forContraction(element, inputs, 1, Numerics::fast,
                                             element == Element::i8 ? 0 : 64);
  return kernel;
}

// Decoding a token on one device.
static std::vector<NamedKernelSpec> grok1Decode(Element experts) {
  std::vector<NamedKernelSpec> kernels;
  for (KernelOp op : {KernelOp::embed, KernelOp::rmsNorm, KernelOp::quantize, KernelOp::qkv,
                      KernelOp::attention, KernelOp::linear, KernelOp::residualNorm,
                      KernelOp::route, KernelOp::group, KernelOp::unembed})
    kernels.push_back(grok1(op, Element::i8));
  kernels.push_back(grok1(KernelOp::gateUp, experts));
  kernels.push_back(grok1(KernelOp::downCombine, experts));
  NamedKernelSpec pairs = grok1(KernelOp::quantize, experts, "_pairs");
  pairs.spec.in = pairs.spec.ffn;
  pairs.spec.selected = 2;
  pairs.spec.weight = kernels.back().spec.weight;
  kernels.push_back(pairs);
  return kernels;
}

static void expectNoSpills(const char *chip, Element experts) {
  std::optional<Ptxas> ptxas = Ptxas::find();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas";
  const std::vector<NamedKernelSpec> kernels = grok1Decode(experts);
  std::vector<NumberedKernel> parts;
  for (size_t i = 0; i < kernels.size(); ++i)
    parts.push_back({static_cast<int64_t>(i), &kernels[i]});
  NvidiaKernelCompiler compiler({}, &*ptxas);
  NamedKernelSpec spec = kernelOf(KernelOp::persistent);
  auto kernel = compiler.compile(spec, parts, *nvidiaChipNamed(chip));
  ASSERT_TRUE(kernel) << kernel.error();
  EXPECT_EQ(kernel->report.spillBytes, 0) << kernel->report.text;
  EXPECT_LE(kernel->report.registers * kernel->shape.threads, 64 * 1024);
  ::testing::Test::RecordProperty("report", kernel->report.text);
}

TEST(PersistentKernel, spillsNothing_sm_80) { expectNoSpills("sm_80", Element::i8); }
TEST(PersistentKernel, spillsNothing_sm_90a) { expectNoSpills("sm_90a", Element::i8); }
TEST(PersistentKernel, spillsNothing_sm_90a_fourBits) { expectNoSpills("sm_90a", Element::i4); }

} // namespace grok::compiler::testing
