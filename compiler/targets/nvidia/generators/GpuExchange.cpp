// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// exchange: all_reduce and all_gather between the members' device memories. What goes
// where, and why nobody overwrites what is still read: runtime/plan/ExchangeABI.h.
// Operands: source, target, GrokExchange.
#include "compiler/targets/nvidia/generators/GpuGenerators.h"
#include "runtime/plan/ExchangeABI.h"

namespace grok::compiler::gpu_kernels {

static constexpr int64_t wordBytes = 8, most = grokExchangeMembers;
static constexpr int32_t looksBeforeAsking = 1024; // about a millisecond

namespace {

class Exchange {
public:
  explicit Exchange(GpuBuilder &kernel);
  void emit();

private:
  Value field(size_t at, Type type) {
    return kernel.load(type, kernel.offset(description, static_cast<int64_t>(at)));
  }
  Value wordField(size_t at) { return field(at, kernel.i32); }
  void forMembers(llvm::function_ref<void(size_t)> body) {
    for (size_t member = 0; member < most; ++member)
      kernel.when(kernel.less(kernel.word(static_cast<int32_t>(member)), members),
                  [&] { body(member); });
  }
  // Of this thread's word in the half for `number`, written by `sender`.
  Value place(Value window, Value number, Value sender);
  void send(Value word, Value number);
  void sendTo(size_t member, Value word, Value number);
  // The members' words, of absent ones whatever.
  Values await(Value number);
  Value isMissing(const Values &words, Value number);
  Value askHost(const Values &words, Value number);
  Value sumOf(const Values &words);
  void forPieces(Value width, llvm::function_ref<Value(Value piece, Value number)> body);
  Value wordOf(Value shares);
  Value sourceAt(Value i);
  void keep(Value word, Value i);
  void emitOneShot();
  void emitTwoShot();
  void keepAll(const Values &words, Value i);
  void finish(Value twoShot);

  GpuBuilder &kernel;
  Value description, state, control, rowWords, count, members, index, isSum, isEmpty, number;
  Value share, position; // words of a share of the message; which of them
  Values windows;
};

} // namespace

Exchange::Exchange(GpuBuilder &kernel) : kernel(kernel), description(kernel.operand(2)) {
  state = field(offsetof(GrokExchange, state), kernel.pointer);
  control = field(offsetof(GrokExchange, control), kernel.pointer);
  rowWords = field(offsetof(GrokExchange, rowWords), kernel.i64);
  members = wordField(offsetof(GrokExchange, members));
  index = kernel.toIndex(wordField(offsetof(GrokExchange, index)));
  isSum = kernel.equal(wordField(offsetof(GrokExchange, isSum)), kernel.word(1));
  Value ofLogits = kernel.equal(wordField(offsetof(GrokExchange, ofLogits)), kernel.word(1));
  count = kernel.mul(kernel.select(ofLogits, kernel.logitRows, kernel.rows), rowWords);
  isEmpty = kernel.equal(count, kernel.index(0));
  number = kernel.load(kernel.i32, state);
  for (int64_t member = 0; member < most; ++member)
    windows.push_back(
        field(offsetof(GrokExchange, windows) + static_cast<size_t>(member) * 8, kernel.pointer));
}

Value Exchange::place(Value window, Value number, Value sender) {
  Value half = kernel.toIndex(kernel.bitAnd(number, kernel.word(1)));
  Value row = kernel.add(kernel.mul(half, most), sender);
  Value word = kernel.add(kernel.mul(row, grokExchangeWords), position);
  return kernel.rowAddress(window, word, wordBytes);
}

// To one that is there.
void Exchange::sendTo(size_t member, Value word, Value number) {
  Value both = kernel.bitOr(kernel.shiftLeft(kernel.widenUnsigned(number, kernel.i64), 32),
                            kernel.widenUnsigned(word, kernel.i64));
  kernel.storeVolatile(both, place(windows[member], number, index));
}

void Exchange::send(Value word, Value number) {
  forMembers([&](size_t member) { sendTo(member, word, number); });
}

static Value numberIn(GpuBuilder &kernel, Value word) {
  return kernel.narrow(kernel.shiftRight(word, 32), kernel.i32);
}

Value Exchange::isMissing(const Values &words, Value number) {
  Value all = kernel.bit(true);
  for (Value word : words)
    all = kernel.both(all, kernel.equal(numberIn(kernel, word), number));
  return kernel.bitXor(all, kernel.bit(true));
}

// After a long wait: says for whom, and gives whether the host has given up.
Value Exchange::askHost(const Values &words, Value number) {
  Value late = kernel.word(0);
  for (int64_t member = most; member-- > 0;) {
    Value isThere = kernel.equal(numberIn(kernel, words[static_cast<size_t>(member)]), number);
    late = kernel.select(isThere, late, kernel.word(static_cast<int32_t>(member) + 1));
  }
  Value operation = kernel.shiftLeft(wordField(offsetof(GrokExchange, operation)), 8);
  kernel.storeVolatile(kernel.bitOr(operation, late),
                       kernel.offset(control, offsetof(GrokExchangeControl, waiting)));
  return kernel.loadVolatile(kernel.i32, control);
}

Values Exchange::await(Value number) {
  Value own = windows[0];
  for (int64_t member = 1; member < most; ++member)
    own = kernel.select(kernel.equal(index, kernel.index(member)),
                        windows[static_cast<size_t>(member)], own);
  Values places; // of absent members: our own
  for (int64_t member = 0; member < most; ++member) {
    Value isThere = kernel.less(kernel.word(static_cast<int32_t>(member)), members);
    places.push_back(place(own, number, kernel.select(isThere, kernel.index(member), index)));
  }
  auto look = [&]() -> Values {
    Values words;
    for (Value at : places)
      words.push_back(kernel.loadVolatile(kernel.i64, at));
    return words;
  };
  // Looks, and now and then whether the host has given up.
  Values first(most, kernel.widenUnsigned(kernel.word(0), kernel.i64));
  first.push_back(kernel.word(0));
  Values ended = kernel.repeat(first, [&](ValueRange before) -> std::pair<Value, Values> {
    Values words = look();
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

// As treeSum: level by level neighbours meet, one that has none goes on alone.
Value Exchange::sumOf(const Values &words) {
  Values parts;
  for (Value word : words)
    parts.push_back(kernel.fromBits(kernel.narrow(word, kernel.i32)));
  for (int64_t width = 1; width < most; width *= 2)
    for (int64_t left = 0; left < most; left += 2 * width) {
      Value &sum = parts[static_cast<size_t>(left)];
      Value hasRight = kernel.less(kernel.word(static_cast<int32_t>(left + width)), members);
      sum = kernel.select(hasRight, kernel.add(sum, parts[static_cast<size_t>(left + width)]), sum);
    }
  return kernel.bitsOf(parts[0]);
}

void Exchange::keepAll(const Values &words, Value i) {
  auto [row, column] = kernel.divide(i, rowWords);
  Value first = kernel.mul(row, kernel.toIndex(members));
  forMembers([&](size_t member) {
    Value to =
        kernel.add(kernel.mul(kernel.add(first, static_cast<int64_t>(member)), rowWords), column);
    kernel.store(kernel.narrow(words[member], kernel.i32),
                 kernel.rowAddress(kernel.operand(1), to, 4));
  });
}

// The last block to end, after which nobody reads the old number.
void Exchange::finish(Value twoShot) {
  Value one = kernel.index(1), width = kernel.select(twoShot, kernel.toIndex(members), one);
  Value longest = kernel.mul(width, grokExchangeWords);
  Value pieces = kernel.divide(kernel.add(kernel.add(count, longest), -1), longest).first;
  pieces = kernel.mul(pieces, kernel.select(twoShot, kernel.index(2), one));
  kernel.barrier();
  kernel.when(kernel.equal(kernel.thread, kernel.index(0)), [&] {
    Value blocks = kernel.offset(state, offsetof(GrokExchangeState, blocks));
    Value before = kernel.fetchAdd(blocks, kernel.word(1));
    Value isLast = kernel.equal(kernel.toIndex(before), kernel.add(kernel.blocks, -1));
    kernel.when(isLast, [&] {
      kernel.store(kernel.word(0), blocks);
      kernel.store(kernel.add(number, kernel.toWord(pieces)), state);
    });
  });
}

// Cuts the message in pieces of `width` shares of equal length, at most that of the window,
// and calls body(piece, number before) for each; it gives the number after. A thread has
// its places of the window in every piece, also where the message has ended.
void Exchange::forPieces(Value width, llvm::function_ref<Value(Value, Value)> body) {
  auto quotientUp = [&](Value a, Value b) {
    return kernel.divide(kernel.add(kernel.add(a, b), -1), b).first;
  };
  Value longest = kernel.mul(width, grokExchangeWords);
  Value pieces = quotientUp(kernel.select(isEmpty, kernel.index(1), count), longest);
  share = quotientUp(count, kernel.mul(width, pieces)); // 0 of an empty message
  Value tiles = kernel.quotient(kernel.add(share, kernel.threads - 1), kernel.threads);
  kernel.forTiles(tiles, grokExchangeWords / kernel.threads, [&](Value tile) {
    position = kernel.add(kernel.mul(tile, kernel.threads), kernel.thread);
    kernel.when(kernel.less(position, share), [&] {
      kernel.loop(kernel.index(0), pieces, 1, {number},
                  [&](Value piece, ValueRange last) -> Values { return {body(piece, last[0])}; });
    });
  });
}

// Of share number `shares`; what is not there counts as the first.
Value Exchange::wordOf(Value shares) { return kernel.add(kernel.mul(shares, share), position); }

Value Exchange::sourceAt(Value i) {
  Value from = kernel.select(kernel.less(i, count), i, kernel.index(0));
  return kernel.load(kernel.i32, kernel.rowAddress(kernel.operand(0), from, 4));
}

void Exchange::keep(Value word, Value i) {
  kernel.store(word, kernel.rowAddress(kernel.operand(1), i, 4));
}

// Every member gets all words.
void Exchange::emitOneShot() {
  forPieces(kernel.index(1), [&](Value piece, Value last) {
    Value i = wordOf(piece), now = kernel.add(last, kernel.word(1));
    send(sourceAt(i), now);
    Values words = await(now);
    kernel.when(kernel.less(i, count), [&] {
      kernel.when(isSum, [&] { keep(sumOf(words), i); }, [&] { keepAll(words, i); });
    });
    return now;
  });
}

// Of long sums each member gets the words of a share alone, sums them and sends the sums
// to all: two numbers for a piece.
void Exchange::emitTwoShot() {
  Value width = kernel.toIndex(members);
  forPieces(width, [&](Value piece, Value last) {
    Value now = kernel.add(last, kernel.word(1)), then = kernel.add(now, kernel.word(1));
    Value shares = kernel.mul(piece, width);
    auto place = [&](size_t member) {
      return wordOf(kernel.add(shares, static_cast<int64_t>(member)));
    };
    forMembers([&](size_t member) { sendTo(member, sourceAt(place(member)), now); });
    send(sumOf(await(now)), then);
    Values sums = await(then);
    forMembers([&](size_t member) {
      Value i = place(member);
      kernel.when(kernel.less(i, count), [&] { keep(kernel.narrow(sums[member], kernel.i32), i); });
    });
    return then;
  });
}

void Exchange::emit() {
  Value isLong = kernel.less(kernel.index(grokExchangeWords), count);
  Value isMany = kernel.less(kernel.word(2), members); // two send each other all, either way
  Value twoShot = kernel.both(isSum, kernel.both(isLong, isMany));
  kernel.when(twoShot, [&] { emitTwoShot(); }, [&] { emitOneShot(); });
  finish(twoShot);
}

void emitExchange(GpuBuilder &kernel) {
  kernel.awaitPeers();
  Exchange(kernel).emit();
}

} // namespace grok::compiler::gpu_kernels
