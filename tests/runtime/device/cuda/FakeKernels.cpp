// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Modules, launches and graphs of the fake driver.
// NOLINTBEGIN(readability-identifier-naming): entry points keep the driver's names
// NOLINTBEGIN(performance-no-int-to-ptr): the driver's addresses are numbers
#include "runtime/device/cpu/CodeLibrary.h"
#include "runtime/device/emulated/EmulatorLibrary.h"
#include "runtime/plan/GpuKernels.h"
#include "runtime/plan/PlanReader.h"
#include "tests/runtime/device/cuda/FakeCuda.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace grok::runtime::cuda {

namespace {

struct Translations {
  std::optional<PlanDocument> document;
  std::optional<CodeLibrary> code;
  std::optional<Emulator> emulator;
  std::vector<GpuKernelEntry> entries;
};

} // namespace

// Of every plan that was loaded: the last is that of the device in the making, the
// others may still be in use.
static std::vector<std::unique_ptr<Translations>> &loadedTranslations() {
  static std::vector<std::unique_ptr<Translations>> all;
  return all;
}

static Translations &translations() {
  if (loadedTranslations().empty())
    loadedTranslations().push_back(std::make_unique<Translations>());
  return *loadedTranslations().back();
}

static int complain(const std::string &why) {
  std::fprintf(stderr, "fake CUDA: %s\n", why.c_str());
  return invalidValue;
}

static const plan::GpuCode *translationOf(const plan::Plan &plan) {
  const plan::GpuCode *found = nullptr;
  for (const plan::GpuCode *code : *plan.gpu_code()) {
    if (!code->emulation() || !code->emulation()->size())
      continue;
    found = code;
    if (code->major() == fake().major && code->minor() == fake().minor)
      break;
  }
  return found;
}

int loadTranslations() {
  const char *path = std::getenv("FAKE_CUDA_PLAN");
  if (!path)
    return success; // there are no kernels then
  auto document = readPlan(path);
  if (!document)
    return complain(document.error());
  const plan::GpuCode *gpu = translationOf(document->root());
  auto emulator = Emulator::open();
  if (!gpu || !emulator)
    return complain(gpu ? emulator.error() : "the plan has no translation");
  auto code = CodeLibrary::load(std::span(gpu->emulation()->data(), gpu->emulation()->size()),
                                "translations");
  if (!code)
    return complain(code.error());
  loadedTranslations().push_back(std::make_unique<Translations>());
  translations().document.emplace(std::move(*document));
  translations().code.emplace(std::move(*code));
  translations().emulator.emplace(std::move(*emulator));
  translations().entries = gpuKernelsOf(translations().document->root(), *gpu);
  return success;
}

static int run(const FakeLaunch &launch) {
  ++fake().calls["run of " + launch.function->name];
  if (fake().failure == "launch=" + launch.function->name) {
    fake().errorText = "as asked";
    return launchFailed;
  }
  std::vector<GrokEmulatorRegion> regions;
  for (const auto &[address, bytes] : fake().allocations)
    regions.push_back({reinterpret_cast<const void *>(address), bytes, "an allocation", 1});
  for (const auto &[address, bytes] : fake().pinned)
    regions.push_back({address, bytes, "memory of the host", 1});
  std::vector<uint64_t> parameters = launch.parameters;
  std::vector<void *> values;
  values.reserve(parameters.size());
  for (uint64_t &parameter : parameters)
    values.push_back(&parameter);
  GrokEmulatorLaunch what{};
  what.name = launch.function->name.c_str();
  what.kernel = launch.function->code;
  what.values = values.data();
  what.blocks = launch.blocks;
  what.threads = launch.threads;
  what.clusterBlocks = launch.clusterBlocks;
  what.dynamicSharedBytes = launch.sharedBytes;
  what.regions = regions.data();
  what.regionCount = static_cast<uint32_t>(regions.size());
  what.schedule = grokScheduleInOrder;
  what.seed = 1;
  what.osThreads = 1;
  what.checkAccesses = 1;
  what.hasPeers = launch.function->awaitsPeers;
  what.blocksMeet = launch.isCooperative;
  auto ran = translations().emulator->launch(what);
  if (ran)
    return success;
  fake().errorText = ran.error();
  return launchFailed;
}

// What every launch must keep to.
static bool isValid(const FakeLaunch &launch) {
  return launch.blocks > 0 && launch.threads > 0 && launch.threads <= 1024 &&
         launch.blocks % launch.clusterBlocks == 0 &&
         // Blocks that wait for each other must all be there, and the driver must know.
         launch.isCooperative == launch.function->isCooperative &&
         (!launch.isCooperative || launch.blocks <= unsigned(fakeMultiprocessors)) &&
         static_cast<int>(launch.sharedBytes) <= launch.function->sharedBytes;
}

static bool setAttribute(FakeLaunch &launch, uint32_t id, uint32_t value) {
  launch.isCooperative = id == cooperative && value == 1;
  if (id == clusterDimension)
    launch.clusterBlocks = value;
  return id == clusterDimension || launch.isCooperative;
}

static FakeLaunch makeLaunch(Function function, const unsigned *grid, const unsigned *block,
                             unsigned sharedBytes, void *const *parameters) {
  FakeLaunch launch{function, grid[0], block[0], sharedBytes, 1, {}, false};
  for (uint32_t i = 0; i < function->parameters; ++i)
    launch.parameters.push_back(*static_cast<const uint64_t *>(parameters[i]));
  return launch;
}

} // namespace grok::runtime::cuda

using namespace grok::runtime::cuda;

#define LOCKED const std::lock_guard lock(fake().mutex)
#define ENTER(function)                                                                            \
  LOCKED;                                                                                          \
  if (const int status = enterCall(function); status != success)                                   \
  return status

extern "C" {

int cuModuleLoadDataEx(Module *module, const void *image, unsigned count, int *options,
                       void **values) {
  ENTER("cuModuleLoadDataEx");
  const char *text = static_cast<const char *>(image);
  const bool isPtx = std::strncmp(text, ".version", 8) == 0 || std::strncmp(text, "//", 2) == 0;
  ++fake().calls[isPtx ? "PTX" : "machine code"];
  const std::string failing =
      fake().failure.starts_with("module=") ? fake().failure.substr(7) : std::string();
  const bool isBad = isPtx ? !failing.empty() && std::strstr(text, failing.c_str())
                           : fake().failure == "machine-code";
  if (isBad && count == 2 && options[0] == errorLogBuffer)
    std::snprintf(static_cast<char *>(values[0]), reinterpret_cast<size_t>(values[1]),
                  "ptxas fatal : as asked\nptxas fatal : more");
  if (isBad)
    return invalidImage;
  *module = new ModuleObject{{}, isPtx ? text : ""};
  ++fake().living;
  return success;
}

int cuModuleUnload(Module module) {
  LOCKED;
  if (const int status = enterToFree(); status != success)
    return status;
  --fake().living;
  delete module;
  return success;
}

int cuModuleGetFunction(Function *function, Module module, const char *name) {
  ENTER("cuModuleGetFunction");
  if (!translations().document ||
      (!module->image.empty() && module->image.find(name) == std::string::npos))
    return notFound;
  auto code = translations().code->symbol(name);
  if (!code)
    return notFound;
  auto made = std::make_unique<FunctionObject>();
  made->name = name;
  made->code = reinterpret_cast<GrokEmulatedKernel>(*code);
  for (const grok::runtime::GpuKernelEntry &entry : translations().entries)
    if (entry.kernel->symbol()->string_view() == name) {
      made->parameters = static_cast<uint32_t>(entry.kernel->num_buffers()) + 2;
      made->isCooperative = entry.code->cooperative();
      made->awaitsPeers = entry.code->awaits_peers();
    }
  *function = made.get();
  module->functions[name] = std::move(made);
  return success;
}

int cuFuncSetAttribute(Function function, int attribute, int value) {
  ENTER("cuFuncSetAttribute");
  if (attribute == maxDynamicSharedBytes)
    function->sharedBytes = value;
  return success;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Function, int, size_t) {
  ENTER("occupancy");
  *blocks = 1;
  return success;
}

int cuOccupancyMaxActiveClusters(int *clusters, Function, const LaunchConfig *config) {
  ENTER("occupancy");
  *clusters = config->attributeCount == 1 ? 1 : 0;
  return success;
}

int cuLaunchKernelEx(const LaunchConfig *config, Function function, void **parameters, void **) {
  ENTER("cuLaunchKernelEx");
  FakeLaunch launch =
      makeLaunch(function, config->grid, config->block, config->sharedBytes, parameters);
  if (config->attributeCount == 1 &&
      !setAttribute(launch, config->attributes->id, config->attributes->cluster[0]))
    return invalidValue;
  if (!isValid(launch))
    return invalidValue;
  config->stream->queue.emplace_back([launch] { return run(launch); });
  return success;
}

int cuGraphCreate(Graph *graph, unsigned) {
  ENTER("cuGraphCreate");
  *graph = new GraphObject;
  ++fake().living;
  return success;
}

int cuGraphAddKernelNode_v2(GraphNode *node, Graph graph, const GraphNode *dependencies,
                            size_t count, const KernelNode *what) {
  ENTER("cuGraphAddKernelNode");
  const bool isFirst = graph->nodes.empty();
  if (count > (isFirst ? 0 : 1) || (count == 1 && dependencies[0] != graph->nodes.back().get()))
    return invalidValue; // only chains
  graph->nodes.push_back(std::make_unique<GraphNodeObject>(
      makeLaunch(what->function, what->grid, what->block, what->sharedBytes, what->parameters),
      isFirst || count == 1));
  *node = graph->nodes.back().get();
  return success;
}

// Kernels run one after the other all the same; that none depends on it, the emulator sees.
int cuGraphAddDependencies_v2(Graph graph, const GraphNode *from, const GraphNode *to,
                              const GraphEdge *edge, size_t count) {
  const bool isEarly = count == 1 && edge->type == 1;
  ENTER(isEarly ? "programmatic edge" : "ordinary edge");
  if (isEarly && fake().failure == "early")
    return invalidValue;
  const size_t nodes = graph->nodes.size();
  if (count != 1 || nodes < 2 || *from != graph->nodes[nodes - 2].get() ||
      *to != graph->nodes.back().get() || (*to)->isLinked || edge->fromPort != edge->type)
    return invalidValue;
  (*to)->isLinked = true;
  (*to)->isEarly = isEarly;
  return success;
}

int cuGraphKernelNodeSetAttribute(GraphNode node, uint32_t id, const void *value) {
  ENTER("cuGraphKernelNodeSetAttribute");
  return setAttribute(node->launch, id, *static_cast<const uint32_t *>(value)) ? success
                                                                               : invalidValue;
}

int cuGraphInstantiateWithFlags(GraphExec *exec, Graph graph, unsigned long long) {
  ENTER("cuGraphInstantiate");
  auto made = std::make_unique<GraphExecObject>();
  for (const auto &node : graph->nodes) {
    if (!isValid(node->launch) || !node->isLinked ||
        (node->isEarly && fake().failure == "graph of early launches"))
      return invalidValue;
    made->launches.push_back(node->launch);
  }
  *exec = made.release();
  ++fake().living;
  return success;
}

int cuGraphLaunch(GraphExec exec, Stream stream) {
  ENTER("cuGraphLaunch");
  for (const FakeLaunch &launch : exec->launches)
    stream->queue.emplace_back([launch] { return run(launch); });
  return success;
}

int cuGraphExecDestroy(GraphExec exec) {
  LOCKED;
  --fake().living;
  delete exec;
  return success;
}

int cuGraphDestroy(Graph graph) {
  LOCKED;
  --fake().living;
  delete graph;
  return success;
}
}
// NOLINTEND(performance-no-int-to-ptr)
// NOLINTEND(readability-identifier-naming)
