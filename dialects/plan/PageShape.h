// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where keys, values and visibility stand inside one layer of a cache page.
#pragma once

#include <cstdint>

namespace grok::plan {

/// One layer's part of a page of `pageTokens` positions, every array at a
/// multiple of 64 bytes:
///   keys   [kvHead][headDim][pageTokens]            cache elements, rope applied
///   values [kvHead][pageTokens][headDim padded to 16] cache elements
///   keep   [pageTokens] float32                     1 = visible key, 0 = pad
struct PageShape {
  int64_t valueOffset = 0, keepOffset = 0; // bytes; keys stand at 0
  int64_t layerBytes = 0;

  static PageShape of(int64_t kvHeads, int64_t headDim, int64_t pageTokens, int64_t elementBytes) {
    auto padded = [](int64_t value, int64_t to) { return (value + to - 1) / to * to; };
    int64_t slotBytes = kvHeads * pageTokens * elementBytes;
    PageShape page;
    page.valueOffset = padded(slotBytes * headDim, 64);
    page.keepOffset = page.valueOffset + padded(slotBytes * padded(headDim, 16), 64);
    page.layerBytes = page.keepOffset + padded(pageTokens * int64_t(sizeof(float)), 64);
    return page;
  }
};

} // namespace grok::plan
