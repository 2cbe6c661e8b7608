// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention on tensor cores, of caches in bf16 or codes: queries and weights rounded to
// bf16, sums in float32. Keys and values come in chunks through a ring of shared
// memory that runs ahead over the slices: the slice's chunks of keys, then those of
// its values.
#include "compiler/kernels/CacheCodes.h"
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/VectorMath.h"
#include "compiler/targets/nvidia/generators/AttentionTiles.h"
#include "compiler/targets/nvidia/generators/WeightRing.h"

#include <algorithm>
#include <cmath>

namespace grok::compiler {

namespace {

constexpr int64_t halfBytes = 2, tileQueries = 16, tileColumns = 8, stepInputs = 16;
constexpr int64_t pieceBytes = 16; // of an asynchronous copy
constexpr int64_t rowPad = 16;     // bytes behind a row: the rows of a matrix in all banks
constexpr int64_t mostAccumulators = 64;

// Sizes that follow from the specification and the chip.
struct MmaShape {
  int64_t rows = 1;       // of a tile
  int64_t queries = 0;    // padded to whole matrices
  int64_t chunkKeys = 0;  // whole pages
  int64_t stages = 2;     // chunks in the ring
  int64_t stageBytes = 0; // as bf16 with padded rows, or as codes
  int64_t codeBytes = 0;  // of a chunk opened from codes; 0 of bf16
  int64_t valueTiles = 0; // of a warp: columns of the output / 8

  static MmaShape of(const KernelSpec &spec, const NvidiaChip &chip);
  int64_t sharedBytes(const KernelSpec &spec) const;
  int64_t queryMatrices() const { return queries / tileQueries; }
};

int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

class MmaAttention : public AttentionTiles {
public:
  MmaAttention(GpuBuilder &kernel, const MmaShape &shape);

private:
  void loadQueries() override;
  void startSlices(Value first, Value end) override;
  void emitScores(Value slice) override;
  int64_t scoreKeys() const override { return shape.chunkKeys; }
  Value powerOfE(Value x) override;
  void storeWeight(Value query, Value key, Value weight) override;
  void emitValues(Value slice) override;

  int64_t keyRowBytes() const { return spec.pageTokens * halfBytes + rowPad; }
  int64_t valueRowBytes() const { return dimensions * halfBytes + rowPad; }
  int64_t queryRowBytes() const { return dimensions * halfBytes + rowPad; }
  int64_t weightRowBytes() const { return spec.keySlice * halfBytes + rowPad; }

  // ---- the ring
  Value chunksOf(Value slice);   // of keys, and as many of values
  Value firstChunk(Value slice); // its number since startSlices()
  Value stageOf(Value chunk);
  void issue(Value chunk);
  void issueKeys(Value start, Value stage);
  void issueValues(Value start, Value stage);
  // The chunk, which is there, in bf16; behind it, the next may be issued.
  Value await(Value chunk, bool areKeys);
  void open(Value codes, int64_t rowWords, int64_t rowBytes);
  void release(Value chunk);

  // ---- products
  void scoreChunk(Value keys, Value slice, Value part);
  void finishScores(ValueRange dots, Value slice, Value firstKey);
  Value finish(Value dot, Value key);
  Values addValues(Value values, Value part, ValueRange sums);
  Value matrixRow() { return kernel.remainder(kernel.lane, stepInputs); }

  const MmaShape shape;
  Value query;   // bf16 [queries][dimensions], padded rows
  Value weights; // bf16 [queries][keySlice], padded rows
  Value ring, opened;
  Value firstSlice, endSlice;
};

} // namespace

// ---- sizes

int64_t MmaShape::sharedBytes(const KernelSpec &spec) const {
  const int64_t perQuery = 4 * (spec.keySlice + 4) + 4 * spec.headDim + // scores, output
                           halfBytes * (spec.headDim + spec.keySlice) + 2 * rowPad + 64 * 4 + 32;
  return queries * perQuery + 3 * 4 * spec.keySlice + stages * stageBytes + codeBytes + 1024;
}

MmaShape MmaShape::of(const KernelSpec &spec, const NvidiaChip &chip) {
  const int64_t heads = spec.qHeads / spec.kvHeads;
  MmaShape shape;
  shape.chunkKeys = std::max<int64_t>(spec.pageTokens, 64);
  if (spec.keySlice % shape.chunkKeys)
    shape.chunkKeys = spec.pageTokens;
  const int64_t pagesOfChunk = shape.chunkKeys / spec.pageTokens;
  const int64_t padded =
      std::max(pagesOfChunk * spec.headDim * (spec.pageTokens * halfBytes + rowPad),
               shape.chunkKeys * (spec.headDim * halfBytes + rowPad));
  const bool isOfCodes = hasCodes(spec.kv);
  shape.stageBytes = isOfCodes ? shape.chunkKeys * spec.headDim : padded;
  shape.codeBytes = isOfCodes ? padded : 0;
  shape.valueTiles = ceilDivide(spec.headDim / tileColumns, AttentionTiles::threads / warpLanes);
  // Of one row, beside a block of the next launch, whose ring of weights fills meanwhile.
  constexpr int64_t nextBytes = WeightRing::mostBytes + 8 * 1024; // and its sums
  const bool leavesRoom = spec.maxRows == 1 && chip.hasEarlyLaunches;
  const int64_t most = chip.sharedBytes - (leavesRoom ? nextBytes : 0);
  for (int64_t rows = spec.maxRows == 1 ? 1 : 8; rows >= 1; rows /= 2)
    for (int64_t stages : {4, 3, 2}) {
      shape.rows = rows;
      shape.stages = stages;
      shape.queries = ceilDivide(rows * heads, tileQueries) * tileQueries;
      const int64_t accumulators = shape.queryMatrices() * shape.valueTiles * 4;
      if (shape.sharedBytes(spec) <= most && accumulators <= mostAccumulators)
        return shape;
    }
  return shape;
}

MmaAttention::MmaAttention(GpuBuilder &kernel, const MmaShape &shape)
    : AttentionTiles(kernel, shape.rows, shape.queries, kernel.spec.keySlice + 4), shape(shape) {
  query = kernel.sharedMemory(queries * queryRowBytes());
  weights = kernel.sharedMemory(queries * weightRowBytes());
  ring = kernel.sharedMemory(shape.stages * shape.stageBytes);
  if (pages.hasScales())
    opened = kernel.sharedMemory(shape.codeBytes);
}

// ---- queries

static Value bf16Of(GpuBuilder &kernel, Value x) {
  return kernel.narrow(kernel.shiftRight(kernel.bitsOf(roundToBf16(kernel, x)), 16), kernel.i16);
}

// Zeros for queries that the tile does not have.
void MmaAttention::loadQueries() {
  kernel.forThreads(queries * dimensions, [&](Value element) {
    Value own = kernel.quotient(element, dimensions), at = kernel.remainder(element, dimensions);
    Value exists = kernel.less(own, queryCount), used = kernel.select(exists, own, kernel.index(0));
    Value row = kernel.add(firstRow, queryRow(used));
    Value from = floatAt(queryAddress(row, kernel.remainder(used, heads)), at);
    Value x = kernel.select(exists, kernel.load(kernel.f32, from), kernel.number(0.0f));
    Value to = kernel.rowAddress(kernel.rowAddress(query, own, queryRowBytes()), at, halfBytes);
    kernel.store(bf16Of(kernel, x), to);
  });
}

// ---- the ring

Value MmaAttention::chunksOf(Value slice) {
  return kernel.quotient(kernel.add(keysOf(slice), shape.chunkKeys - 1), shape.chunkKeys);
}

// All slices before have chunks for all of their keys.
Value MmaAttention::firstChunk(Value slice) {
  return kernel.mul(kernel.sub(slice, firstSlice), 2 * (spec.keySlice / shape.chunkKeys));
}

Value MmaAttention::stageOf(Value chunk) {
  return kernel.rowAddress(ring, kernel.remainder(chunk, shape.stages), shape.stageBytes);
}

void MmaAttention::startSlices(Value first, Value end) {
  firstSlice = first;
  endSlice = end;
  for (int64_t chunk = 0; chunk < shape.stages; ++chunk)
    issue(kernel.index(chunk));
}

// One group of copies, empty behind the last chunk.
void MmaAttention::issue(Value chunk) {
  const int64_t perSlice = 2 * (spec.keySlice / shape.chunkKeys);
  Value slice = kernel.add(firstSlice, kernel.quotient(chunk, perSlice));
  Value inSlice = kernel.remainder(chunk, perSlice), count = chunksOf(slice);
  Value exists =
      kernel.both(kernel.less(slice, endSlice), kernel.less(inSlice, kernel.add(count, count)));
  kernel.when(exists, [&] {
    Value stage = stageOf(chunk), areKeys = kernel.less(inSlice, count);
    Value part = kernel.select(areKeys, inSlice, kernel.sub(inSlice, count));
    Value start = kernel.add(startOf(slice), kernel.mul(part, shape.chunkKeys));
    kernel.when(areKeys, [&] { issueKeys(start, stage); }, [&] { issueValues(start, stage); });
  });
  kernel.commitCopies();
}

// Pages that no row reaches are left out: nothing depends on their scores.
void MmaAttention::issueKeys(Value start, Value stage) {
  const int64_t tokens = spec.pageTokens, element = pages.elementBytes();
  const int64_t linePieces = tokens * element / pieceBytes;
  const int64_t lineBytes = pages.hasScales() ? tokens * element : keyRowBytes();
  kernel.forThreads(shape.chunkKeys / tokens * dimensions * linePieces, [&](Value number) {
    Value line = kernel.quotient(number, linePieces), piece = kernel.remainder(number, linePieces);
    Value position = kernel.add(start, kernel.mul(kernel.quotient(line, dimensions), tokens));
    kernel.when(kernel.less(position, keyCount), [&] {
      Value slot = kernel.mul(piece, pieceBytes / element);
      Value from = pages.key(pages.pageOf(firstRow, position), head,
                             kernel.remainder(line, dimensions), slot);
      Value to = kernel.rowAddress(kernel.rowAddress(stage, line, lineBytes), piece, pieceBytes);
      kernel.copyAsync(to, from, pieceBytes);
    });
  });
}

// Zeros behind the last key: what stands there would spoil sums with weight 0 if it
// were no number.
void MmaAttention::issueValues(Value start, Value stage) {
  const int64_t element = pages.elementBytes(), rowPieces = dimensions * element / pieceBytes;
  const int64_t rowBytes = pages.hasScales() ? dimensions * element : valueRowBytes();
  kernel.forThreads(shape.chunkKeys * rowPieces, [&](Value number) {
    Value key = kernel.quotient(number, rowPieces), piece = kernel.remainder(number, rowPieces);
    Value position = kernel.add(start, key);
    Value to = kernel.rowAddress(kernel.rowAddress(stage, key, rowBytes), piece, pieceBytes);
    kernel.when(
        kernel.less(position, keyCount),
        [&] {
          Value dimension = kernel.mul(piece, pieceBytes / element);
          Value from = pages.value(pages.pageOf(firstRow, position), head, pages.slotOf(position),
                                   dimension);
          kernel.copyAsync(to, from, pieceBytes);
        },
        [&] { kernel.store(kernel.broadcast(kernel.word(0), 4), to, pieceBytes); });
  });
}

Value MmaAttention::await(Value chunk, bool areKeys) {
  kernel.waitForCopies(shape.stages - 1);
  kernel.barrier();
  if (!pages.hasScales())
    return stageOf(chunk);
  if (areKeys)
    open(stageOf(chunk), spec.pageTokens / 4, keyRowBytes());
  else
    open(stageOf(chunk), dimensions / 4, valueRowBytes());
  kernel.barrier();
  return opened;
}

// Codes, four to a word, as bf16 in rows of `rowBytes`.
void MmaAttention::open(Value codes, int64_t rowWords, int64_t rowBytes) {
  kernel.forThreads(shape.stageBytes / 4, [&](Value number) {
    Value word = kernel.load(kernel.i32, kernel.rowAddress(codes, number, 4));
    Value to = kernel.rowAddress(opened, kernel.quotient(number, rowWords), rowBytes);
    to = kernel.rowAddress(to, kernel.remainder(number, rowWords), 8);
    for (int32_t pair = 0; pair < 2; ++pair) {
      auto bits = [&](int32_t byte) { // exact
        Value code = kernel.shiftRightSigned(kernel.shiftLeft(word, 24 - 8 * byte), 24);
        return kernel.bitsOf(valueOfCode(kernel, spec.kv, code));
      };
      Value both = kernel.bitOr(kernel.shiftRight(bits(2 * pair), 16), bits(2 * pair + 1));
      kernel.store(both, kernel.offset(to, 4 * pair));
    }
  });
}

void MmaAttention::release(Value chunk) {
  kernel.barrier();
  issue(kernel.add(chunk, shape.stages));
}

// ---- scores

void MmaAttention::emitScores(Value slice) {
  kernel.loop(kernel.index(0), chunksOf(slice), 1, [&](Value part) {
    Value chunk = kernel.add(firstChunk(slice), part);
    scoreChunk(await(chunk, /*areKeys=*/true), slice, part);
    release(chunk);
  });
}

// A warp takes every eighth group of eight keys, for all queries.
void MmaAttention::scoreChunk(Value keys, Value slice, Value part) {
  const int64_t groups = shape.chunkKeys / tileColumns, matrices = shape.queryMatrices();
  kernel.loop(kernel.warp, kernel.index(groups), kernel.warps, [&](Value group) {
    Value key = kernel.mul(group, tileColumns);
    Value page = kernel.quotient(key, spec.pageTokens),
          slot = kernel.remainder(key, spec.pageTokens);
    Value line = kernel.add(kernel.mul(page, dimensions), matrixRow());
    Value keyRow = kernel.rowAddress(kernel.rowAddress(keys, line, keyRowBytes()), slot, halfBytes);
    Value queryAt = kernel.rowAddress(query, matrixRow(), queryRowBytes());
    queryAt = kernel.rowAddress(queryAt, kernel.quotient(kernel.lane, stepInputs), pieceBytes);
    Values dots =
        kernel.loop(kernel.index(0), kernel.index(dimensions / stepInputs), 1,
                    Values(4 * matrices, kernel.number(0.0f)), [&](Value step, ValueRange carried) {
                      Values next;
                      Values b = kernel.loadMatrices(
                          kernel.rowAddress(keyRow, step, stepInputs * keyRowBytes()), 2, true);
                      for (int64_t i = 0; i < matrices; ++i) {
                        Value from = kernel.offset(queryAt, i * tileQueries * queryRowBytes());
                        Values a = kernel.loadMatrices(
                            kernel.rowAddress(from, step, stepInputs * halfBytes), 4, false);
                        next.append(kernel.mmaBf16(a, b, carried.slice(4 * i, 4)));
                      }
                      return next;
                    });
    finishScores(dots, slice, kernel.add(kernel.mul(part, shape.chunkKeys), key));
  });
}

// Sum j of a lane: query lane / 4 + 8 (j / 2), key 2 (lane % 4) + j % 2.
void MmaAttention::finishScores(ValueRange dots, Value slice, Value firstKey) {
  Value start = startOf(slice), firstQuery = kernel.quotient(kernel.lane, 4);
  firstKey = kernel.add(firstKey, kernel.mul(kernel.remainder(kernel.lane, 4), 2));
  for (int64_t matrix = 0; matrix < shape.queryMatrices(); ++matrix)
    kernel.when(kernel.less(kernel.index(matrix * tileQueries), queryCount), [&] {
      for (int64_t i = 0; i < 4; ++i) {
        Value own = kernel.add(firstQuery, matrix * tileQueries + i / 2 * 8);
        Value key = kernel.add(firstKey, i % 2);
        Value to = floatAt(scores, kernel.add(kernel.mul(own, scoreStride), key));
        Value score = finish(dots[4 * matrix + i], key);
        kernel.store(maskedScore(score, own, key, start), to);
      }
    });
}

// tanh x = 1 - 2 / (1 + e^2x)
Value MmaAttention::finish(Value dot, Value key) {
  Value score = scaledDot(dot, key);
  if (spec.softcap == 0)
    return score;
  const auto cap = static_cast<float>(spec.softcap);
  Value grown = kernel.exp2Approximate(
      kernel.mul(score, kernel.number(static_cast<float>(2 / std::log(2.0) / spec.softcap))));
  Value part = kernel.reciprocalApproximate(kernel.add(grown, kernel.number(1.0f)));
  return kernel.multiplyAdd(part, kernel.number(-2 * cap), kernel.number(cap));
}

// ---- softmax

Value MmaAttention::powerOfE(Value x) {
  return kernel.exp2Approximate(
      kernel.mul(x, kernel.number(static_cast<float>(1 / std::log(2.0)))));
}

void MmaAttention::storeWeight(Value own, Value key, Value weight) {
  Value to = kernel.rowAddress(kernel.rowAddress(weights, own, weightRowBytes()), key, halfBytes);
  kernel.store(bf16Of(kernel, weight), to);
}

// ---- values

void MmaAttention::emitValues(Value slice) {
  const int64_t matrices = shape.queryMatrices(), tiles = shape.valueTiles;
  Values sums = kernel.loop(
      kernel.index(0), chunksOf(slice), 1, Values(4 * matrices * tiles, kernel.number(0.0f)),
      [&](Value part, ValueRange carried) {
        Value chunk = kernel.add(kernel.add(firstChunk(slice), chunksOf(slice)), part);
        Values next = addValues(await(chunk, /*areKeys=*/false), part, carried);
        release(chunk);
        return next;
      });
  Value firstQuery = kernel.quotient(kernel.lane, 4);
  Value pair = kernel.mul(kernel.remainder(kernel.lane, 4), 2);
  for (int64_t j = 0; j < tiles; ++j) {
    Value tile = kernel.add(kernel.warp, j * kernel.warps);
    kernel.when(kernel.less(tile, kernel.index(dimensions / tileColumns)), [&] {
      Value first = kernel.add(kernel.mul(tile, tileColumns), pair);
      for (int64_t i = 0; i < 4 * matrices; ++i)
        mergeValue(kernel.add(firstQuery, i / 4 * tileQueries + i % 4 / 2 * 8),
                   kernel.add(first, i % 2), sums[4 * matrices * j + i]);
    });
  }
}

// A warp takes every eighth group of eight dimensions. Those without one repeat the
// last.
Values MmaAttention::addValues(Value values, Value part, ValueRange sums) {
  const int64_t matrices = shape.queryMatrices(), tiles = shape.valueTiles;
  Value valueRow = kernel.rowAddress(values, matrixRow(), valueRowBytes());
  Value weightAt = kernel.rowAddress(weights, matrixRow(), weightRowBytes());
  weightAt = kernel.rowAddress(weightAt, kernel.quotient(kernel.lane, stepInputs), pieceBytes);
  weightAt = kernel.rowAddress(weightAt, part, shape.chunkKeys * halfBytes);
  Values columns;
  for (int64_t j = 0; j < tiles; ++j) {
    Value tile = kernel.minimum(kernel.add(kernel.warp, j * kernel.warps),
                                kernel.index(dimensions / tileColumns - 1));
    columns.push_back(kernel.rowAddress(valueRow, tile, tileColumns * halfBytes));
  }
  return kernel.loop(
      kernel.index(0), kernel.index(shape.chunkKeys / stepInputs), 1, sums,
      [&](Value step, ValueRange carried) {
        Values next(carried), a;
        for (int64_t i = 0; i < matrices; ++i) {
          Value from = kernel.offset(weightAt, i * tileQueries * weightRowBytes());
          a.append(
              kernel.loadMatrices(kernel.rowAddress(from, step, stepInputs * halfBytes), 4, false));
        }
        for (int64_t j = 0; j < tiles; ++j) {
          Values b = kernel.loadMatrices(
              kernel.rowAddress(columns[j], step, stepInputs * valueRowBytes()), 2, true);
          for (int64_t i = 0; i < matrices; ++i) {
            const int64_t at = 4 * (matrices * j + i);
            Values made = kernel.mmaBf16(ValueRange(a).slice(4 * i, 4), b, carried.slice(at, 4));
            std::copy(made.begin(), made.end(), next.begin() + at);
          }
        }
        return next;
      });
}

// ---- the kernel

bool canUseMmaAttention(const KernelSpec &spec) {
  const int64_t heads = spec.qHeads / spec.kvHeads;
  return spec.numerics == Numerics::fast && spec.kv != CacheElement::f32 &&
         spec.headDim % stepInputs == 0 && spec.headDim <= 512 && heads <= 4 * tileQueries &&
         spec.keySlice <= 256;
}

void emitMmaAttention(GpuBuilder &kernel) {
  MmaAttention(kernel, MmaShape::of(kernel.spec, kernel.chip)).emit();
}

} // namespace grok::compiler
