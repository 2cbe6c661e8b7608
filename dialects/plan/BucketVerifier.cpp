// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Proves of a bucket that every buffer is written before it is read and that
// buffers alive together are disjoint. Shares nothing with the pass that
// assigns the memory. Takes n log n time in the number of ops.
#include "dialects/plan/LaunchRules.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <map>

using namespace mlir;
using namespace grok::plan;

/// Above every machine's memory.
static constexpr int64_t mostBytes = int64_t(1) << 47;

namespace {

/// First and last op that names a buffer, as positions in the bucket.
struct Lifetime {
  Operation *first = nullptr, *last = nullptr;
};

/// Walks a bucket's ops once in order; `live` holds the bytes in use.
class BucketVerifier {
public:
  explicit BucketVerifier(BucketOp bucket) : bucket(bucket) {}
  LogicalResult verify();

private:
  LogicalResult verifyNames();
  LogicalResult verifyWrittenFirst(Operation *op);
  LogicalResult verifyOffset(BufferOp buffer);
  LogicalResult verifyDisjoint(Operation *op);
  LogicalResult addLive(BufferOp buffer, Operation *op);
  bool replacesInPlace(BufferOp born, BufferOp dying, Operation *op);
  int64_t endOf(BufferOp buffer) { return *buffer.getOffset() + bytes.lookup(buffer); }

  BucketOp bucket;
  llvm::DenseMap<Operation *, Lifetime> lifetimes;
  llvm::DenseMap<Operation *, int64_t> bytes;
  llvm::DenseSet<Value> written;
  std::map<int64_t, BufferOp> live; // by offset; disjoint
};

} // namespace

static bool isBufferDefinition(Operation &op) {
  return isa<BufferOp, WeightOp, KVOp, LogitsOp>(op);
}

/// Memory whose bytes mean nothing before the bucket writes them.
static bool startsEmpty(Value buffer) { return isa<BufferOp, LogitsOp>(buffer.getDefiningOp()); }

/// How `op` uses its operand `index`.
static Access accessOf(Operation *op, unsigned index) {
  if (auto launch = dyn_cast<LaunchOp>(op))
    return launch.getUse(index).getAccess();
  if (auto collective = dyn_cast<CollectiveOp>(op))
    return op->getOperand(index) == collective.getSource() ? Access::read : Access::write;
  return index == 0 ? Access::read : Access::write; // a copy
}

LogicalResult BucketVerifier::verifyNames() {
  llvm::StringMap<Operation *> buffers, launches;
  for (Operation &op : bucket.getBody().front()) {
    if (!isBufferDefinition(op) && !isa<LaunchOp, CopyOp, CollectiveOp>(op))
      return op.emitOpError("does not belong in a plan.bucket");
    Operation *other = nullptr;
    if (auto buffer = dyn_cast<BufferOp>(op))
      other = buffers.try_emplace(buffer.getName(), &op).first->second;
    else if (auto launch = dyn_cast<LaunchOp>(op))
      other = launches.try_emplace(launch.getName(), &op).first->second;
    else if (auto collective = dyn_cast<CollectiveOp>(op))
      other = launches.try_emplace(collective.getName(), &op).first->second;
    if (!other || other == &op)
      continue;
    auto diagnostic = op.emitOpError("has a name that is taken");
    diagnostic.attachNote(other->getLoc()) << "here";
    return diagnostic;
  }
  return success();
}

LogicalResult BucketVerifier::verifyWrittenFirst(Operation *op) {
  for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
    if (!startsEmpty(operand) || !reads(accessOf(op, index)) || written.contains(operand))
      continue;
    auto diagnostic = op->emitOpError("reads operand ")
                      << index << " before any launch has written it";
    diagnostic.attachNote(operand.getLoc()) << "the buffer";
    return diagnostic;
  }
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    if (writes(accessOf(op, index)))
      written.insert(operand);
  return success();
}

LogicalResult BucketVerifier::verifyOffset(BufferOp buffer) {
  int64_t size = bytes[buffer] = buffer.getResult().getType().getBytes(bucket.getMaxRows());
  // Offsets are sums of sizes and must not overflow.
  if (size > mostBytes)
    return buffer.emitOpError("needs more than 2^47 bytes at ") << bucket.getMaxRows() << " rows";
  if (buffer.getOffset().has_value() != bucket.getArenaBytes().has_value())
    return buffer.emitOpError("expects an offset exactly in a bucket with an arena");
  if (!buffer.getOffset())
    return success();
  auto arena = int64_t(*bucket.getArenaBytes());
  if (size > arena || int64_t(*buffer.getOffset()) > arena - size)
    return buffer.emitOpError("ends outside the arena of ")
           << arena << " bytes: " << size << " bytes at " << *buffer.getOffset();
  return success();
}

/// Whether `born` may take the bytes of `dying` at `op`, the last launch of one
/// and the first of the other: equal types by rows, all uses of both at `op`.
bool BucketVerifier::replacesInPlace(BufferOp born, BufferOp dying, Operation *op) {
  auto launch = dyn_cast<LaunchOp>(op);
  if (!launch || lifetimes[dying].last != op || *born.getOffset() != *dying.getOffset())
    return false;
  for (auto [source, from] : llvm::enumerate(launch.getOperands()))
    for (auto [target, to] : llvm::enumerate(launch.getOperands()))
      if (from == dying.getResult() && to == born.getResult() &&
          !mayShareBytes(launch, source, target))
        return false;
  return true;
}

LogicalResult BucketVerifier::addLive(BufferOp buffer, Operation *op) {
  auto report = [&](BufferOp other) {
    auto diagnostic = buffer.emitOpError("overlaps a buffer that is alive with it");
    diagnostic.attachNote(other.getLoc()) << "the other buffer";
    diagnostic.attachNote(op->getLoc()) << "where both are alive";
    return diagnostic;
  };
  auto next = live.lower_bound(*buffer.getOffset());
  if (next != live.begin() && endOf(std::prev(next)->second) > int64_t(*buffer.getOffset()))
    return report(std::prev(next)->second);
  if (next == live.end() || next->first >= endOf(buffer)) {
    live.emplace_hint(next, *buffer.getOffset(), buffer);
    return success();
  }
  if (!replacesInPlace(buffer, next->second, op))
    return report(next->second);
  next->second = buffer;
  return success();
}

/// Adds the buffers that start at `op`, then drops those that end there.
LogicalResult BucketVerifier::verifyDisjoint(Operation *op) {
  llvm::SmallPtrSet<Operation *, 8> seen;
  for (Value operand : op->getOperands())
    if (auto buffer = operand.getDefiningOp<BufferOp>())
      if (lifetimes[buffer].first == op && seen.insert(buffer).second &&
          failed(addLive(buffer, op)))
        return failure();
  for (Value operand : op->getOperands())
    if (auto buffer = operand.getDefiningOp<BufferOp>(); buffer && lifetimes[buffer].last == op)
      if (auto entry = live.find(*buffer.getOffset());
          entry != live.end() && entry->second == buffer)
        live.erase(entry);
  return success();
}

LogicalResult BucketVerifier::verify() {
  if (failed(verifyNames()))
    return failure();
  for (Operation &op : bucket.getBody().front()) {
    if (auto buffer = dyn_cast<BufferOp>(op); buffer && failed(verifyOffset(buffer)))
      return failure();
    for (Value operand : op.getOperands()) {
      Lifetime &lifetime = lifetimes[operand.getDefiningOp()];
      lifetime.first = lifetime.first ? lifetime.first : &op;
      lifetime.last = &op;
    }
  }
  for (Operation &op : bucket.getBody().front()) {
    if (isBufferDefinition(op))
      continue;
    if (failed(verifyWrittenFirst(&op)))
      return failure();
    if (bucket.getArenaBytes() && failed(verifyDisjoint(&op)))
      return failure();
  }
  return success();
}

LogicalResult BucketOp::verify() {
  constexpr int64_t rowLimit = 0x7fffffff; // the plan file's int32
  if (int64_t(getMaxRows()) < 1 || int64_t(getMaxRows()) > rowLimit)
    return emitOpError("expects 1..") << rowLimit << " rows, got " << int64_t(getMaxRows());
  if (getArenaBytes() && (int64_t(*getArenaBytes()) < 0 || *getArenaBytes() % bufferAlignment != 0))
    return emitOpError("expects arena bytes that are a multiple of ")
           << bufferAlignment << ", got " << int64_t(*getArenaBytes());
  return success();
}

LogicalResult BucketOp::verifyRegions() { return BucketVerifier(*this).verify(); }
