// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One-thread speed of the matrix kernels at the release's widths, as shares of
// what the core can read or multiply at most, sampled between the same runs:
// on shared machines the limits themselves move by tens of percent.
//
//   bench-cpu-kernels [LEVEL] [SAMPLES] [PART OF NAMES]
#include "benchmarks/cpu/kernels/ReadLimit.h"
#include "compiler/kernels/GroupsLayout.h"
#include "compiler/targets/cpu/CpuKernels.h"
#include "runtime/plan/KernelABI.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <functional>
#include <sys/mman.h>
#include <unistd.h>

using namespace grok::compiler;
using namespace grok::benchmarks;

namespace {

// Weights rotate through more memory than any cache holds.
constexpr size_t arenaBytes = size_t(3) << 30;
constexpr int64_t emb = 6144, ffn = 32768, experts = 8, selected = 2;

struct Memory {
  explicit Memory(size_t bytes) : bytes(bytes) {
    void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mapped == MAP_FAILED) {
      std::fprintf(stderr, "bench-cpu-kernels: no memory\n");
      std::exit(1);
    }
    data = static_cast<uint8_t *>(mapped);
  }
  size_t bytes;
  uint8_t *data;
};

// Of this thread on a core: other people's work on it does not count.
double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double secondsOf(const std::function<void()> &work) {
  double start = threadSeconds();
  work();
  return threadSeconds() - start;
}

double medianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Kernels {
  Kernels(const std::vector<NamedKernelSpec> &specs, const std::string &level) {
    CpuCode code;
    CpuOptions options;
    options.threads = 1;
    double seconds = secondsOf([&] {
      auto compiled = compileCpuKernels(specs, {level}, options);
      if (!compiled) {
        std::fprintf(stderr, "bench-cpu-kernels: %s\n", compiled.error().c_str());
        std::exit(1);
      }
      code = std::move(*compiled);
    });
    const std::vector<uint8_t> &image = code.levels[0].image;
    std::printf("%s: %zu kernels compiled in %.0f ms, %zu bytes\n", level.c_str(), specs.size(),
                seconds * 1e3, image.size());
    int file = memfd_create("kernels", MFD_CLOEXEC);
    if (write(file, image.data(), image.size()) < 0)
      std::exit(1);
    library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW);
    scratchBytes = *std::max_element(code.scratchBytes.begin(), code.scratchBytes.end());
  }
  GrokKernel find(const char *symbol) const {
    return reinterpret_cast<GrokKernel>(dlsym(library, symbol));
  }
  void *library;
  int64_t scratchBytes;
};

// A row count, ids and positions for every kernel.
struct Rows {
  explicit Rows(int64_t count) : tokens(count, 1), positions(count), sequences(count) {
    info = {.rows = count,
            .tokens = tokens.data(),
            .positions = positions.data(),
            .sequences = sequences.data(),
            .pageTable = nullptr,
            .pageTableStride = 0,
            .logitRows = 0,
            .logitRow = nullptr};
  }
  std::vector<int32_t> tokens, positions, sequences;
  GrokStepInfo info;
};

// A weight format under test.
struct Format {
  const char *name;
  Numerics numerics;
  WeightFormat::Element element;
  int64_t group;
  int64_t digits = 1; // of an input
};
constexpr Format formats[] = {
    {"f32_int8", Numerics::f32, WeightFormat::Element::i8, 0},
    {"fast_int8", Numerics::fast, WeightFormat::Element::i8, 0},
    {"fast_int4", Numerics::fast, WeightFormat::Element::i4, 64},
    {"fast_int3", Numerics::fast, WeightFormat::Element::i3, 64},
    {"fast_int8_digits2", Numerics::fast, WeightFormat::Element::i8, 0, 2},
    {"fast_int4_digits2", Numerics::fast, WeightFormat::Element::i4, 64, 2},
    {"fast_int3_digits2", Numerics::fast, WeightFormat::Element::i3, 64, 2},
    {"fast_bf16", Numerics::fast, WeightFormat::Element::bf16, 0}};

// The three matrix kernels of the release.
struct Op {
  const char *name;
  KernelOp op;
  int64_t contraction, groups;
};
constexpr Op ops[] = {{"linear", KernelOp::linear, emb, 8},
                      {"gate_up", KernelOp::gateUp, emb, 1},
                      {"down", KernelOp::downCombine, ffn, 8}};

KernelSpec specOf(const Op &op, const Format &format, int64_t maxRows) {
  KernelSpec spec;
  spec.op = op.op;
  spec.numerics = format.numerics;
  spec.maxRows = maxRows;
  spec.emb = emb;
  spec.ffn = ffn;
  spec.in = op.contraction;
  spec.out = emb;
  spec.experts = experts;
  spec.selected = selected;
  spec.digits = format.digits;
  const bool isFloat = format.element == WeightFormat::Element::bf16;
  spec.weight = WeightFormat::forContraction(
      format.element, op.contraction, isFloat ? 1 : op.groups, format.numerics, format.group);
  return spec;
}

std::string symbolOf(const Op &op, const Format &format, bool isMany) {
  return std::string(op.name) + "_" + format.name + (isMany ? "_many" : "_one");
}

std::vector<NamedKernelSpec> allSpecs(const std::string &filter) {
  std::vector<NamedKernelSpec> specs;
  for (const Format &format : formats)
    for (const Op &op : ops)
      for (bool isMany : {false, true})
        if (symbolOf(op, format, isMany).find(filter) != std::string::npos)
          specs.push_back({symbolOf(op, format, isMany), specOf(op, format, isMany ? 512 : 1)});
  return specs;
}

class Bench {
public:
  Bench(const std::string &level, int samples, const std::string &filter)
      : samples(samples), filter(filter), weights(arenaBytes), activations(size_t(512) << 20),
        scales(size_t(64) << 20), kernels(allSpecs(filter), level), scratch(kernels.scratchBytes) {
    for (size_t i = 0; i < weights.bytes; i += 8) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      // As bf16, too, ordinary numbers: denormals would be what is timed.
      const uint64_t word = (state & 0xbfffbfffbfffbfff) | 0x2000200020002000;
      std::memcpy(weights.data + i, &word, 8);
    }
    // As floats, and as the codes, sums and scales of quantised rows.
    std::fill_n(reinterpret_cast<float *>(activations.data), activations.bytes / 4, 0.01f);
    for (size_t i = 0; i < scales.bytes; i += 2)
      scales.data[i + 1] = 0x3c;
  }

  void run(const Format &format);

private:
  bool isWanted(const std::string &symbol) const {
    return symbol.find(filter) != std::string::npos;
  }
  void measureReads(const char *name, size_t bytes, const std::function<void(size_t at)> &run);
  void measureProducts(const char *name, double multiplyAdds, const std::function<void()> &run);
  void decode(const Op &op, const Format &format, int64_t count, bool isMany);
  void prefill(const Op &op, const Format &format, int64_t count);
  void runOp(const Op &op, const std::string &symbol, Rows &rows, const uint8_t *matrix,
             size_t matrixBytes, int32_t active);

  int samples;
  std::string filter;
  Memory weights, activations, scales;
  Kernels kernels;
  Memory scratch;
  uint64_t state = 88172645463325252ull;
};

// The median share of the read limit over all samples.
void Bench::measureReads(const char *name, size_t bytes, const std::function<void(size_t)> &run) {
  std::vector<double> rates, limits;
  volatile uint64_t sink = 0;
  size_t at = 0;
  auto next = [&] {
    at = at + 2 * bytes <= weights.bytes ? at + bytes / 4096 * 4096 : 0;
    return at;
  };
  for (int i = 0; i < samples; ++i) {
    size_t here = next();
    rates.push_back(static_cast<double>(bytes) / secondsOf([&] { run(here); }) / 1e9);
    here = next();
    double limit = 0;
    for (int streams : {4, 8}) {
      size_t half = bytes / 2 / 4096 * 4096;
      const uint8_t *from = weights.data + here + (streams == 8 ? half : 0);
      limit = std::max(limit, static_cast<double>(half) / secondsOf([&] {
                                sink = sink + readAll(from, half, streams);
                              }) / 1e9);
    }
    limits.push_back(limit);
  }
  double rate = medianOf(rates), limit = medianOf(limits);
  std::printf("%-28s %6.2f GB/s (best %5.2f)  limit %6.2f (best %5.2f)  share %3.0f %%\n", name,
              rate, *std::max_element(rates.begin(), rates.end()), limit,
              *std::max_element(limits.begin(), limits.end()), 100 * rate / limit);
}

void Bench::measureProducts(const char *name, double multiplyAdds,
                            const std::function<void()> &run) {
  std::vector<double> rates, limits;
  for (int i = 0; i < samples; ++i) {
    rates.push_back(2e-9 * multiplyAdds / secondsOf(run));
    limits.push_back(2e-9 * multiplyAddsInSpin() / secondsOf(spinMultiplyAdds));
  }
  double rate = medianOf(rates), limit = medianOf(limits);
  std::printf("%-28s %6.1f GOP/s (best %5.1f)  peak %6.1f  share %3.0f %%\n", name, rate,
              *std::max_element(rates.begin(), rates.end()), limit, 100 * rate / limit);
}

// `active` experts from 0; rows are dealt to them evenly.
void Bench::runOp(const Op &op, const std::string &symbol, Rows &rows, const uint8_t *matrix,
                  size_t matrixBytes, int32_t active) {
  const GrokKernel kernel = kernels.find(symbol.c_str());
  const uint8_t *half = activations.data + activations.bytes / 2;
  if (op.op == KernelOp::linear) {
    const void *const buffers[] = {activations.data, matrix, scales.data, half};
    return kernel(buffers, &rows.info, 0, emb / 64, scratch.data);
  }
  const GroupsLayout layout(experts);
  const int64_t pairs = rows.info.rows * selected;
  std::vector<int32_t> groups(layout.length(rows.info.rows, selected));
  std::vector<float> gates(pairs, 0.5f);
  groups[layout.activeCount] = active;
  for (int32_t i = 0; i < active; ++i)
    groups[layout.ids + i] = i;
  for (int32_t i = 0; i <= active; ++i)
    groups[layout.offsets + i] = static_cast<int32_t>(pairs * i / active);
  for (int64_t i = 0; i < pairs; ++i)
    groups[layout.pairs + i] =
        static_cast<int32_t>(i / rows.info.rows + i % rows.info.rows * selected);
  if (op.op == KernelOp::downCombine) {
    const void *const buffers[] = {activations.data, matrix,       scales.data,
                                   groups.data(),    gates.data(), half};
    return kernel(buffers, &rows.info, 0, emb / 64, scratch.data);
  }
  const void *const buffers[] = {
      activations.data, matrix,        scales.data, matrix + active * matrixBytes,
      scales.data,      groups.data(), half};
  kernel(buffers, &rows.info, 0, active * ffn / 64, scratch.data);
}

static int64_t columnsOf(const Op &op) { return op.op == KernelOp::gateUp ? ffn : emb; }
static int64_t matricesOf(const Op &op) { return op.op == KernelOp::gateUp ? 2 : 1; }

void Bench::decode(const Op &op, const Format &format, int64_t count, bool isMany) {
  const std::string symbol = symbolOf(op, format, isMany);
  if (!isWanted(symbol))
    return;
  Rows rows(count);
  const int32_t active = op.op == KernelOp::linear ? 1 : 2;
  const size_t bytes =
      specOf(op, format, 1).weight.panelBytes(op.contraction) * (columnsOf(op) / panelColumns);
  measureReads(
      (symbol + " " + std::to_string(count)).c_str(), bytes * active * matricesOf(op),
      [&](size_t at) { runOp(op, symbol, rows, weights.data + at / 64 * 64, bytes, active); });
}

void Bench::prefill(const Op &op, const Format &format, int64_t count) {
  const std::string symbol = symbolOf(op, format, true);
  if (!isWanted(symbol))
    return;
  Rows rows(count);
  const size_t bytes =
      specOf(op, format, 1).weight.panelBytes(op.contraction) * (columnsOf(op) / panelColumns);
  const int64_t pairs = op.op == KernelOp::linear ? count : count * selected;
  measureProducts((symbol + " " + std::to_string(pairs)).c_str(),
                  double(pairs) * matricesOf(op) * emb * columnsOf(op) * op.contraction / emb,
                  [&] { runOp(op, symbol, rows, weights.data, bytes, 1); });
}

void Bench::run(const Format &format) {
  for (const Op &op : ops)
    decode(op, format, 1, false);
  for (int64_t count : {1, 2, 4, 8})
    decode(ops[0], format, count, true);
  for (int64_t count : {16, 64, 256})
    prefill(ops[0], format, count);
  prefill(ops[1], format, 64);
  prefill(ops[2], format, 64);
}

} // namespace

int main(int argc, char **argv) {
  std::string level = "x86-64-v2";
  for (const CpuLevel &candidate : cpuLevels())
    if (canHostRun(candidate))
      level = candidate.name;
  if (argc > 1)
    level = argv[1];
  Bench bench(level, argc > 2 ? static_cast<int>(std::strtol(argv[2], nullptr, 10)) : 9,
              argc > 3 ? argv[3] : "");
  for (const Format &format : formats)
    bench.run(format);
}
