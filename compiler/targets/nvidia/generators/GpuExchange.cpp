// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// exchange: all_reduce and all_gather between the members' device memories. What goes
// where, and why nobody overwrites what is still read: runtime/plan/ExchangeABI.h.
// Operands: source, target, GrokExchange.
#include "compiler/targets/nvidia/generators/ExchangeWindows.h"
#include "compiler/targets/nvidia/generators/GpuGenerators.h"

namespace grok::compiler::gpu_kernels {

namespace {

class Exchange {
public:
  explicit Exchange(GpuBuilder &kernel);
  void emit();

private:
  Value quotientUp(Value a, Value b) {
    return kernel.divide(kernel.add(kernel.add(a, b), -1), b).first;
  }
  void forPieces(Value width, llvm::function_ref<Value(Value piece, Value number)> body);
  Value wordOf(Value shares);
  Value sourceAt(Value i);
  void keep(Value word, Value i);
  void keepAll(ValueRange words, Value i);
  void emitOneShot();
  void emitTwoShot();
  void finish(Value twoShot);

  GpuBuilder &kernel;
  ExchangeWindows windows;
  Value rowWords, count, members, isEmpty;
  Value share, position; // words of a share of the message; which of them
};

} // namespace

Exchange::Exchange(GpuBuilder &kernel)
    : kernel(kernel), windows(kernel, kernel.operand(2)), rowWords(windows.rowWords),
      members(kernel.toIndex(windows.members)) {
  count = kernel.mul(kernel.select(windows.ofLogits, kernel.logitRows, kernel.rows), rowWords);
  isEmpty = kernel.equal(count, kernel.index(0));
}

void Exchange::keepAll(ValueRange words, Value i) {
  auto [row, column] = kernel.divide(i, rowWords);
  Value first = kernel.mul(row, members);
  windows.forMembers([&](size_t member) {
    Value to =
        kernel.add(kernel.mul(kernel.add(first, static_cast<int64_t>(member)), rowWords), column);
    kernel.store(kernel.narrow(words[member], kernel.i32),
                 kernel.rowAddress(kernel.operand(1), to, 4));
  });
}

void Exchange::finish(Value twoShot) {
  Value one = kernel.index(1), width = kernel.select(twoShot, members, one);
  Value pieces = quotientUp(count, kernel.mul(width, grokExchangeWords));
  windows.finish(kernel.mul(pieces, kernel.select(twoShot, kernel.index(2), one)));
}

// Cuts the message in pieces of `width` shares of equal length, at most that of the window,
// and calls body(piece, number before) for each; it gives the number after. A thread has
// its places of the window in every piece, also where the message has ended.
void Exchange::forPieces(Value width, llvm::function_ref<Value(Value, Value)> body) {
  Value longest = kernel.mul(width, grokExchangeWords);
  Value pieces = quotientUp(kernel.select(isEmpty, kernel.index(1), count), longest);
  share = quotientUp(count, kernel.mul(width, pieces)); // 0 of an empty message
  Value tiles = kernel.quotient(kernel.add(share, kernel.threads - 1), kernel.threads);
  kernel.forTiles(tiles, grokExchangeWords / kernel.threads, [&](Value tile) {
    position = kernel.add(kernel.mul(tile, kernel.threads), kernel.thread);
    kernel.when(kernel.less(position, share), [&] {
      kernel.loop(kernel.index(0), pieces, 1, {windows.number},
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
    windows.send(sourceAt(i), position, now);
    Values words = windows.await({position}, now);
    kernel.when(kernel.less(i, count), [&] {
      kernel.when(
          windows.isSum, [&] { keep(kernel.bitsOf(windows.sumOf(words)), i); },
          [&] { keepAll(words, i); });
    });
    return now;
  });
}

// Of long sums each member gets the words of a share alone, sums them and sends the sums
// to all: two numbers for a piece.
void Exchange::emitTwoShot() {
  Value width = members;
  forPieces(width, [&](Value piece, Value last) {
    Value now = kernel.add(last, kernel.word(1)), then = kernel.add(now, kernel.word(1));
    Value shares = kernel.mul(piece, width);
    auto place = [&](size_t member) {
      return wordOf(kernel.add(shares, static_cast<int64_t>(member)));
    };
    windows.forMembers(
        [&](size_t member) { windows.sendTo(member, sourceAt(place(member)), position, now); });
    Value sum = windows.sumOf(windows.await({position}, now));
    windows.send(kernel.bitsOf(sum), position, then);
    Values sums = windows.await({position}, then);
    windows.forMembers([&](size_t member) {
      Value i = place(member);
      kernel.when(kernel.less(i, count), [&] { keep(kernel.narrow(sums[member], kernel.i32), i); });
    });
    return then;
  });
}

void Exchange::emit() {
  Value isLong = kernel.less(kernel.index(grokExchangeWords), count);
  Value isMany = kernel.less(kernel.index(2), members); // two send each other all, either way
  Value twoShot = kernel.both(windows.isSum, kernel.both(isLong, isMany));
  kernel.when(twoShot, [&] { emitTwoShot(); }, [&] { emitOneShot(); });
  finish(twoShot);
}

void emitExchange(GpuBuilder &kernel) {
  kernel.awaitPeers();
  Exchange(kernel).emit();
}

} // namespace grok::compiler::gpu_kernels
