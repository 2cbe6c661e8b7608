// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Matrices.h"
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/MatrixProducts.h"
#include "runtime/device/emulated/WarpCollectives.h"
#include <algorithm>
#include <cstring>

namespace grok::runtime::emulated {

constexpr uint32_t rowBytes = 16; // a row of an 8x8 matrix of 16-bit elements

static uint16_t *element(Warp &warp, uint32_t matrix, uint32_t row, uint32_t column) {
  return reinterpret_cast<uint16_t *>(warp.lanes[8 * matrix + row].row) + column;
}

// Row and column of the lower half of register `matrix` of a lane.
struct Place {
  uint32_t row, column;
};

static Place placeOf(const Lane &lane, bool transpose, uint32_t half) {
  const uint32_t group = lane.lane / 4, pair = lane.lane % 4 * 2 + half;
  return transpose ? Place{pair, group} : Place{group, pair};
}

static void checkRows(Warp &warp, uint32_t matrices, GrokEmulatorAccess how,
                      GrokEmulatorSite site) {
  for (uint32_t i = 0; i < 8 * matrices; ++i)
    checkShared(warp.lanes[i], warp.lanes[i].row, rowBytes, rowBytes, how, site);
}

static void runLoadMatrix(Warp &warp, const Meeting &meeting) {
  const auto matrices = static_cast<uint32_t>(meeting.how & 7);
  const bool transpose = meeting.how & 8;
  checkRows(warp, matrices, grokLoad, meeting.site);
  for (uint32_t i = 0; i < 32; ++i) {
    auto *out = static_cast<uint16_t *>(warp.lanes[i].out);
    for (uint32_t m = 0; m < matrices; ++m)
      for (uint32_t half = 0; half < 2; ++half) {
        const Place place = placeOf(warp.lanes[i], transpose, half);
        out[2 * m + half] = *element(warp, m, place.row, place.column);
      }
  }
}

static void runStoreMatrix(Warp &warp, const Meeting &meeting) {
  const auto matrices = static_cast<uint32_t>(meeting.how & 7);
  const bool transpose = meeting.how & 8;
  checkRows(warp, matrices, grokStore, meeting.site);
  for (uint32_t i = 0; i < 32; ++i) {
    const auto *in = static_cast<const uint16_t *>(warp.lanes[i].in);
    for (uint32_t m = 0; m < matrices; ++m)
      for (uint32_t half = 0; half < 2; ++half) {
        const Place place = placeOf(warp.lanes[i], transpose, half);
        *element(warp, m, place.row, place.column) = in[2 * m + half];
      }
  }
}

void loadMatrix(GrokEmulatorThread *thread, const void *row, uint32_t matrices, uint32_t transpose,
                uint32_t *out, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.row = static_cast<unsigned char *>(const_cast<void *>(row));
  lane.out = out;
  meet(lane, ~0u, runLoadMatrix, matrices | transpose << 3, true, site);
}

void storeMatrix(GrokEmulatorThread *thread, void *row, uint32_t matrices, uint32_t transpose,
                 const uint32_t *in, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.row = static_cast<unsigned char *>(row);
  lane.in = in;
  meet(lane, ~0u, runStoreMatrix, matrices | transpose << 3, true, site);
}

// Fragments of m16n8 as 32-bit words along k. Lane 4 g + t holds of A the words
// t and t + 4 of rows g and g + 8, of B the words t and t + 4 of column g, of C
// columns 2 t and 2 t + 1 of rows g and g + 8. This holds for elements of 4 to 32 bits.
struct Fragments {
  uint32_t words = 0; // along k: 4 or 8
  uint32_t a[16][8];
  uint32_t b[8][8]; // [n][word]
  uint32_t c[16][8];
};

static void gather(const Warp &warp, Fragments &fragments) {
  const size_t halves = fragments.words / 4;
  for (size_t i = 0; i < 32; ++i) {
    const auto *in = static_cast<const uint32_t *>(warp.lanes[i].in);
    const size_t g = i / 4, t = i % 4;
    for (size_t h = 0; h < halves; ++h) {
      fragments.a[g][t + 4 * h] = in[2 * h];
      fragments.a[g + 8][t + 4 * h] = in[2 * h + 1];
      fragments.b[g][t + 4 * h] = in[2 * halves + h];
    }
    std::memcpy(&fragments.c[g][2 * t], in + 3 * halves, 8);
    std::memcpy(&fragments.c[g + 8][2 * t], in + 3 * halves + 2, 8);
  }
}

static void scatter(const Warp &warp, const Fragments &fragments) {
  for (size_t i = 0; i < 32; ++i) {
    auto *out = static_cast<uint32_t *>(warp.lanes[i].out);
    const size_t g = i / 4, t = i % 4;
    std::memcpy(out, &fragments.c[g][2 * t], 8);
    std::memcpy(out + 2, &fragments.c[g + 8][2 * t], 8);
  }
}

static void multiplyFloats(const GrokEmulatorMma &what, Fragments &fragments) {
  float a[16 * 32], b[32 * 8], column[4];
  for (size_t m = 0; m < 16; ++m)
    for (size_t w = 0; w < fragments.words; ++w)
      decodeFloats(fragments.a[m][w], what.elementA, a + m * what.k + w * what.k / fragments.words);
  for (size_t n = 0; n < 8; ++n)
    for (size_t w = 0; w < fragments.words; ++w) {
      const uint32_t count = decodeFloats(fragments.b[n][w], what.elementB, column);
      for (uint32_t i = 0; i < count; ++i)
        b[(w * count + i) * 8 + n] = column[i];
    }
  addProducts(a, b, reinterpret_cast<float *>(fragments.c), what.k);
}

static int16_t extend(uint32_t word, uint32_t byte, uint32_t element) {
  const auto bits = static_cast<uint8_t>(word >> 8 * byte);
  return element == grokS8 ? static_cast<int8_t>(bits) : static_cast<int16_t>(bits);
}

static void multiplyIntegers(const GrokEmulatorMma &what, Fragments &fragments) {
  int16_t a[16 * 32], b[32 * 8];
  for (size_t m = 0; m < 16; ++m)
    for (size_t w = 0; w < fragments.words; ++w)
      for (uint32_t i = 0; i < 4; ++i)
        a[m * what.k + 4 * w + i] = extend(fragments.a[m][w], i, what.elementA);
  for (size_t n = 0; n < 8; ++n)
    for (size_t w = 0; w < fragments.words; ++w)
      for (uint32_t i = 0; i < 4; ++i)
        b[(2 * w + i / 2) * 16 + 2 * n + i % 2] = extend(fragments.b[n][w], i, what.elementB);
  if (!what.saturate) {
    addProducts(a, b, reinterpret_cast<int32_t *>(fragments.c), what.k);
    return;
  }
  int32_t products[16][8] = {};
  addProducts(a, b, &products[0][0], what.k);
  for (size_t m = 0; m < 16; ++m)
    for (size_t n = 0; n < 8; ++n) {
      const int64_t sum = int64_t(products[m][n]) + static_cast<int32_t>(fragments.c[m][n]);
      fragments.c[m][n] = static_cast<uint32_t>(std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX));
    }
}

static void runMma(Warp &warp, const Meeting &meeting) {
  const auto what = std::bit_cast<GrokEmulatorMma>(static_cast<uint32_t>(meeting.how));
  const bool isInteger = what.elementA <= grokU8;
  const uint32_t perWord = isInteger || what.elementA >= grokE4m3 ? 4
                           : what.elementA == grokTf32            ? 1
                                                                  : 2;
  Fragments fragments;
  fragments.words = what.k / perWord;
  gather(warp, fragments);
  if (isInteger)
    multiplyIntegers(what, fragments);
  else
    multiplyFloats(what, fragments);
  scatter(warp, fragments);
}

void mma(GrokEmulatorThread *thread, const GrokEmulatorMma *what, const uint32_t *in, uint32_t *out,
         GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.in = in;
  lane.out = out;
  meet(lane, ~0u, runMma, std::bit_cast<uint32_t>(*what), true, site);
}

} // namespace grok::runtime::emulated
