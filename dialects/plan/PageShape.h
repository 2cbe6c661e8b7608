// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where keys, values and visibility stand inside one layer of a cache page.
#pragma once

#include <cstdint>

namespace grok::plan {

/// One layer's part of a page of `pageTokens` positions, every array at a
/// multiple of 64 bytes:
///   keys        [kvHead][headDim][pageTokens]              cache elements, rope applied
///   values      [kvHead][pageTokens][headDim padded to 16] cache elements
///   keyScales   [kvHead][pageTokens] float32               only of one-byte elements
///   valueScales [kvHead][pageTokens] float32               only of one-byte elements
///   keep        [pageTokens] float32                       1 = visible key, 0 = pad
struct PageShape {
  int64_t valueOffset = 0; // bytes; keys stand at 0
  int64_t keyScaleOffset = 0, valueScaleOffset = 0;
  int64_t keepOffset = 0;
  int64_t layerBytes = 0;

  static PageShape of(int64_t kvHeads, int64_t headDim, int64_t pageTokens, int64_t elementBytes) {
    auto padded = [](int64_t value, int64_t to) { return (value + to - 1) / to * to; };
    int64_t slotBytes = kvHeads * pageTokens * elementBytes;
    int64_t scaleBytes = elementBytes == 1 ? padded(kvHeads * pageTokens * 4, 64) : 0;
    PageShape page;
    page.valueOffset = padded(slotBytes * headDim, 64);
    page.keyScaleOffset = page.valueOffset + padded(slotBytes * padded(headDim, 16), 64);
    page.valueScaleOffset = page.keyScaleOffset + scaleBytes;
    page.keepOffset = page.valueScaleOffset + scaleBytes;
    page.layerBytes = page.keepOffset + padded(pageTokens * int64_t(sizeof(float)), 64);
    return page;
  }
};

} // namespace grok::plan
