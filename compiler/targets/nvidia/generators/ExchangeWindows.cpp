// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/ExchangeWindows.h"

namespace grok::compiler {

static constexpr int64_t wordBytes = 8, most = grokExchangeMembers;
static constexpr int32_t looksBeforeAsking = 1024; // about a millisecond

ExchangeWindows::ExchangeWindows(GpuBuilder &kernel, Value description)
    : kernel(kernel), description(description) {
  state = field(offsetof(GrokExchange, state), kernel.pointer);
  control = field(offsetof(GrokExchange, control), kernel.pointer);
  rowWords = field(offsetof(GrokExchange, rowWords), kernel.i64);
  members = wordField(offsetof(GrokExchange, members));
  index = kernel.toIndex(wordField(offsetof(GrokExchange, index)));
  isSum = kernel.equal(wordField(offsetof(GrokExchange, isSum)), kernel.word(1));
  ofLogits = kernel.equal(wordField(offsetof(GrokExchange, ofLogits)), kernel.word(1));
  number = kernel.load(kernel.i32, state);
  for (int64_t member = 0; member < most; ++member)
    windows.push_back(
        field(offsetof(GrokExchange, windows) + static_cast<size_t>(member) * 8, kernel.pointer));
  own = windows[0];
  for (int64_t member = 1; member < most; ++member)
    own = kernel.select(kernel.equal(index, kernel.index(member)),
                        windows[static_cast<size_t>(member)], own);
}

Value ExchangeWindows::field(size_t at, Type type) {
  return kernel.load(type, kernel.offset(description, static_cast<int64_t>(at)));
}

void ExchangeWindows::forMembers(llvm::function_ref<void(size_t)> body) {
  for (size_t member = 0; member < most; ++member)
    kernel.when(kernel.less(kernel.word(static_cast<int32_t>(member)), members),
                [&] { body(member); });
}

// In the half for `number`, of what `sender` writes.
Value ExchangeWindows::place(Value window, Value number, Value sender, Value position) {
  Value half = kernel.toIndex(kernel.bitAnd(number, kernel.word(1)));
  Value row = kernel.add(kernel.mul(half, most), sender);
  Value word = kernel.add(kernel.mul(row, grokExchangeWords), position);
  return kernel.rowAddress(window, word, wordBytes);
}

void ExchangeWindows::sendTo(size_t member, Value word, Value position, Value number) {
  Value both = kernel.bitOr(kernel.shiftLeft(kernel.widenUnsigned(number, kernel.i64), 32),
                            kernel.widenUnsigned(word, kernel.i64));
  kernel.storeVolatile(both, place(windows[member], number, index, position));
}

void ExchangeWindows::send(Value word, Value position, Value number) {
  forMembers([&](size_t member) { sendTo(member, word, position, number); });
}

static Value numberIn(GpuBuilder &kernel, Value word) {
  return kernel.narrow(kernel.shiftRight(word, 32), kernel.i32);
}

Value ExchangeWindows::isMissing(ValueRange words, Value number) {
  Value all = kernel.bit(true);
  for (Value word : words)
    all = kernel.both(all, kernel.equal(numberIn(kernel, word), number));
  return kernel.bitXor(all, kernel.bit(true));
}

// After a long wait: says for whom, and gives whether the host has given up.
Value ExchangeWindows::askHost(ValueRange words, Value number) {
  Value late = kernel.word(0);
  for (size_t i = words.size(); i-- > 0;) {
    Value isThere = kernel.equal(numberIn(kernel, words[i]), number);
    late = kernel.select(isThere, late, kernel.word(static_cast<int32_t>(i) % most + 1));
  }
  Value operation = kernel.shiftLeft(wordField(offsetof(GrokExchange, operation)), 8);
  kernel.storeVolatile(kernel.bitOr(operation, late),
                       kernel.offset(control, offsetof(GrokExchangeControl, waiting)));
  return kernel.loadVolatile(kernel.i32, control);
}

Values ExchangeWindows::await(ValueRange positions, Value number) {
  Values places; // of absent members: our own
  for (Value position : positions)
    for (int64_t member = 0; member < most; ++member) {
      Value isThere = kernel.less(kernel.word(static_cast<int32_t>(member)), members);
      Value sender = kernel.select(isThere, kernel.index(member), index);
      places.push_back(place(own, number, sender, position));
    }
  // Looks, and now and then whether the host has given up.
  Values first(places.size(), kernel.widenUnsigned(kernel.word(0), kernel.i64));
  first.push_back(kernel.word(0));
  Values ended = kernel.repeat(first, [&](ValueRange before) -> std::pair<Value, Values> {
    Values words;
    for (Value at : places)
      words.push_back(kernel.loadVolatile(kernel.i64, at));
    Value missing = isMissing(words, number), looks = kernel.add(before.back(), kernel.word(1));
    Value isLong =
        kernel.both(missing, kernel.equal(kernel.bitAnd(looks, kernel.word(looksBeforeAsking - 1)),
                                          kernel.word(0)));
    Value abort = kernel.choose(
        isLong, [&] { return askHost(words, number); }, [&] { return kernel.word(0); });
    words.push_back(looks);
    return {kernel.both(missing, kernel.equal(abort, kernel.word(0))), words};
  });
  Value wasLong = kernel.less(kernel.word(looksBeforeAsking - 1), ended.back());
  kernel.when(wasLong, [&] {
    kernel.storeVolatile(kernel.word(0),
                         kernel.offset(control, offsetof(GrokExchangeControl, waiting)));
  });
  ended.pop_back();
  return ended;
}

// Level by level neighbours meet, one that has none goes on alone.
Value ExchangeWindows::sumOf(ValueRange words) {
  Values parts;
  for (Value word : words)
    parts.push_back(kernel.fromBits(kernel.narrow(word, kernel.i32)));
  for (int64_t width = 1; width < most; width *= 2)
    for (int64_t left = 0; left < most; left += 2 * width) {
      Value &sum = parts[static_cast<size_t>(left)];
      Value hasRight = kernel.less(kernel.word(static_cast<int32_t>(left + width)), members);
      sum = kernel.select(hasRight, kernel.add(sum, parts[static_cast<size_t>(left + width)]), sum);
    }
  return parts[0];
}

// The last block to end, after which nobody reads the old number.
void ExchangeWindows::finish(Value numbers) {
  kernel.barrier();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    Value blocks = kernel.offset(state, offsetof(GrokExchangeState, blocks));
    Value before = kernel.fetchAdd(blocks, kernel.word(1));
    Value last = kernel.add(kernel.mul(kernel.blocks, kernel.clusterBlocks), -1);
    kernel.when(kernel.equal(kernel.toIndex(before), last), [&] {
      kernel.store(kernel.word(0), blocks);
      kernel.store(kernel.add(number, kernel.toWord(numbers)), state);
    });
  });
}

} // namespace grok::compiler
