// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/analysis/BufferLifetimes.h"

using namespace mlir;
using namespace grok::plan;

BufferLifetimes::BufferLifetimes(BucketOp bucket) {
  int64_t position = 0;
  for (Operation &op : bucket.getBody().front()) {
    if (auto buffer = dyn_cast<BufferOp>(op)) {
      indices[buffer.getResult()] = lifetimes.size();
      int64_t bytes = buffer.getResult().getType().getBytes(bucket.getMaxRows());
      lifetimes.push_back({.buffer = buffer, .bytes = bytes});
    }
    for (Value operand : op.getOperands())
      if (BufferLifetime *lifetime = find(operand)) {
        lifetime->first = lifetime->first < 0 ? position : lifetime->first;
        lifetime->last = position;
      }
    ++position;
  }
  position = 0;
  for (Operation &op : bucket.getBody().front())
    findTakeovers(op, position++);
}

BufferLifetime *BufferLifetimes::find(Value value) {
  auto entry = indices.find(value);
  return entry == indices.end() ? nullptr : &lifetimes[entry->second];
}

/// Whether every use of `buffer` by the launch is `access` by rows.
static bool isUsedOnlyByRows(LaunchOp launch, Value buffer, Access access) {
  for (auto [index, operand] : llvm::enumerate(launch.getOperands()))
    if (operand == buffer &&
        launch.getUse(index) != UseAttr::get(launch.getContext(), access, Range::rows))
      return false;
  return true;
}

void BufferLifetimes::findTakeovers(Operation &op, int64_t position) {
  auto launch = dyn_cast<LaunchOp>(op);
  // Only a tile that is a whole row has read it to the end before it stores.
  if (!launch || launch.getTiles().getPerRow() != 1 || launch.getTiles().getPerLogitRow() != 0 ||
      launch.getTiles().getConstant() != 0)
    return;
  llvm::SmallPtrSet<BufferLifetime *, 4> taken;
  for (Value target : launch.getOperands()) {
    BufferLifetime *born = find(target);
    if (!born || born->first != position || born->takesOver >= 0 ||
        !isUsedOnlyByRows(launch, target, Access::write))
      continue;
    for (Value source : launch.getOperands()) {
      BufferLifetime *dying = find(source);
      if (!dying || dying->last != position || source.getType() != target.getType() ||
          !isUsedOnlyByRows(launch, source, Access::read) || !taken.insert(dying).second)
        continue;
      born->takesOver = indices[source];
      break;
    }
  }
}

int64_t BufferLifetimes::getLargestLiveBytes() const {
  SmallVector<std::pair<int64_t, int64_t>> changes; // position, bytes
  for (const BufferLifetime &lifetime : lifetimes)
    if (lifetime.first >= 0) {
      changes.push_back({lifetime.first, lifetime.bytes});
      changes.push_back({lifetime.last + 1, -lifetime.bytes}); // sorts before births there
    }
  llvm::sort(changes);
  int64_t live = 0, largest = 0;
  for (auto [position, bytes] : changes)
    largest = std::max(largest, live += bytes);
  return largest;
}
