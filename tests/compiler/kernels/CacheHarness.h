// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A page pool for the tests of the kernels that write and read the cache.
#pragma once

#include "compiler/kernels/PageShape.h"
#include "tests/compiler/kernels/CodeDefinition.h"
#include "tests/compiler/kernels/KernelHarness.h"
#include <cmath>

namespace grok::compiler::testing {

/// What qkv and attention have in common, of a case with fields of these names; two layers.
template <typename Case>
KernelSpec cacheSpec(KernelOp op, const Case &c, int64_t pageTokens, int64_t maxContext) {
  KernelSpec spec;
  spec.op = op;
  spec.numerics = c.numerics;
  spec.kv = c.kv;
  spec.qHeads = c.qHeads;
  spec.kvHeads = c.kvHeads;
  spec.headDim = c.headDim;
  spec.layers = 2;
  spec.pageTokens = pageTokens;
  spec.maxContext = maxContext;
  return spec;
}

template <typename Case> KernelSpec qkvSpec(const Case &c) {
  KernelSpec spec = cacheSpec(KernelOp::qkv, c, 16, 64);
  spec.emb = c.emb;
  return spec;
}

template <typename Case> KernelSpec attentionSpec(const Case &c, int64_t maxContext) {
  KernelSpec spec = cacheSpec(KernelOp::attention, c, c.pageTokens, maxContext);
  spec.multiplier = 1 / std::sqrt(static_cast<double>(c.headDim));
  spec.softcap = c.softcap;
  return spec;
}

/// Pages of several sequences, in shuffled order, seen through one layer.
class CachePool {
public:
  CachePool(const KernelSpec &spec, int64_t sequences, int64_t layer)
      : spec(spec), shape(PageShape::of(spec)), layer(layer),
        pagesPerSequence((spec.maxContext + spec.pageTokens - 1) / spec.pageTokens),
        pool(sequences * pagesPerSequence * shape.pageBytes) {
    for (int64_t page = 0; page < sequences * pagesPerSequence; ++page)
      pageTable.push_back(static_cast<int32_t>(page));
    std::mt19937 random = reproducible(99);
    std::shuffle(pageTable.begin(), pageTable.end(), random);
  }

  /// The launch operand.
  void *operand() const { return pool.byteData() + layer * shape.layer.layerBytes; }

  double key(int64_t sequence, int64_t head, int64_t position, int64_t dimension) const {
    return read(keyAt(sequence, head, position, dimension)) * keyScale(sequence, head, position);
  }
  double value(int64_t sequence, int64_t head, int64_t position, int64_t dimension) const {
    return read(valueAt(sequence, head, position, dimension)) *
           valueScale(sequence, head, position);
  }
  /// `to` in the cache's element: of codes without the scale.
  void setKey(int64_t sequence, int64_t head, int64_t position, int64_t dimension, float to) {
    write(keyAt(sequence, head, position, dimension), to);
  }
  void setValue(int64_t sequence, int64_t head, int64_t position, int64_t dimension, float to) {
    write(valueAt(sequence, head, position, dimension), to);
  }
  /// 1 of float caches, which have no scales.
  double keyScale(int64_t sequence, int64_t head, int64_t position) const {
    return hasScales() ? scaleAt(shape.layer.keyScaleOffset, sequence, head, position) : 1;
  }
  double valueScale(int64_t sequence, int64_t head, int64_t position) const {
    return hasScales() ? scaleAt(shape.layer.valueScaleOffset, sequence, head, position) : 1;
  }
  void setScales(int64_t sequence, int64_t head, int64_t position, float key, float value) const {
    scaleAt(shape.layer.keyScaleOffset, sequence, head, position) = key;
    scaleAt(shape.layer.valueScaleOffset, sequence, head, position) = value;
  }
  float &keep(int64_t sequence, int64_t position) const {
    return reinterpret_cast<float *>(pageOf(sequence, position) +
                                     shape.layer.keepOffset)[position % spec.pageTokens];
  }
  void describe(Step &step) const {
    step.pageTable = pageTable;
    step.pageTableStride = pagesPerSequence;
  }

  KernelSpec spec;
  PageShape shape;
  int64_t layer, pagesPerSequence;
  Buffer pool;
  std::vector<int32_t> pageTable;

private:
  int64_t elementBytes() const { return bytesOf(spec.kv); }
  uint8_t *pageOf(int64_t sequence, int64_t position) const {
    int64_t page = pageTable[sequence * pagesPerSequence + position / spec.pageTokens];
    return static_cast<uint8_t *>(operand()) + page * shape.pageBytes;
  }
  uint8_t *keyAt(int64_t sequence, int64_t head, int64_t position, int64_t dimension) const {
    int64_t slot = position % spec.pageTokens;
    int64_t element = (head * spec.headDim + dimension) * spec.pageTokens + slot;
    return pageOf(sequence, position) + element * elementBytes();
  }
  uint8_t *valueAt(int64_t sequence, int64_t head, int64_t position, int64_t dimension) const {
    int64_t row = head * spec.pageTokens + position % spec.pageTokens;
    int64_t element = row * paddedTo16(spec.headDim) + dimension;
    return pageOf(sequence, position) + shape.layer.valueOffset + element * elementBytes();
  }
  bool hasScales() const { return hasCodes(spec.kv); }
  float &scaleAt(int64_t offset, int64_t sequence, int64_t head, int64_t position) const {
    int64_t element = head * spec.pageTokens + position % spec.pageTokens;
    return reinterpret_cast<float *>(pageOf(sequence, position) + offset)[element];
  }
  float read(const uint8_t *from) const {
    if (spec.kv == CacheElement::i8)
      return static_cast<int8_t>(*from);
    if (spec.kv == CacheElement::e4m3)
      return static_cast<float>(valueOfE4m3(*from));
    return spec.kv == CacheElement::bf16 ? fromBf16(*reinterpret_cast<const uint16_t *>(from))
                                         : *reinterpret_cast<const float *>(from);
  }
  void write(uint8_t *to, float value) {
    if (spec.kv == CacheElement::i8)
      *reinterpret_cast<int8_t *>(to) = static_cast<int8_t>(value);
    else if (spec.kv == CacheElement::e4m3)
      *to = nearestE4m3(value);
    else if (spec.kv == CacheElement::bf16)
      *reinterpret_cast<uint16_t *>(to) = bf16Bits(value);
    else
      *reinterpret_cast<float *>(to) = value;
  }
};

} // namespace grok::compiler::testing
