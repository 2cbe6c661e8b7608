// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the forms of GPU attention share: tiles, the softmax of a slice of keys, the
// merging of slices, the output.
//
// A tile has the query heads of one key head, of one or several neighbouring rows of
// one sequence. Keys are taken in slices of keySlice positions from 0. What a slice
// gives a row depends on nothing but the row and the slice, and slices are merged in
// ascending order. So a row has the same bits in every tile, and also if every slice
// is a tile of its own ("split"), whose last one merges what all have left in scratch
// memory.
#pragma once

#include "compiler/targets/nvidia/generators/GpuCachePages.h"

namespace grok::compiler {

class AttentionTiles {
public:
  static constexpr int64_t threads = 256;

  virtual ~AttentionTiles() = default;
  void emit();

protected:
  /// `tileRows`: rows of a tile at most. `paddedQueries`: rows * heads of a tile in
  /// the score buffer, even. `scoreStride`: floats from query to query.
  AttentionTiles(GpuBuilder &kernel, int64_t tileRows, int64_t paddedQueries, int64_t scoreStride);

  // ---- the form. All threads call these; barriers stand between them.

  /// The tile's queries to where emitScores() wants them.
  virtual void loadQueries() = 0;
  /// Slices [first, end) come next.
  virtual void startSlices(Value /*first*/, Value /*end*/) {}
  /// scores := finished scores of all queries and the slice's keys, absentScore for
  /// keys that a query does not reach; as many keys as the multiple of scoreKeys
  /// that holds the slice's last.
  virtual void emitScores(Value slice) = 0;
  virtual int64_t scoreKeys() const = 0;
  virtual Value powerOfE(Value x) = 0;
  /// e^(score - maximum) of a key, times the scale of its value, as emitValues() reads it.
  virtual void storeWeight(Value query, Value key, Value weight) = 0;
  /// mergeValue() of every query and dimension.
  virtual void emitValues(Value slice) = 0;

  // ---- for the forms
  /// The score of a dot product, without masks.
  Value scaledDot(Value dot, Value key);
  /// `score` where the query sees the key, else what stands for it.
  Value maskedScore(Value score, Value query, Value key, Value start);
  Value startOf(Value slice) { return kernel.mul(slice, spec.keySlice); }
  /// Keys of the slice that the tile's last row reaches.
  Value keysOf(Value slice);
  /// output := output * old factor + sum * new factor
  void mergeValue(Value query, Value dimension, Value sum);
  Value queryRow(Value query) { return kernel.quotient(query, heads); }
  /// A head's float32 query in the operand.
  Value queryAddress(Value row, Value headOfKey);
  Value floatAt(Value base, Value number) { return kernel.rowAddress(base, number, 4); }

  GpuBuilder &kernel;
  const KernelSpec &spec;
  GpuCachePages pages;
  const int64_t heads; // query heads of one key head
  const int64_t dimensions, tileRows, queries, scoreStride;
  Value scores;                             // float32 [queries][scoreStride]
  Value keep, keyScales, valueScales;       // float32 [keySlice]: of the slice
  Value firstRow, rowCount, head, keyCount; // of the tile; keys of its last row
  Value queryCount;                         // rowCount * heads

private:
  void emitUnit(Value unit, Value slice, Value unitRows);
  void findRows();
  void emitTile(Value first, Value end, Value needed, Value isPart);
  void reset();
  void emitSlice(Value slice);
  void readKeys(Value slice);
  void emitSoftmax(Value slice);
  void mergeFactors(Value query, Value top, Value sum, Value slot);
  void storePart(Value slice);
  Value isLastPart(Value needed);
  void mergeParts(Value needed);
  void storeOutput();
  /// body(query, dimension) for all of the tile.
  void forElements(llvm::function_ref<void(Value query, Value dimension)> body);
  Value partAddress(Value query, Value slice);
  Value slotOf(Value base, Value slot, Value query);

  int64_t slices, splitRows, factorSlots; // slices: of the longest context
  Value isSplit;                          // all tiles of the launch are slices
  Value visible;                          // int32 [queries]: keys that a query reaches
  Value maxima, totals, output;           // float32 [queries], [queries][dimensions]
  Value oldFactors, newFactors;           // float32 [factorSlots][queries]
  Value isLast;                           // int32
  Value partials, counters;               // scratch
};

/// Sums by fused multiply-add in the order of the CPU kernel, one row a tile.
void emitChainAttention(GpuBuilder &kernel);

/// Products on tensor cores, of caches in bf16 or codes.
void emitMmaAttention(GpuBuilder &kernel);
bool canUseMmaAttention(const KernelSpec &spec);

} // namespace grok::compiler
