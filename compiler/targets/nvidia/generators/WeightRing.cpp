// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/generators/WeightRing.h"

#include <algorithm>

namespace grok::compiler {

static constexpr int64_t mostWarps = 8;
static constexpr int64_t mostStages = 8;
static constexpr int64_t barrierBytes = 8;

static int64_t depthOf(int64_t stageBytes) {
  return std::min(mostStages, WeightRing::mostBytes / mostWarps / stageBytes);
}

WeightRing::WeightRing(GpuBuilder &kernel, const PanelFragments &fragments, int64_t slots,
                       int64_t stages)
    : kernel(kernel), fragments(fragments), slots(slots), stages(stages),
      panelStageBytes(fragments.stagedBytes()), stageBytes(2 * panelStageBytes),
      depth(depthOf(stageBytes)) {
  Value all = kernel.sharedMemory(kernel.warps * depth * stageBytes, 128);
  memory = kernel.rowAddress(all, kernel.warp, depth * stageBytes);
  Value allBarriers = kernel.sharedMemory(kernel.warps * depth * barrierBytes);
  barriers = kernel.rowAddress(allBarriers, kernel.warp, depth * barrierBytes);
}

void WeightRing::start(const PanelSequence &announced, Value first) {
  sequence = announced;
  firstStage = first;
  Value zero = kernel.index(0), none = kernel.offset(kernel.operand(1), 0);
  takePlace = kernel.variable(zero);
  parity = kernel.variable(kernel.word(0));
  stage = kernel.variable(zero);
  pair = kernel.variable(zero);
  isValid = kernel.variable(sequence.isValid(sequence.first));
  for (Value &panel : panels)
    panel = kernel.variable(none);
  for (Value part : sequence.first)
    cursor.push_back(kernel.variable(part));
  forBarriers([&](Value barrier) { kernel.initBarrier(barrier, 1); });
  findPanels();
  kernel.loop(kernel.index(0), kernel.index(depth), 1, [&](Value place) { fill(place); });
  if (kernel.isAhead && depth < stages)
    prefetchRest();
}

// What the places do not hold of the first pair, which is still the one to come.
void WeightRing::prefetchRest() {
  Value isOne = kernel.equal(kernel.lane32, kernel.word(0));
  kernel.when(kernel.both(isOne, kernel.load(kernel.bit(true).getType(), isValid)), [&] {
    for (Value panel : panels) {
      const PanelFragments::Stretch rest =
          fragments.stretch(kernel.load(kernel.pointer, panel), kernel.add(firstStage, depth),
                            kernel.add(firstStage, stages - 1));
      kernel.prefetchBulk(rest.from, kernel.toWord(rest.bytes));
    }
  });
}

void WeightRing::finish() {
  kernel.syncWarp(); // nobody waits any more
  forBarriers([&](Value barrier) { kernel.endBarrier(barrier); });
}

// One lane; all know of it afterwards, and so does the hardware that copies.
void WeightRing::forBarriers(llvm::function_ref<void(Value)> body) {
  kernel.when(kernel.equal(kernel.lane32, kernel.word(0)), [&] {
    for (int64_t i = 0; i < depth; ++i)
      body(kernel.offset(barriers, i * barrierBytes));
    kernel.fenceBarriers();
  });
  kernel.syncWarp();
}

// Addresses of the pair that comes next.
void WeightRing::findPanels() {
  kernel.when(kernel.load(kernel.bit(true).getType(), isValid), [&] {
    Values now;
    for (Value part : cursor)
      now.push_back(kernel.load(kernel.i64, part));
    Value first = kernel.mul(kernel.load(kernel.i64, pair), 2);
    for (int64_t i = 0; i < 2; ++i) {
      // An odd slot's neighbour is itself once more; nobody reads its results.
      Value slot = kernel.minimum(kernel.add(first, i), kernel.index(slots - 1));
      kernel.store(sequence.panel(now, slot).weights, panels[i]);
    }
  });
}

// To the stage that comes after, maybe of other panels.
void WeightRing::advance() {
  Value next = kernel.add(kernel.load(kernel.i64, stage), 1);
  Value isSame = kernel.less(next, kernel.index(stages));
  kernel.store(kernel.select(isSame, next, kernel.index(0)), stage);
  kernel.when(kernel.equal(isSame, kernel.bit(false)), [&] {
    Value nextPair = kernel.add(kernel.load(kernel.i64, pair), 1);
    Value isSameProduct = kernel.less(nextPair, kernel.index((slots + 1) / 2));
    kernel.store(kernel.select(isSameProduct, nextPair, kernel.index(0)), pair);
    kernel.when(kernel.equal(isSameProduct, kernel.bit(false)), [&] {
      Values now;
      for (Value part : cursor)
        now.push_back(kernel.load(kernel.i64, part));
      Values then = sequence.next(now);
      for (size_t i = 0; i < then.size(); ++i)
        kernel.store(then[i], cursor[i]);
      kernel.store(sequence.isValid(then), isValid);
    });
    findPanels();
  });
}

// All lanes know what is asked for; one asks.
void WeightRing::fill(Value place) {
  kernel.when(kernel.load(kernel.bit(true).getType(), isValid), [&] {
    kernel.when(kernel.equal(kernel.lane32, kernel.word(0)), [&] {
      Value barrier = kernel.rowAddress(barriers, place, barrierBytes);
      Value to = kernel.rowAddress(memory, place, stageBytes);
      kernel.arriveExpecting(barrier, static_cast<int32_t>(stageBytes));
      Value number = kernel.add(firstStage, kernel.load(kernel.i64, stage));
      for (Value panel : panels)
        for (const PanelFragments::Piece &piece :
             fragments.pieces(kernel.load(kernel.pointer, panel), number)) {
          kernel.copyBulk(to, piece.from, static_cast<int32_t>(piece.bytes), barrier);
          to = kernel.offset(to, piece.bytes);
        }
    });
    advance();
  });
}

Values WeightRing::take() {
  Value place = kernel.load(kernel.i64, takePlace), phase = kernel.load(kernel.i32, parity);
  kernel.waitForPhase(kernel.rowAddress(barriers, place, barrierBytes), phase);
  Value ofLane = kernel.mul(kernel.quotient(kernel.lane, warpLanes / 2), panelStageBytes);
  return fragments.loadStaged(kernel.offset(kernel.rowAddress(memory, place, stageBytes), ofLane));
}

void WeightRing::release() {
  Value place = kernel.load(kernel.i64, takePlace), phase = kernel.load(kernel.i32, parity);
  kernel.syncWarp(); // all lanes have read before the place is filled again
  fill(place);
  Value next = kernel.add(place, 1);
  Value wraps = kernel.equal(next, kernel.index(depth));
  kernel.store(kernel.select(wraps, kernel.index(0), next), takePlace);
  kernel.store(kernel.select(wraps, kernel.bitXor(phase, kernel.word(1)), phase), parity);
}

} // namespace grok::compiler
