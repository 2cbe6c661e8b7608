// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/frontends/checkpoint/xai/PickleWriter.h"

namespace grok::checkpoint {

PickleWriter &PickleWriter::byte(uint8_t value) {
  bytes += static_cast<char>(value);
  return *this;
}

PickleWriter &PickleWriter::number(uint64_t value, int width) {
  for (int index = 0; index < width; ++index)
    byte(static_cast<uint8_t>(value >> (8 * index)));
  return *this;
}

PickleWriter &PickleWriter::raw(std::string_view text) {
  bytes += text;
  return *this;
}

PickleWriter &PickleWriter::memoize() {
  ++memoSize;
  return op(Opcode::memoize);
}

PickleWriter &PickleWriter::text(std::string_view value) {
  op(Opcode::shortBinunicode).number(value.size(), 1).raw(value);
  return memoize();
}

PickleWriter &PickleWriter::integer(int64_t value) {
  if (value >= 0 && value < 256)
    return op(Opcode::binint1).number(static_cast<uint64_t>(value), 1);
  if (value >= 0 && value < 65536)
    return op(Opcode::binint2).number(static_cast<uint64_t>(value), 2);
  return op(Opcode::binint).number(static_cast<uint64_t>(value), 4);
}

PickleWriter &PickleWriter::payload(std::string_view data) {
  if (data.size() < 256)
    op(Opcode::shortBinbytes).number(data.size(), 1).raw(data);
  else
    op(Opcode::binbytes).number(data.size(), 4).raw(data);
  return memoize();
}

PickleWriter &PickleWriter::global(const std::string &module, const std::string &name) {
  auto known = globals.find(module + " " + name);
  if (known != globals.end())
    return op(Opcode::binget).number(known->second, 1);
  text(module).text(name).op(Opcode::stackGlobal);
  globals[module + " " + name] = memoSize;
  return memoize();
}

std::string PickleWriter::stop() { return op(Opcode::stop).bytes; }

ArraySpec arrayOf(DType dtype, std::vector<int64_t> shape, char fill) {
  ArraySpec array;
  array.dtype = dtype == DType::f32 ? "f4" : dtype == DType::bf16 ? "bf16" : "i1";
  array.payload.assign(static_cast<size_t>(elementsOf(shape).value_or(0) * sizeOf(dtype)), fill);
  array.shape = std::move(shape);
  return array;
}

static void writeDType(PickleWriter &writer, const ArraySpec &array) {
  bool bfloat = array.dtype == "bf16";
  bool bytes = array.dtype == "i1";
  writer.global("numpy", "dtype");
  if (bfloat)
    writer.global("ml_dtypes", "bfloat16");
  else
    writer.text(array.dtype);
  writer.op(Opcode::newfalse).op(Opcode::newtrue).op(Opcode::tuple3).memoize();
  writer.op(Opcode::reduce).memoize().op(Opcode::mark).integer(3);
  writer.text(!array.byteOrder.empty() ? array.byteOrder : bytes ? "|" : "<");
  writer.op(Opcode::none).op(Opcode::none).op(Opcode::none);
  writer.integer(bfloat ? 2 : -1).integer(bfloat ? 2 : -1).integer(bfloat ? 80 : 0);
  writer.op(Opcode::tuple).memoize().op(Opcode::build);
}

void writeArray(PickleWriter &writer, const ArraySpec &array) {
  writer.global(array.multiarray, "_reconstruct").global("numpy", "ndarray");
  writer.integer(0).op(Opcode::tuple1).memoize().payload("b");
  writer.op(Opcode::tuple3).memoize().op(Opcode::reduce).memoize();
  writer.op(Opcode::mark).integer(1).op(Opcode::mark);
  for (int64_t dimension : array.shape)
    writer.integer(dimension);
  writer.op(Opcode::tuple).memoize();
  writeDType(writer, array);
  writer.op(array.fortran ? Opcode::newtrue : Opcode::newfalse).payload(array.payload);
  writer.op(Opcode::tuple).memoize().op(Opcode::build);
}

std::string arrayPickle(const ArraySpec &array) {
  PickleWriter writer;
  writeArray(writer, array);
  return writer.stop();
}

std::string pairPickle(const ArraySpec &weight, const ArraySpec &scales,
                       const std::string &module) {
  PickleWriter writer;
  writer.global(module, "QuantizedWeight8bit").op(Opcode::emptyTuple).op(Opcode::newobj).memoize();
  writer.op(Opcode::emptyDict).memoize().op(Opcode::mark).text("weight");
  writeArray(writer, weight);
  writer.text("scales");
  writeArray(writer, scales);
  return writer.op(Opcode::setitems).op(Opcode::build).stop();
}

std::string tensorPickle(const TensorInfo &tensor) {
  ArraySpec weight = arrayOf(tensor.dtype, tensor.shape);
  if (!tensor.quantised)
    return arrayPickle(weight);
  return pairPickle(weight, arrayOf(tensor.scaleDtype, tensor.scaleShape));
}

} // namespace grok::checkpoint
