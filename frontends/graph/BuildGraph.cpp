// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A described model as IR, in the order of specification section 3.
#include "frontends/graph/BuildGraph.h"

#include "dialects/grok/GrokDialect.h"
#include "frontends/graph/CheckpointTensors.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace grok::graph {

static DictionaryAttr describe(Builder &builder, const ModelConfig &config) {
  auto integer = [&](StringRef key, int64_t value) {
    return builder.getNamedAttr(key, builder.getI64IntegerAttr(value));
  };
  auto number = [&](StringRef key, double value) {
    return builder.getNamedAttr(key, builder.getF64FloatAttr(value));
  };
  return builder.getDictionaryAttr(
      {builder.getNamedAttr("name", builder.getStringAttr(config.name)),
       integer("vocab_size", config.vocabSize),
       integer("emb_size", config.embSize),
       integer("num_layers", config.numLayers),
       integer("num_q_heads", config.numQHeads),
       integer("num_kv_heads", config.numKvHeads),
       integer("key_size", config.keySize),
       integer("num_experts", config.numExperts),
       integer("num_selected_experts", config.numSelectedExperts),
       integer("ffn_size", config.ffnSize),
       integer("sequence_len", config.sequenceLen),
       integer("pad_token", config.padToken),
       integer("eos_token", config.eosToken),
       number("widening_factor", config.wideningFactor),
       number("embedding_multiplier", config.embeddingMultiplier),
       number("output_multiplier", config.outputMultiplier),
       number("attn_output_multiplier", config.attnOutputMultiplier),
       number("attn_logit_softcap", config.attnLogitSoftcap),
       number("rms_norm_eps", config.rmsNormEps),
       number("rope_base", config.ropeBase)});
}

static StringRef nameOf(Numerics numerics) {
  switch (numerics) {
  case Numerics::f32:
    return "f32";
  case Numerics::bf16:
    return "bf16";
  case Numerics::fast:
    return "fast";
  }
  llvm_unreachable("all numerics are listed");
}

namespace {

class GraphBuilder {
public:
  GraphBuilder(MLIRContext &context, const ModelConfig &config,
               const checkpoint::TensorList &tensors, const GraphOptions &options)
      : builder(&context), config(config), numerics(options.numerics),
        isLiteral(options.numerics == Numerics::bf16),
        activation(isLiteral ? Type(builder.getBF16Type()) : Type(builder.getF32Type())),
        cacheType(CacheType::get(&context, config.numLayers, config.numKvHeads, config.keySize,
                                 elementType(options.cacheElement))) {
    for (const checkpoint::TensorInfo &info : tensors)
      infos[info.name] = &info;
  }

  OwningOpRef<ModuleOp> build();

private:
  Location at(const Twine &name) { return NameLoc::get(builder.getStringAttr(name)); }
  Type elementType(DType dtype);
  Type elementType(CacheElement element);
  Type weightType(const checkpoint::TensorInfo &info);
  RankedTensorType rowsOf(ArrayRef<int64_t> extents, Type element);
  Value weight(Location loc, const Twine &path);
  Value norm(const Twine &place, const Twine &path, Value x);
  Value project(const Twine &place, const Twine &path, Value x, int64_t columns);
  Value multiplyExperts(const Twine &place, const Twine &path, Value x, Value experts,
                        int64_t columns, Type element, bool bf16Weight);
  Value attention(int64_t layer, Value x);
  Value experts(int64_t layer, Value x);
  Value decoderLayer(int64_t layer, Value h);
  Value logits(Value h, Value table);

  std::string pathOf(int64_t layer) { return "transformer/decoder_layer_" + std::to_string(layer); }
  std::string placeOf(int64_t layer) { return "layer" + std::to_string(layer); }

  OpBuilder builder;
  const ModelConfig &config;
  Numerics numerics;
  bool isLiteral;  // bf16 numerics
  Type activation; // element type of what section 3 rounds
  CacheType cacheType;
  llvm::StringMap<const checkpoint::TensorInfo *> infos;
  Value tokens, step, cache;
};

} // namespace

std::optional<CacheElement> cacheElementNamed(StringRef name) {
  return llvm::StringSwitch<std::optional<CacheElement>>(name)
      .Case("f32", CacheElement::f32)
      .Case("bf16", CacheElement::bf16)
      .Case("int8", CacheElement::int8)
      .Case("fp8", CacheElement::fp8)
      .Default(std::nullopt);
}

Type GraphBuilder::elementType(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return builder.getF32Type();
  case DType::bf16:
    return builder.getBF16Type();
  case DType::i8:
    return builder.getI8Type();
  }
  llvm_unreachable("all dtypes are listed");
}

Type GraphBuilder::elementType(CacheElement element) {
  switch (element) {
  case CacheElement::f32:
    return builder.getF32Type();
  case CacheElement::bf16:
    return builder.getBF16Type();
  case CacheElement::int8:
    return builder.getI8Type();
  case CacheElement::fp8:
    return builder.getType<Float8E4M3FNType>();
  }
  llvm_unreachable("all cache elements are listed");
}

Type GraphBuilder::weightType(const checkpoint::TensorInfo &info) {
  if (!info.quantised)
    return RankedTensorType::get(info.shape, elementType(info.dtype));
  int64_t groupRows = info.shape[info.shape.size() - 2] / info.rowGroups();
  auto format = FormatAttr::get(/*bits=*/8, groupRows, elementType(info.scaleDtype));
  return RankedTensorType::get(info.shape, builder.getI8Type(), format);
}

RankedTensorType GraphBuilder::rowsOf(ArrayRef<int64_t> extents, Type element) {
  SmallVector<int64_t> shape{ShapedType::kDynamic};
  shape.append(extents.begin(), extents.end());
  return RankedTensorType::get(shape, element);
}

Value GraphBuilder::weight(Location loc, const Twine &path) {
  std::string name = path.str();
  return WeightOp::create(builder, loc, weightType(*infos.lookup(name)), name);
}

Value GraphBuilder::norm(const Twine &place, const Twine &path, Value x) {
  Location loc = at(place);
  Value scale = weight(loc, path + "/scale");
  return RMSNormOp::create(builder, loc, x.getType(), x, scale,
                           builder.getF64FloatAttr(config.rmsNormEps));
}

Value GraphBuilder::project(const Twine &place, const Twine &path, Value x, int64_t columns) {
  Location loc = at(place);
  Value matrix = weight(loc, path + "/w");
  return LinearOp::create(builder, loc, rowsOf(columns, activation), x, matrix);
}

Value GraphBuilder::multiplyExperts(const Twine &place, const Twine &path, Value x, Value experts,
                                    int64_t columns, Type element, bool bf16Weight) {
  Location loc = at(place);
  Value matrices = weight(loc, path + "/w");
  Type type = rowsOf({config.numSelectedExperts, columns}, element);
  return ExpertMatmulOp::create(builder, loc, type, x, matrices, experts, bf16Weight);
}

Value GraphBuilder::attention(int64_t layer, Value x) {
  std::string place = placeOf(layer) + "/multi_head_attention/";
  std::string path = pathOf(layer) + "/multi_head_attention/";
  auto rope = [&](StringRef name, Value heads) -> Value {
    return RopeOp::create(builder, at(place + name + "/rope"), heads.getType(), heads, step,
                          builder.getI64IntegerAttr(config.keySize),
                          builder.getF64FloatAttr(config.ropeBase));
  };
  int64_t kvColumns = config.numKvHeads * config.keySize;
  int64_t qColumns = config.numQHeads * config.keySize;
  Value query = project(place + "query", path + "query", x, qColumns);
  Value key = project(place + "key", path + "key", x, kvColumns);
  Value value = project(place + "value", path + "value", x, kvColumns);
  query = rope("query", query);
  key = rope("key", key);
  IntegerAttr layerAttr = builder.getI64IntegerAttr(layer);
  cache = CacheWriteOp::create(builder, at(place + "cache"), cacheType, cache, key, value, tokens,
                               step, layerAttr);
  Value heads =
      AttentionOp::create(builder, at(place + "attention"), query.getType(), query, cache, step,
                          layerAttr, builder.getF64FloatAttr(config.attnOutputMultiplier),
                          builder.getF64FloatAttr(config.attnLogitSoftcap));
  return project(place + "linear", path + "linear", heads, config.embSize);
}

Value GraphBuilder::experts(int64_t layer, Value x) {
  std::string place = placeOf(layer) + "/moe/";
  std::string path = pathOf(layer) + "/moe/";
  Type f32 = builder.getF32Type();
  Location routerLoc = at(placeOf(layer) + "/router");
  Value router = weight(routerLoc, pathOf(layer) + "/router/w");
  auto route = RouteOp::create(builder, routerLoc, rowsOf(config.numSelectedExperts, f32),
                               rowsOf(config.numSelectedExperts, builder.getI32Type()), x, router);
  Value chosen = route.getExperts();
  auto multiply = [&](StringRef name, Value rows, int64_t columns, Type element, bool bf16Weight) {
    return multiplyExperts(place + name, path + name, rows, chosen, columns, element, bf16Weight);
  };
  Value gate = multiply("linear", x, config.ffnSize, activation, false);
  Value up = multiply("linear_v", x, config.ffnSize, activation, false);
  // Everything from here to the sum is float32 in both modes (step 12).
  Type hidden = rowsOf({config.numSelectedExperts, config.ffnSize}, f32);
  Value gated = GeluGateOp::create(builder, at(place + "gelu_gate"), hidden, gate, up);
  Value down = multiply("linear_1", gated, config.embSize, f32, isLiteral);
  return CombineOp::create(builder, at(place + "combine"), x.getType(), down, route.getGates(),
                           chosen);
}

Value GraphBuilder::decoderLayer(int64_t layer, Value h) {
  std::string place = placeOf(layer);
  std::string path = pathOf(layer);
  Value x = norm(place + "/rms_norm", path + "/rms_norm", h);
  x = attention(layer, x);
  x = norm(place + "/rms_norm_1", path + "/rms_norm_1", x);
  h = AddOp::create(builder, at(place + "/multi_head_attention/residual"), h, x);
  x = norm(place + "/rms_norm_2", path + "/rms_norm_2", h);
  x = experts(layer, x);
  x = norm(place + "/rms_norm_3", path + "/rms_norm_3", x);
  return AddOp::create(builder, at(place + "/moe/residual"), h, x);
}

Value GraphBuilder::logits(Value h, Value table) {
  Value x = norm("rms_norm", "language_model/rms_norm", h);
  x = LogitRowsOp::create(builder, at("logit_rows"), x.getType(), x, step);
  return UnembedOp::create(builder, at("unembed"), rowsOf(config.vocabSize, activation), x, table,
                           builder.getF64FloatAttr(config.outputMultiplier));
}

OwningOpRef<ModuleOp> GraphBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(at(config.name));
  (*module)->setAttr("grok.model", describe(builder, config));
  (*module)->setAttr("grok.numerics", builder.getStringAttr(nameOf(numerics)));
  builder.setInsertionPointToStart(module->getBody());

  Type tokensType = rowsOf({}, builder.getI32Type());
  auto type = builder.getFunctionType({tokensType, StepType::get(builder.getContext()), cacheType},
                                      {rowsOf(config.vocabSize, activation), cacheType});
  auto func = func::FuncOp::create(builder, at("step"), "step", type);
  Block *body = func.addEntryBlock();
  builder.setInsertionPointToStart(body);
  tokens = body->getArgument(0);
  step = body->getArgument(1);
  cache = body->getArgument(2);

  Value table = weight(at("embed"), "language_model/in_out_embed/embeddings");
  Value h = EmbedOp::create(builder, at("embed"), rowsOf(config.embSize, activation), tokens, table,
                            builder.getF64FloatAttr(config.embeddingMultiplier));
  for (int64_t layer = 0; layer < config.numLayers; ++layer)
    h = decoderLayer(layer, h);
  Value result = logits(h, table);
  func::ReturnOp::create(builder, at("step"), {result, cache});
  return module;
}

// Every tensor of the model is there, in its shape, with whole row groups.
static LogicalResult checkTensors(MLIRContext &context, const ModelConfig &config,
                                  const checkpoint::TensorList &tensors) {
  llvm::StringMap<const checkpoint::TensorInfo *> found;
  for (const checkpoint::TensorInfo &info : tensors)
    found[info.name] = &info;
  for (const checkpoint::TensorInfo &expected : expectedTensors(config)) {
    const checkpoint::TensorInfo *info = found.lookup(expected.name);
    auto error = [&] {
      return emitError(UnknownLoc::get(&context))
             << "model '" << config.name << "' expects tensor '" << expected.name << "' ";
    };
    if (!info)
      return error() << "in the checkpoint";
    if (info->shape != expected.shape)
      return error() << "of shape " << checkpoint::shapeText(expected.shape) << ", found "
                     << checkpoint::shapeText(info->shape);
    if (info->quantised && (info->shape.size() < 2 || info->rowGroups() < 1 ||
                            info->shape[info->shape.size() - 2] % info->rowGroups() != 0))
      return error() << "with whole row groups, found " << info->form();
  }
  return success();
}

OwningOpRef<ModuleOp> buildGraph(MLIRContext &context, const ModelConfig &config,
                                 const checkpoint::TensorList &tensors,
                                 const GraphOptions &options) {
  context.loadDialect<GrokDialect, func::FuncDialect>();
  if (failed(checkTensors(context, config, tensors)))
    return nullptr;
  OwningOpRef<ModuleOp> module = GraphBuilder(context, config, tensors, options).build();
  if (failed(verify(*module)))
    return nullptr;
  return module;
}

} // namespace grok::graph
