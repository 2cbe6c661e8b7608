// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The stack machine: opcodes, stack, marks and memo. What the objects mean
// stands in Objects.cpp.
#include "frontends/checkpoint/xai/PickleMachine.h"

#include "frontends/checkpoint/xai/Objects.h"
#include "frontends/checkpoint/xai/Opcodes.h"

#include <algorithm>

namespace grok::checkpoint {
namespace pickle {

/// A pair takes about 130 opcodes. The limit bounds heap, stack and memo too,
/// as an opcode adds at most one of each, so no pickle can be a memory bomb.
static constexpr int maxOpcodes = 2048;
/// Modules, names and keys are short; all of them are far below this.
static constexpr int64_t maxTextBytes = 255;
static constexpr uint64_t protocol = 4;

class Machine {
public:
  explicit Machine(const ByteSource &source) : cursor(source) {}
  Result<TensorRecord> run();

private:
  // Each returns false after fail(); the message is in `problem`.
  bool step(Opcode code);
  bool stepData(Opcode code);
  bool fail(const std::string &what);
  bool readUnsigned(int width, uint64_t &value);
  bool push(Value value);
  bool pop(Ref &ref);
  bool popToMark(std::vector<Ref> &items);
  bool readProtocol();
  bool readFrame();
  bool pushInteger(int width);
  bool pushText();
  bool pushBytes(int width);
  bool pushTuple(size_t parts);
  bool pushMarkedTuple();
  bool pushGlobal(Ref module, Ref name);
  bool readGlobal();
  bool stackGlobal();
  bool fetch(int width);
  bool memoize();
  bool setItems();
  bool setItem();
  bool addItems(Ref dict, const std::vector<Ref> &items);
  bool reduceOrConstruct(bool reduce);
  bool buildTop();
  Result<TensorRecord> finish();

  ByteCursor cursor;
  Heap heap;
  std::vector<Ref> stack;
  std::vector<size_t> marks; // stack heights
  std::vector<Ref> memo;
  int64_t opcodeOffset = 0;
  uint8_t opcode = 0;
  std::string problem;
};

bool Machine::fail(const std::string &what) {
  problem = describeOpcode(opcode) + " at byte " + std::to_string(opcodeOffset) + ": " + what;
  return false;
}

bool Machine::readUnsigned(int width, uint64_t &value) {
  return cursor.readInteger(width, value) || fail("the file ends too early; it is truncated");
}

bool Machine::push(Value value) {
  heap.push_back(std::move(value));
  stack.push_back(static_cast<Ref>(heap.size() - 1));
  return true;
}

bool Machine::pop(Ref &ref) {
  // What stands below a mark belongs to the tuple or dict that began there.
  if (stack.size() <= (marks.empty() ? 0 : marks.back()))
    return fail("the stack has too few values");
  ref = stack.back();
  stack.pop_back();
  return true;
}

bool Machine::popToMark(std::vector<Ref> &items) {
  if (marks.empty())
    return fail("there is no mark");
  items.assign(stack.begin() + static_cast<std::ptrdiff_t>(marks.back()), stack.end());
  stack.resize(marks.back());
  marks.pop_back();
  return true;
}

bool Machine::readProtocol() {
  uint64_t version = 0;
  if (!readUnsigned(1, version))
    return false;
  if (opcodeOffset != 0)
    return fail("only the first opcode may be PROTO");
  return version == protocol ||
         fail("pickle protocol " + std::to_string(version) + "; only protocol 4 is read");
}

bool Machine::readFrame() {
  uint64_t length = 0;
  if (!readUnsigned(8, length))
    return false;
  return length <= static_cast<uint64_t>(cursor.remaining()) ||
         fail("a frame of " + std::to_string(length) + " bytes, " +
              std::to_string(cursor.remaining()) + " remain; the file is truncated");
}

bool Machine::pushInteger(int width) {
  uint64_t value = 0;
  if (!readUnsigned(width, value))
    return false;
  // Only the four-byte form is signed.
  return push(width == 4 ? int64_t(static_cast<int32_t>(value)) : static_cast<int64_t>(value));
}

bool Machine::pushText() {
  uint64_t length = 0;
  std::string text;
  if (!readUnsigned(1, length))
    return false;
  if (!cursor.readText(static_cast<int64_t>(length), text))
    return fail("the file ends inside a string; it is truncated");
  return push(std::move(text));
}

bool Machine::pushBytes(int width) {
  uint64_t length = 0;
  if (!readUnsigned(width, length))
    return false;
  Bytes bytes{cursor.offset(), static_cast<int64_t>(length)};
  if (!cursor.skip(length))
    return fail("data of " + std::to_string(length) + " bytes, " +
                std::to_string(cursor.remaining()) + " remain; the file is truncated");
  return push(bytes);
}

bool Machine::pushTuple(size_t parts) {
  Tuple tuple{std::vector<Ref>(parts)};
  for (size_t index = parts; index-- > 0;)
    if (!pop(tuple.items[index]))
      return false;
  return push(std::move(tuple));
}

bool Machine::pushMarkedTuple() {
  Tuple tuple;
  return popToMark(tuple.items) && push(std::move(tuple));
}

bool Machine::pushGlobal(Ref module, Ref name) {
  const std::string *moduleText = std::get_if<std::string>(&heap[module]);
  const std::string *nameText = std::get_if<std::string>(&heap[name]);
  if (!moduleText || !nameText)
    return fail("the module and the name of a global are strings");
  Result<Global> global = findGlobal(*moduleText, *nameText);
  return global ? push(*global) : fail(global.error());
}

bool Machine::stackGlobal() {
  Ref name = 0;
  Ref module = 0;
  return pop(name) && pop(module) && pushGlobal(module, name);
}

/// GLOBAL spells module and name as two lines.
bool Machine::readGlobal() {
  std::string lines[2];
  for (std::string &line : lines) {
    uint64_t character = 0;
    while (readUnsigned(1, character) && character != '\n') {
      line += static_cast<char>(character);
      if (static_cast<int64_t>(line.size()) > maxTextBytes)
        return fail("the name of a global is too long");
    }
    if (!problem.empty())
      return false;
  }
  Result<Global> global = findGlobal(lines[0], lines[1]);
  return global ? push(*global) : fail(global.error());
}

bool Machine::fetch(int width) {
  uint64_t index = 0;
  if (!readUnsigned(width, index))
    return false;
  if (index >= memo.size())
    return fail("memo " + std::to_string(index) + " was never set");
  stack.push_back(memo[static_cast<size_t>(index)]);
  return true;
}

bool Machine::memoize() {
  if (stack.empty())
    return fail("the stack has too few values");
  memo.push_back(stack.back());
  return true;
}

bool Machine::addItems(Ref ref, const std::vector<Ref> &items) {
  Dict *dict = std::get_if<Dict>(&heap[ref]);
  if (!dict || items.size() % 2 != 0)
    return fail("items are set in a dict, as key and value");
  for (size_t index = 0; index < items.size(); index += 2)
    dict->items.emplace_back(items[index], items[index + 1]);
  return true;
}

bool Machine::setItems() {
  std::vector<Ref> items;
  Ref dict = 0;
  if (!popToMark(items) || !pop(dict))
    return false;
  stack.push_back(dict);
  return addItems(dict, items);
}

bool Machine::setItem() {
  Ref value = 0;
  Ref key = 0;
  Ref dict = 0;
  if (!pop(value) || !pop(key) || !pop(dict))
    return false;
  stack.push_back(dict);
  return addItems(dict, {key, value});
}

bool Machine::reduceOrConstruct(bool reduce) {
  Ref arguments = 0;
  Ref callable = 0;
  if (!pop(arguments) || !pop(callable))
    return false;
  Result<Value> object =
      reduce ? call(heap, callable, arguments) : construct(heap, callable, arguments);
  return object ? push(std::move(*object)) : fail(object.error());
}

bool Machine::buildTop() {
  Ref state = 0;
  Ref object = 0;
  if (!pop(state) || !pop(object))
    return false;
  Result<Value> built = build(heap, object, state);
  if (!built)
    return fail(built.error());
  heap[object] = std::move(*built);
  stack.push_back(object);
  return true;
}

bool Machine::stepData(Opcode code) {
  switch (code) {
  case Opcode::binint1:
    return pushInteger(1);
  case Opcode::binint2:
    return pushInteger(2);
  case Opcode::binint:
    return pushInteger(4);
  case Opcode::none:
    return push(None{});
  case Opcode::newtrue:
    return push(true);
  case Opcode::newfalse:
    return push(false);
  case Opcode::shortBinunicode:
    return pushText();
  case Opcode::shortBinbytes:
    return pushBytes(1);
  case Opcode::binbytes:
    return pushBytes(4);
  case Opcode::binbytes8:
    return pushBytes(8);
  case Opcode::emptyDict:
    return push(Dict{});
  case Opcode::emptyTuple:
    return push(Tuple{});
  case Opcode::tuple1:
    return pushTuple(1);
  case Opcode::tuple2:
    return pushTuple(2);
  case Opcode::tuple3:
    return pushTuple(3);
  case Opcode::tuple:
    return pushMarkedTuple();
  default:
    return fail("not an opcode that a tensor needs; it is refused");
  }
}

bool Machine::step(Opcode code) {
  switch (code) {
  case Opcode::proto:
    return readProtocol();
  case Opcode::frame:
    return readFrame();
  case Opcode::mark:
    marks.push_back(stack.size());
    return true;
  case Opcode::memoize:
    return memoize();
  case Opcode::binget:
    return fetch(1);
  case Opcode::longBinget:
    return fetch(4);
  case Opcode::global:
    return readGlobal();
  case Opcode::stackGlobal:
    return stackGlobal();
  case Opcode::reduce:
    return reduceOrConstruct(true);
  case Opcode::newobj:
    return reduceOrConstruct(false);
  case Opcode::build:
    return buildTop();
  case Opcode::setitem:
    return setItem();
  case Opcode::setitems:
    return setItems();
  default:
    return stepData(code);
  }
}

Result<TensorRecord> Machine::finish() {
  if (stack.size() != 1 || !marks.empty())
    return tl::unexpected(std::string("the pickle ends with values left over"));
  if (cursor.remaining() != 0)
    return tl::unexpected(std::to_string(cursor.remaining()) +
                          " bytes follow the pickle's end at " + std::to_string(cursor.offset()) +
                          "; the file is not one tensor");
  return tensorOf(heap[stack.back()]);
}

Result<TensorRecord> Machine::run() {
  for (int count = 0; count < maxOpcodes; ++count) {
    opcodeOffset = cursor.offset();
    uint64_t code = 0;
    if (!cursor.readInteger(1, code))
      return tl::unexpected("the file ends at byte " + std::to_string(opcodeOffset) +
                            " without STOP; it is truncated");
    opcode = static_cast<uint8_t>(code);
    if (count == 0 && static_cast<Opcode>(opcode) != Opcode::proto)
      return tl::unexpected(
          std::string("not a pickle of protocol 4: it does not begin with PROTO"));
    if (static_cast<Opcode>(opcode) == Opcode::stop)
      return finish();
    if (!step(static_cast<Opcode>(opcode)))
      return tl::unexpected(problem);
  }
  return tl::unexpected("more than " + std::to_string(maxOpcodes) +
                        " opcodes; the file is not one tensor");
}

} // namespace pickle

/// What git leaves of a large file that was never fetched.
static bool isLfsPointer(const ByteSource &source) {
  constexpr std::string_view prefix = "version https://git-lfs";
  std::string begin;
  return ByteCursor(source).readText(prefix.size(), begin) && begin == prefix;
}

Result<TensorRecord> readTensorPickle(const ByteSource &source) {
  if (source.size() == 0)
    return tl::unexpected(std::string("the file is empty"));
  if (isLfsPointer(source))
    return tl::unexpected(
        std::string("a Git LFS pointer, not the data; fetch it with 'git lfs pull'"));
  return pickle::Machine(source).run();
}

} // namespace grok::checkpoint
