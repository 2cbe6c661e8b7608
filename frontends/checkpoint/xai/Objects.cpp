// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The tables of globals, dtypes and object states (specification section 6).
#include "frontends/checkpoint/xai/Objects.h"

namespace grok::checkpoint::pickle {

/// Fixed part of the state that NumPy writes: (version, byte order, subtype,
/// names, fields, item size, alignment, flags).
static constexpr size_t dtypeStateParts = 8;
static constexpr int64_t dtypeStateVersion = 3;
/// (version, shape, dtype, Fortran order, bytes).
static constexpr size_t arrayStateParts = 5;
static constexpr int64_t arrayStateVersion = 1;
static constexpr size_t maxRank = 3;

struct KnownGlobal {
  std::string_view module;
  std::string_view name;
  Global global;
};

static constexpr KnownGlobal knownGlobals[] = {
    {"__main__", "QuantizedWeight8bit", Global::quantizedWeight},
    {"model", "QuantizedWeight8bit", Global::quantizedWeight},
    {"numpy.core.multiarray", "_reconstruct", Global::reconstruct},
    {"numpy._core.multiarray", "_reconstruct", Global::reconstruct},
    {"numpy", "ndarray", Global::ndarray},
    {"numpy", "dtype", Global::dtype},
    {"ml_dtypes", "bfloat16", Global::bfloat16},
};

std::string_view kindOf(const Value &value) {
  static constexpr std::string_view names[] = {"None",    "a bool",   "an integer", "a string",
                                               "bytes",   "a tuple",  "a dict",     "a global",
                                               "a dtype", "an array", "a pair"};
  static_assert(std::size(names) == std::variant_size_v<Value>);
  return names[value.index()];
}

static tl::unexpected<std::string> error(std::string text) {
  return tl::unexpected<std::string>(std::move(text));
}

Result<Global> findGlobal(std::string_view module, std::string_view name) {
  for (const KnownGlobal &known : knownGlobals)
    if (known.module == module && known.name == name)
      return known.global;
  return error("global '" + printable(module) + " " + printable(name) +
               "' is not one that a tensor needs");
}

template <typename T> static bool holds(const Value &value, const T &wanted) {
  const T *held = std::get_if<T>(&value);
  return held && *held == wanted;
}

static const Tuple *tupleOf(const Heap &heap, Ref ref, size_t parts) {
  const Tuple *tuple = std::get_if<Tuple>(&heap[ref]);
  return tuple && tuple->items.size() == parts ? tuple : nullptr;
}

/// dtype("f4", False, True), or the class bfloat16 in place of the string.
static Result<Value> callDType(const Heap &heap, Ref arguments) {
  const Tuple *tuple = tupleOf(heap, arguments, 3);
  if (!tuple || !holds(heap[tuple->items[1]], false) || !holds(heap[tuple->items[2]], true))
    return error("dtype takes (type, False, True)");
  const Value &type = heap[tuple->items[0]];
  if (holds(type, Global::bfloat16))
    return DTypeObject{DType::bf16};
  const std::string *code = std::get_if<std::string>(&type);
  if (!code)
    return error("dtype of " + std::string(kindOf(type)) + " is not understood");
  if (*code == "f4")
    return DTypeObject{DType::f32};
  if (*code == "i1")
    return DTypeObject{DType::i8};
  return error("dtype '" + printable(*code) + "' is none of float32, bfloat16 and int8");
}

/// _reconstruct(ndarray, (0,), b"b"): an array still without shape and data.
static Result<Value> callReconstruct(const Heap &heap, Ref arguments) {
  const Tuple *tuple = tupleOf(heap, arguments, 3);
  if (!tuple || !holds(heap[tuple->items[0]], Global::ndarray))
    return error("_reconstruct takes (ndarray, (0,), b'b')");
  const Tuple *shape = tupleOf(heap, tuple->items[1], 1);
  const Bytes *type = std::get_if<Bytes>(&heap[tuple->items[2]]);
  if (!shape || !holds(heap[shape->items[0]], int64_t(0)) || !type || type->size != 1)
    return error("_reconstruct takes (ndarray, (0,), b'b')");
  return ArrayObject{};
}

Result<Value> call(const Heap &heap, Ref callable, Ref arguments) {
  if (holds(heap[callable], Global::dtype))
    return callDType(heap, arguments);
  if (holds(heap[callable], Global::reconstruct))
    return callReconstruct(heap, arguments);
  return error("only dtype and _reconstruct may be called");
}

Result<Value> construct(const Heap &heap, Ref type, Ref arguments) {
  if (!holds(heap[type], Global::quantizedWeight) || !tupleOf(heap, arguments, 0))
    return error("only QuantizedWeight8bit() may be made");
  return PairObject{};
}

static Result<Value> buildDType(const Heap &heap, const DTypeObject &object, Ref state) {
  const Tuple *tuple = tupleOf(heap, state, dtypeStateParts);
  if (!tuple || !holds(heap[tuple->items[0]], dtypeStateVersion))
    return error("the state of a dtype is a tuple of 8 that begins with 3");
  if (object.built)
    return error("this dtype has its state already");
  const std::string *order = std::get_if<std::string>(&heap[tuple->items[1]]);
  if (order && *order == ">")
    return error("the data is big-endian; only little-endian is read");
  if (!order || *order != (object.dtype == DType::i8 ? "|" : "<"))
    return error("the byte order of a dtype is not understood");
  for (size_t part = 2; part < 5; ++part)
    if (!std::holds_alternative<None>(heap[tuple->items[part]]))
      return error("dtypes with fields or subarrays are not understood");
  // Item size, alignment and flags follow; versions of ml_dtypes differ there.
  return DTypeObject{object.dtype, true};
}

static Result<std::vector<int64_t>> shapeOf(const Heap &heap, Ref ref) {
  const Tuple *tuple = std::get_if<Tuple>(&heap[ref]);
  if (!tuple || tuple->items.empty() || tuple->items.size() > maxRank)
    return error("the shape of an array is a tuple of 1 to 3 integers");
  std::vector<int64_t> shape;
  for (Ref item : tuple->items) {
    const int64_t *dimension = std::get_if<int64_t>(&heap[item]);
    if (!dimension || *dimension < 1)
      return error("a dimension of an array is a positive integer");
    shape.push_back(*dimension);
  }
  return shape;
}

static Result<Value> buildArray(const Heap &heap, const ArrayObject &object, Ref state) {
  const Tuple *tuple = tupleOf(heap, state, arrayStateParts);
  if (!tuple || !holds(heap[tuple->items[0]], arrayStateVersion))
    return error("the state of an array is a tuple of 5 that begins with 1");
  if (object.record)
    return error("this array has its state already");
  Result<std::vector<int64_t>> shape = shapeOf(heap, tuple->items[1]);
  if (!shape)
    return error(shape.error());
  const DTypeObject *dtype = std::get_if<DTypeObject>(&heap[tuple->items[2]]);
  if (!dtype || !dtype->built)
    return error("the third part of an array's state is a dtype with its state");
  if (!holds(heap[tuple->items[3]], false))
    return error("the array is in Fortran order; save it in C order");
  const Bytes *bytes = std::get_if<Bytes>(&heap[tuple->items[4]]);
  if (!bytes)
    return error("the last part of an array's state is bytes");
  std::optional<int64_t> size = elementsOf(*shape);
  int64_t wanted = 0;
  if (!size || __builtin_mul_overflow(*size, sizeOf(dtype->dtype), &wanted))
    return error("the shape " + shapeText(*shape) + " is too large");
  if (wanted != bytes->size)
    return error(std::string(nameOf(dtype->dtype)) + " " + shapeText(*shape) + " needs " +
                 std::to_string(wanted) + " bytes, the array has " + std::to_string(bytes->size));
  return ArrayObject{ArrayRecord{dtype->dtype, *shape, bytes->offset, bytes->size}};
}

static Result<Value> buildPair(const Heap &heap, const PairObject &object, Ref state) {
  const Dict *dict = std::get_if<Dict>(&heap[state]);
  if (!dict || dict->items.size() != 2 || object.record)
    return error("the state of a QuantizedWeight8bit is a dict of weight and scales");
  const ArrayObject *weight = nullptr;
  const ArrayObject *scales = nullptr;
  for (const auto &[key, value] : dict->items) {
    if (holds(heap[key], std::string("weight")))
      weight = std::get_if<ArrayObject>(&heap[value]);
    if (holds(heap[key], std::string("scales")))
      scales = std::get_if<ArrayObject>(&heap[value]);
  }
  if (!weight || !scales || !weight->record || !scales->record)
    return error("the weight and the scales of a QuantizedWeight8bit are two arrays");
  return PairObject{TensorRecord{*weight->record, scales->record}};
}

Result<Value> build(const Heap &heap, Ref object, Ref state) {
  const Value &value = heap[object];
  if (const DTypeObject *dtype = std::get_if<DTypeObject>(&value))
    return buildDType(heap, *dtype, state);
  if (const ArrayObject *array = std::get_if<ArrayObject>(&value))
    return buildArray(heap, *array, state);
  if (const PairObject *pair = std::get_if<PairObject>(&value))
    return buildPair(heap, *pair, state);
  return error(std::string(kindOf(value)) + " takes no state");
}

Result<TensorRecord> tensorOf(const Value &value) {
  if (const ArrayObject *array = std::get_if<ArrayObject>(&value); array && array->record)
    return TensorRecord{*array->record, std::nullopt};
  if (const PairObject *pair = std::get_if<PairObject>(&value); pair && pair->record)
    return *pair->record;
  return error("the file holds " + std::string(kindOf(value)) +
               ", not an array or a QuantizedWeight8bit");
}

} // namespace grok::checkpoint::pickle
