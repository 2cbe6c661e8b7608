// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which arena buffers of a bucket are alive when, and which may share bytes.
#pragma once

#include "dialects/plan/PlanDialect.h"

namespace grok::plan {

/// One arena buffer from the first to the last op that names it.
struct BufferLifetime {
  BufferOp buffer;
  int64_t first = -1, last = -1; // positions among the bucket's ops; -1 = never named
  int64_t bytes = 0;             // at the bucket's row bound, a multiple of 64
  /// The buffer whose bytes this one can take over at `first`, where a launch
  /// reads it by rows for the last time and writes this one by rows; or -1. No
  /// buffer is taken over twice.
  int64_t takesOver = -1;
};

/// The lifetimes of a bucket's arena buffers, in order of definition.
class BufferLifetimes {
public:
  explicit BufferLifetimes(BucketOp bucket);

  llvm::ArrayRef<BufferLifetime> get() const { return lifetimes; }
  /// The largest sum of the bytes alive at one op: no arena can be smaller,
  /// unless buffers take over others.
  int64_t getLargestLiveBytes() const;

private:
  void findTakeovers(mlir::Operation &op, int64_t position);
  BufferLifetime *find(mlir::Value value);

  llvm::SmallVector<BufferLifetime> lifetimes;
  llvm::DenseMap<mlir::Value, int64_t> indices;
};

} // namespace grok::plan
