// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One-thread speed of the matrix kernels at the release's widths, as shares of
// what the core can read or multiply at most, sampled between the same runs:
// on shared machines the limits themselves move by tens of percent.
//
//   bench-cpu-kernels [LEVEL] [SAMPLES]
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

KernelSpec specOf(KernelOp op, int64_t contraction, int64_t groups, int64_t maxRows) {
  KernelSpec spec;
  spec.op = op;
  spec.maxRows = maxRows;
  spec.emb = emb;
  spec.ffn = ffn;
  spec.in = contraction;
  spec.out = emb;
  spec.experts = experts;
  spec.selected = selected;
  spec.weight = WeightFormat::forContraction(WeightFormat::Element::i8, contraction, groups);
  return spec;
}

class Bench {
public:
  Bench(const std::string &level, int samples)
      : samples(samples), weights(arenaBytes), activations(size_t(512) << 20),
        scales(size_t(64) << 20), kernels({{"linear1", specOf(KernelOp::linear, emb, 8, 1)},
                                           {"linear512", specOf(KernelOp::linear, emb, 8, 512)},
                                           {"gate_up1", specOf(KernelOp::gateUp, emb, 1, 1)},
                                           {"gate_up512", specOf(KernelOp::gateUp, emb, 1, 512)},
                                           {"down1", specOf(KernelOp::downCombine, ffn, 8, 1)},
                                           {"down512", specOf(KernelOp::downCombine, ffn, 8, 512)}},
                                          level),
        scratch(kernels.scratchBytes) {
    for (size_t i = 0; i < weights.bytes; i += 8) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      std::memcpy(weights.data + i, &state, 8);
    }
    auto *floats = reinterpret_cast<float *>(activations.data);
    for (size_t i = 0; i < activations.bytes / 4; ++i)
      floats[i] = static_cast<float>(i % 251) * 0.01f - 1.0f;
    for (size_t i = 0; i < scales.bytes; i += 2)
      scales.data[i + 1] = 0x3c;
  }

  void decode();
  void prefill();

private:
  // The median share of the read limit over all samples.
  void measureReads(const char *name, size_t bytes, const std::function<void(size_t at)> &run);
  void measureProducts(const char *name, double multiplyAdds, const std::function<void()> &run);
  void runLinear(const char *symbol, Rows &rows, const uint8_t *matrix);
  void runExperts(const char *symbol, Rows &rows, const uint8_t *matrix, bool isDown,
                  int32_t active);

  int samples;
  Memory weights, activations, scales;
  Kernels kernels;
  Memory scratch;
  uint64_t state = 88172645463325252ull;
};

void Bench::measureReads(const char *name, size_t bytes, const std::function<void(size_t)> &run) {
  std::vector<double> rates, limits;
  volatile uint64_t sink = 0;
  size_t at = 0;
  auto next = [&] {
    at = at + 2 * bytes <= weights.bytes ? at + bytes : 0;
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
  std::printf("%-28s %6.1f GFLOP/s (best %5.1f)  peak %6.1f  share %3.0f %%\n", name, rate,
              *std::max_element(rates.begin(), rates.end()), limit, 100 * rate / limit);
}

void Bench::runLinear(const char *symbol, Rows &rows, const uint8_t *matrix) {
  const uint8_t *y = activations.data + activations.bytes / 2;
  const void *const buffers[] = {activations.data, matrix, scales.data, y};
  kernels.find(symbol)(buffers, &rows.info, 0, emb / 64, scratch.data);
}

// `active` experts from 0; rows are dealt to them evenly.
void Bench::runExperts(const char *symbol, Rows &rows, const uint8_t *matrix, bool isDown,
                       int32_t active) {
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
  const uint8_t *half = activations.data + activations.bytes / 2;
  const uint8_t *up = matrix + size_t(active) * emb * ffn;
  if (isDown) {
    const void *const buffers[] = {activations.data, matrix,       scales.data,
                                   groups.data(),    gates.data(), half};
    return kernels.find(symbol)(buffers, &rows.info, 0, emb / 64, scratch.data);
  }
  const void *const buffers[] = {activations.data, matrix,        scales.data, up,
                                 scales.data,      groups.data(), half};
  kernels.find(symbol)(buffers, &rows.info, 0, active * ffn / 64, scratch.data);
}

void Bench::decode() {
  Rows one(1);
  measureReads("linear 6144x6144 1 row", emb * emb,
               [&](size_t at) { runLinear("linear1", one, weights.data + at); });
  measureReads("gate_up 2 experts 1 row", size_t(4) * emb * ffn,
               [&](size_t at) { runExperts("gate_up1", one, weights.data + at, false, 2); });
  measureReads("down_combine 2 experts 1 row", size_t(2) * emb * ffn,
               [&](size_t at) { runExperts("down1", one, weights.data + at, true, 2); });
}

void Bench::prefill() {
  for (int64_t count : {8, 64, 256}) {
    Rows rows(count);
    std::string title = "linear 6144x6144 " + std::to_string(count) + " rows";
    measureProducts(title.c_str(), double(count) * emb * emb,
                    [&] { runLinear("linear512", rows, weights.data); });
  }
  Rows rows(64);
  measureProducts("gate_up 1 expert 128 rows", 128.0 * 2 * emb * ffn,
                  [&] { runExperts("gate_up512", rows, weights.data, false, 1); });
  measureProducts("down_combine 1 expert 128 rows", 128.0 * emb * ffn,
                  [&] { runExperts("down512", rows, weights.data, true, 1); });
}

} // namespace

int main(int argc, char **argv) {
  std::string level = "x86-64-v2";
  for (const CpuLevel &candidate : cpuLevels())
    if (canHostRun(candidate))
      level = candidate.name;
  if (argc > 1)
    level = argv[1];
  Bench bench(level, argc > 2 ? static_cast<int>(std::strtol(argv[2], nullptr, 10)) : 9);
  bench.decode();
  bench.prefill();
}
