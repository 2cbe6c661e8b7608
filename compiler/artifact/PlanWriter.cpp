// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// plan dialect -> FlatBuffers, op by op.
#include "compiler/artifact/PlanWriter.h"

#include "dialects/grok/GrokDialect.h"
#include "dialects/plan/PlanDialect.h"
#include "runtime/plan/plan_generated.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace grok;
using namespace grok::compiler;

static constexpr auto planFormatVersion = static_cast<uint32_t>(plan::FormatVersion::current);

template <typename Container> static std::vector<uint8_t> toBytes(const Container &bytes) {
  auto *data = reinterpret_cast<const uint8_t *>(bytes.data());
  return {data, data + bytes.size()};
}

namespace {
/// Holds the indices that entries of the plan use for one another.
class PlanBuilder {
public:
  PlanBuilder(ModuleOp module, const PlanInputs &inputs) : module(module), inputs(inputs) {}
  plan::PlanT build();

private:
  std::unique_ptr<plan::ModelT> model();
  std::unique_ptr<plan::LayoutT> layout(StringRef name, const RankWeights &rank);
  std::unique_ptr<plan::ProgramT> program(plan::ProgramOp op);
  std::unique_ptr<plan::BucketT> bucket(plan::BucketOp op);
  std::unique_ptr<plan::BufferT> buffer(Operation *op, int64_t maxRows);
  std::unique_ptr<plan::LaunchT> collective(plan::CollectiveOp op,
                                            const llvm::DenseMap<Value, int> &buffers);
  std::unique_ptr<plan::LaunchT> launch(plan::LaunchOp op,
                                        const llvm::DenseMap<Value, int> &buffers);
  void addKernels();
  void addRanks();
  void addPage();
  void addCode();
  int64_t number(StringRef dictionary, StringRef name);

  ModuleOp module;
  const PlanInputs &inputs;
  plan::PlanT result;
  llvm::StringMap<int> kernelIndex, tensorIndex; // tensors of the program being built
  const RankWeights *weights = nullptr;          // of one of the program's ranks
  int64_t firstLayer = 0;                        // of the program
};
} // namespace

int64_t PlanBuilder::number(StringRef dictionary, StringRef name) {
  auto attrs = module->getAttrOfType<DictionaryAttr>(dictionary);
  auto attr = attrs ? attrs.getAs<IntegerAttr>(name) : IntegerAttr();
  return attr ? attr.getInt() : 0;
}

std::unique_ptr<plan::ModelT> PlanBuilder::model() {
  auto model = std::make_unique<plan::ModelT>();
  auto get = [&](StringRef name) { return number("grok.model", name); };
  if (auto attrs = module->getAttrOfType<DictionaryAttr>("grok.model"))
    if (auto name = attrs.getAs<StringAttr>("name"))
      model->name = name.str();
  model->vocab_size = get("vocab_size");
  model->emb_size = get("emb_size");
  model->num_layers = get("num_layers");
  model->num_q_heads = get("num_q_heads");
  model->num_kv_heads = get("num_kv_heads");
  model->key_size = get("key_size");
  model->ffn_size = get("ffn_size");
  model->num_experts = get("num_experts");
  model->num_selected_experts = get("num_selected_experts");
  model->sequence_len = get("sequence_len");
  model->pad_token = static_cast<int32_t>(get("pad_token"));
  model->eos_token = static_cast<int32_t>(get("eos_token"));
  return model;
}

static plan::DType dtypeOf(checkpoint::DType dtype) {
  switch (dtype) {
  case checkpoint::DType::f32:
    return plan::DType::f32;
  case checkpoint::DType::bf16:
    return plan::DType::bf16;
  case checkpoint::DType::i8:
    return plan::DType::i8;
  }
  return plan::DType::f32;
}

static plan::DType dtypeOf(Type element) {
  if (element.isInteger(32))
    return plan::DType::i32;
  if (element.isInteger(8))
    return plan::DType::i8;
  return element.isBF16() ? plan::DType::bf16 : plan::DType::f32;
}

std::unique_ptr<plan::LayoutT> PlanBuilder::layout(StringRef name, const RankWeights &rank) {
  auto layout = std::make_unique<plan::LayoutT>();
  layout->name = name.str();
  const bool hasFile = !rank.file.name.empty();
  layout->file = rank.file.name;
  layout->file_bytes = rank.file.bytes;
  layout->header_bytes = rank.file.headerBytes;
  if (hasFile)
    layout->header_sha256 = toBytes(rank.file.headerSha256);
  for (const PackedTensor &tensor : rank.tensors) {
    auto entry = std::make_unique<plan::WeightTensorT>();
    entry->name = tensor.name;
    entry->dtype = tensor.isIndices ? plan::DType::i32 : dtypeOf(tensor.dtype);
    entry->shape = tensor.shape;
    entry->offset = tensor.offset;
    entry->bytes = tensor.bytes;
    if (hasFile)
      entry->sha256 = toBytes(tensor.sha256);
    entry->packing = tensor.packingText;
    entry->logical_shape = tensor.logical;
    entry->row_groups = static_cast<int32_t>(tensor.rowGroups);
    entry->k_unit = static_cast<int32_t>(tensor.unit);
    entry->k_slices = static_cast<int32_t>(tensor.slices);
    layout->tensors.push_back(std::move(entry));
  }
  return layout;
}

void PlanBuilder::addKernels() {
  for (auto op : module.getOps<plan::KernelOp>()) {
    auto kernel = std::make_unique<plan::KernelT>();
    kernel->symbol = op.getSymName().str();
    kernel->op = op.getOp().str();
    kernel->spec = inputs.specText.at(kernel->symbol);
    kernel->num_buffers = static_cast<int32_t>(op.getNumOperands());
    kernel->scratch_bytes = inputs.scratch.at(kernel->symbol);
    kernelIndex[kernel->symbol] = static_cast<int>(result.kernels.size());
    result.kernels.push_back(std::move(kernel));
  }
}

std::unique_ptr<plan::BufferT> PlanBuilder::buffer(Operation *op, int64_t maxRows) {
  auto type = cast<plan::BufferType>(op->getResult(0).getType());
  auto buffer = std::make_unique<plan::BufferT>();
  buffer->dtype = dtypeOf(type.getTensor().getElementType());
  buffer->per_row = type.isPerRow();
  buffer->row_shape = type.getTensor().getShape().drop_front(type.isPerRow() ? 1 : 0);
  buffer->bytes = type.getBytes(maxRows);
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](plan::BufferOp arena) {
        buffer->kind = plan::BufferKind::arena;
        buffer->name = arena.getName().str();
        buffer->offset = arena.getOffset().value_or(0);
        if (auto logical = arena.getLogical())
          buffer->logical_row_shape = *logical;
      })
      .Case([&](plan::WeightOp weight) {
        buffer->kind = plan::BufferKind::weight;
        buffer->name = weight.getTensor().getLeafReference().str();
        buffer->tensor = tensorIndex.lookup(buffer->name);
        buffer->bytes = weights->tensors[buffer->tensor].bytes;
      })
      .Case([&](plan::KVOp kv) {
        buffer->kind = plan::BufferKind::kv;
        buffer->name = "kv" + std::to_string(kv.getLayer());
        buffer->bytes = number("plan.page", "layer_bytes");
        buffer->offset = (kv.getLayer() - firstLayer) * buffer->bytes;
      })
      .Case([&](plan::LogitsOp) {
        buffer->kind = plan::BufferKind::logits;
        buffer->name = "logits";
      });
  return buffer;
}

std::unique_ptr<plan::LaunchT> PlanBuilder::launch(plan::LaunchOp op,
                                                   const llvm::DenseMap<Value, int> &buffers) {
  auto launch = std::make_unique<plan::LaunchT>();
  launch->kernel = kernelIndex.lookup(op.getKernel());
  launch->name = op.getName().str();
  launch->layer = static_cast<int32_t>(op.getLayer().value_or(-1));
  for (auto [value, use] : llvm::zip_equal(op.getOperands(), op.getUses())) {
    auto useAttr = cast<plan::UseAttr>(use);
    auto operand = std::make_unique<plan::OperandT>();
    operand->buffer = buffers.lookup(value);
    operand->access = static_cast<plan::OperandAccess>(useAttr.getAccess());
    operand->range = static_cast<plan::OperandRange>(useAttr.getRange());
    launch->operands.push_back(std::move(operand));
  }
  plan::TilesAttr tiles = op.getTiles();
  int32_t counter = -1;
  if (tiles.getOperand() >= 0)
    counter = buffers.lookup(op.getOperands()[tiles.getOperand()]);
  launch->tiles = std::make_unique<plan::TileCount>(
      tiles.getPerRow(), tiles.getPerLogitRow(), tiles.getConstant(), counter,
      static_cast<int32_t>(tiles.getElement()), tiles.getMax());
  return launch;
}

std::unique_ptr<plan::LaunchT> PlanBuilder::collective(plan::CollectiveOp op,
                                                       const llvm::DenseMap<Value, int> &buffers) {
  auto launch = std::make_unique<plan::LaunchT>();
  launch->kernel = -1;
  launch->name = op.getName().str();
  launch->layer = static_cast<int32_t>(op.getLayer().value_or(-1));
  launch->collective = llvm::StringSwitch<plan::Collective>(op.getKind())
                           .Case("all_gather", plan::Collective::all_gather)
                           .Case("all_reduce", plan::Collective::all_reduce)
                           .Case("send", plan::Collective::send)
                           .Default(plan::Collective::receive);
  for (auto axis : op.getOver().getAsRange<StringAttr>())
    launch->over |= axis == "tp" ? plan::Axis::tp : axis == "ep" ? plan::Axis::ep : plan::Axis::pp;
  for (Value value : op->getOperands()) {
    auto operand = std::make_unique<plan::OperandT>();
    operand->buffer = buffers.lookup(value);
    operand->access =
        value == op.getSource() ? plan::OperandAccess::read : plan::OperandAccess::write;
    operand->range = plan::OperandRange::whole;
    launch->operands.push_back(std::move(operand));
  }
  return launch;
}

std::unique_ptr<plan::BucketT> PlanBuilder::bucket(plan::BucketOp op) {
  auto bucket = std::make_unique<plan::BucketT>();
  bucket->max_rows = static_cast<int32_t>(op.getMaxRows());
  bucket->arena_bytes = op.getArenaBytes().value_or(0);
  llvm::DenseMap<Value, int> buffers;
  for (Operation &inner : op.getBody().front()) {
    if (auto launchOp = dyn_cast<plan::LaunchOp>(inner)) {
      bucket->launches.push_back(launch(launchOp, buffers));
    } else if (auto collectiveOp = dyn_cast<plan::CollectiveOp>(inner)) {
      bucket->launches.push_back(collective(collectiveOp, buffers));
    } else if (inner.getNumResults() == 1) {
      buffers[inner.getResult(0)] = static_cast<int>(bucket->buffers.size());
      bucket->buffers.push_back(buffer(&inner, static_cast<int64_t>(op.getMaxRows())));
    }
  }
  return bucket;
}

void PlanBuilder::addPage() {
  auto page = std::make_unique<plan::PageLayoutT>();
  page->tokens = static_cast<int32_t>(number("plan.page", "tokens"));
  page->bytes = number("plan.page", "bytes");
  page->layer_bytes = number("plan.page", "layer_bytes");
  auto attrs = module->getAttrOfType<DictionaryAttr>("plan.page");
  auto kv = attrs.getAs<StringAttr>("kv");
  page->dtype = llvm::StringSwitch<plan::DType>(kv.getValue())
                    .Case("int8", plan::DType::i8)
                    .Case("fp8", plan::DType::e4m3)
                    .Case("bf16", plan::DType::bf16)
                    .Default(plan::DType::f32);
  page->description = "keys [head][dim][token], values [head][token][dim], visible [token]";
  if (page->dtype == plan::DType::i8 || page->dtype == plan::DType::e4m3)
    page->description = "keys [head][dim][token], values [head][token][dim], key and value "
                        "scales [head][token], visible [token]";
  result.page = std::move(page);
}

void PlanBuilder::addCode() {
  for (const PlanCode &code : inputs.code) {
    auto blob = std::make_unique<plan::CodeBlobT>();
    blob->target = code.target;
    blob->level = code.level;
    blob->features = code.features;
    blob->image = code.image;
    blob->sha256 = toBytes(runtime::sha256(std::as_bytes(std::span(code.image))));
    result.code.push_back(std::move(blob));
  }
  for (const plan::GpuCodeT &code : inputs.gpuCode)
    result.gpu_code.push_back(std::make_unique<plan::GpuCodeT>(code));
}

std::unique_ptr<plan::ProgramT> PlanBuilder::program(plan::ProgramOp op) {
  auto program = std::make_unique<plan::ProgramT>();
  program->name = op.getSymName().str();
  program->stage = static_cast<int32_t>(op.getStage());
  program->layers = static_cast<int32_t>(op.getLayers());
  firstLayer = static_cast<int64_t>(op.getFirstLayer());
  weights = &*llvm::find_if(inputs.ranks,
                            [&](const RankWeights &rank) { return rank.stage == program->stage; });
  tensorIndex.clear();
  for (const PackedTensor &tensor : weights->tensors)
    tensorIndex[tensor.name] = static_cast<int>(tensorIndex.size());
  for (auto bucketOp : op.getBody().getOps<plan::BucketOp>())
    program->buckets.push_back(bucket(bucketOp));
  return program;
}

/// Programs stand in the order of their stages, layouts in that of the ranks of a
/// replica; replicas share them.
void PlanBuilder::addRanks() {
  auto sharding = std::make_unique<plan::ShardingT>();
  if (auto attr = module->getAttrOfType<ShardingAttr>("grok.sharding")) {
    sharding->tp = static_cast<int32_t>(attr.getTp());
    sharding->ep = static_cast<int32_t>(attr.getEp());
    sharding->pp = static_cast<int32_t>(attr.getPp());
    sharding->dp = static_cast<int32_t>(attr.getDp());
  }
  sharding->reproducible = module->hasAttr("grok.reproducible");
  for (int32_t replica = 0; replica < sharding->dp; ++replica)
    for (const auto &[index, weightsOfRank] : llvm::enumerate(inputs.ranks)) {
      auto rank = std::make_unique<plan::RankT>();
      rank->program = weightsOfRank.stage;
      rank->layout = static_cast<int32_t>(index);
      result.ranks.push_back(std::move(rank));
    }
  result.sharding = std::move(sharding);
}

plan::PlanT PlanBuilder::build() {
  auto moduleNumber = [&](StringRef name) {
    return static_cast<int32_t>(module->getAttrOfType<IntegerAttr>(name).getInt());
  };
  result.producer = std::string("grokc ") + GROKC_VERSION;
  result.model = model();
  result.numerics = module->getAttrOfType<StringAttr>("grok.numerics").str();
  result.weights = inputs.weights;
  result.max_context = moduleNumber("plan.max_context");
  result.max_step_rows = moduleNumber("plan.max_step_rows");
  result.tokenizer = toBytes(inputs.tokenizer);
  addPage();
  for (const RankWeights &rank : inputs.ranks)
    result.layouts.push_back(layout("cpu", rank));
  addKernels();
  for (auto op : module.getOps<plan::ProgramOp>())
    result.programs.push_back(program(op));
  addRanks();
  addCode();
  return std::move(result);
}

FailureOr<std::vector<std::byte>> compiler::writePlan(ModuleOp module, const PlanInputs &inputs) {
  WalkResult held = module.walk([](Operation *op) -> WalkResult {
    if (isa<plan::CopyOp>(op))
      return op->emitOpError("cannot be written: plans of format version ")
             << planFormatVersion << " hold launches and collectives only";
    return WalkResult::advance();
  });
  if (held.wasInterrupted())
    return failure();
  plan::PlanT content = PlanBuilder(module, inputs).build();
  flatbuffers::FlatBufferBuilder body;
  body.Finish(plan::Plan::Pack(body, &content));
  auto bytes = std::span(body.GetBufferPointer(), body.GetSize());
  runtime::Digest digest = runtime::sha256(std::as_bytes(bytes));
  flatbuffers::FlatBufferBuilder outer;
  auto digestOffset = outer.CreateVector(digest.data(), digest.size());
  // The body is read in place, so it keeps its own alignment inside the file.
  outer.ForceVectorAlignment(bytes.size(), 1, body.GetBufferMinAlignment());
  auto bodyOffset = outer.CreateVector(bytes.data(), bytes.size());
  plan::FinishPlanFileBuffer(
      outer, plan::CreatePlanFile(outer, planFormatVersion, digestOffset, bodyOffset));
  auto *data = reinterpret_cast<const std::byte *>(outer.GetBufferPointer());
  return std::vector<std::byte>(data, data + outer.GetSize());
}
