// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Wgmma.h"
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/MatrixProducts.h"
#include "runtime/device/emulated/WarpCollectives.h"
#include <cstring>

namespace grok::runtime::emulated {

constexpr uint32_t depthBytes = 32; // of k in one operation
// Finished products that are kept for reading; a kernel has a few at a time.
constexpr size_t mostProducts = 1024;

// Tokens in place of sums: a NaN that no arithmetic makes, or a number that
// integer sums of the largest k do not reach; the product's id is below.
constexpr uint32_t floatToken = 0xffea0000u, integerToken = 0x9ea10000u, tokenMask = 0xffff0000u;

static bool isInteger(const GrokEmulatorWgmma &what) { return what.elementA <= grokU8; }

static bool has(const GrokEmulatorWgmma &what, GrokEmulatorWgmmaFlag flag) {
  return what.flags & flag;
}

static bool isToken(uint32_t word) {
  return (word & tokenMask) == floatToken || (word & tokenMask) == integerToken;
}

static WarpProduct *find(Warp &warp, uint32_t id) {
  for (WarpProduct &product : warp.products)
    if (product.id == id)
      return &product;
  return nullptr;
}

MatrixDescriptor decodeDescriptor(uint64_t bits) {
  constexpr uint32_t swizzles[] = {0, 128, 64, 32};
  return {(bits & 0x3fff) << 4, (bits >> 16 & 0x3fff) << 4, (bits >> 32 & 0x3fff) << 4,
          swizzles[bits >> 62]};
}

uint64_t elementOffset(const MatrixDescriptor &matrix, uint32_t index, uint32_t k,
                       bool isTransposed) {
  const uint32_t line = matrix.swizzle ? matrix.swizzle : 16; // contiguous bytes
  uint64_t offset = matrix.start;
  if (isTransposed) {
    const uint32_t byte = 2 * index;
    const uint64_t across = matrix.swizzle ? matrix.leading : matrix.stride;
    const uint64_t along = matrix.swizzle ? matrix.stride : matrix.leading;
    offset += byte / line * across + byte % line + k / 8 * along + uint64_t(k % 8) * line;
  } else if (matrix.swizzle) {
    offset += index / 8 * matrix.stride + uint64_t(index % 8) * line + k;
  } else {
    offset +=
        index / 8 * matrix.stride + uint64_t(index % 8) * 16 + k / 16 * matrix.leading + k % 16;
  }
  const uint64_t mask = line / 16 - 1;
  return offset ^ (offset >> 7 & mask) << 4;
}

// Reads 32 bytes of k of one row or column into words, lowest k first.
static void readLine(Lane &lane, const MatrixDescriptor &matrix, uint32_t index, bool isTransposed,
                     bool check, GrokEmulatorSite site, uint32_t *words) {
  unsigned char *shared = lane.shared;
  const uint32_t piece = isTransposed ? 2 : 16;
  for (uint32_t byte = 0; byte < depthBytes; byte += piece) {
    const unsigned char *from =
        shared + elementOffset(matrix, index, isTransposed ? byte / 2 : byte, isTransposed);
    if (check)
      checkAsyncRead(lane, from, piece, piece, site);
    std::memcpy(reinterpret_cast<unsigned char *>(words) + byte, from, piece);
  }
}

static uint32_t firstRow(const Warp &warp) { return warp.index % 4 * 16; }

// What the operation reads must be there, and visible to the async proxy.
static void checkOperands(Warp &warp, const WarpProduct &product) {
  uint32_t words[8];
  const MatrixDescriptor a = decodeDescriptor(product.a), b = decodeDescriptor(product.b);
  for (uint32_t m = 0; m < 16; ++m)
    readLine(warp.lanes[0], a, firstRow(warp) + m, has(product.what, grokWgmmaTransposeA), true,
             product.site, words);
  for (uint32_t n = 0; n < product.what.n; ++n)
    readLine(warp.lanes[0], b, n, has(product.what, grokWgmmaTransposeB), true, product.site,
             words);
}

static void multiplyIntegers(const GrokEmulatorWgmma &what, const uint32_t (*a)[8],
                             const uint32_t (*b)[8], int32_t *sums) {
  const auto extend = [](const uint32_t *words, uint32_t k, uint32_t element) {
    const auto bits = static_cast<uint8_t>(words[k / 4] >> 8 * (k % 4));
    return element == grokS8 ? static_cast<int8_t>(bits) : static_cast<int16_t>(bits);
  };
  int16_t rows[16 * 32], columns[32 * 8];
  for (uint32_t k = 0; k < 32; ++k) {
    for (uint32_t m = 0; m < 16; ++m)
      rows[m * 32 + k] = static_cast<int16_t>(extend(a[m], k, what.elementA));
    for (uint32_t n = 0; n < 8; ++n)
      columns[k / 2 * 16 + 2 * n + k % 2] = static_cast<int16_t>(extend(b[n], k, what.elementB));
  }
  addProducts(rows, columns, sums, 32);
}

static void multiplyFloats(const GrokEmulatorWgmma &what, const uint32_t (*a)[8],
                           const uint32_t (*b)[8], float *sums) {
  float rows[16 * 32], columns[32 * 8], column[4];
  uint32_t count = 0;
  const float sign = has(what, grokWgmmaNegateA) != has(what, grokWgmmaNegateB) ? -1.0f : 1.0f;
  for (uint32_t n = 0; n < 8; ++n)
    for (uint32_t w = 0; w < 8; ++w) {
      count = decodeFloats(b[n][w], what.elementB, column);
      for (uint32_t i = 0; i < count; ++i)
        columns[(w * count + i) * 8 + n] = sign * column[i];
    }
  for (uint32_t m = 0; m < 16; ++m)
    for (uint32_t w = 0; w < 8; ++w)
      decodeFloats(a[m][w], what.elementA, rows + size_t(m * 8 + w) * count);
  addProducts(rows, columns, sums, 8 * count);
}

static void compute(Warp &warp, WarpProduct &product) {
  const GrokEmulatorWgmma &what = product.what;
  if (WarpProduct *before = product.follows ? find(warp, product.follows) : nullptr) {
    product.sums = std::move(before->sums);
    before->stage = WarpProduct::Stage::overwritten;
  }
  const uint32_t perLane = what.n / 2;
  uint32_t a[16][8], b[8][8], sums[16][8];
  Lane &lane = warp.lanes[0];
  const MatrixDescriptor left = decodeDescriptor(product.a), right = decodeDescriptor(product.b);
  for (uint32_t m = 0; m < 16; ++m)
    readLine(lane, left, firstRow(warp) + m, has(what, grokWgmmaTransposeA), false, product.site,
             a[m]);
  for (uint32_t block = 0; block < what.n / 8u; ++block) {
    for (uint32_t n = 0; n < 8; ++n)
      readLine(lane, right, 8 * block + n, has(what, grokWgmmaTransposeB), false, product.site,
               b[n]);
    const auto forSums = [&](auto function) { // registers 4 block.. of lane 4 g + t
      for (uint32_t i = 0; i < 32; ++i)
        for (uint32_t r = 0; r < 4; ++r)
          function(product.sums[i * perLane + 4 * block + r],
                   sums[i / 4 + r / 2 * 8][i % 4 * 2 + r % 2]);
    };
    forSums([](const uint32_t &own, uint32_t &sum) { sum = own; });
    if (isInteger(what))
      multiplyIntegers(what, a, b, reinterpret_cast<int32_t *>(&sums[0][0]));
    else
      multiplyFloats(what, a, b, reinterpret_cast<float *>(&sums[0][0]));
    forSums([](uint32_t &own, const uint32_t &sum) { own = sum; });
  }
  product.stage = WarpProduct::Stage::done;
}

// The sums that the operation starts from: zeros, values, or another product.
static void readAccumulators(Warp &warp, WarpProduct &product) {
  const uint32_t perLane = product.what.n / 2;
  product.sums.assign(size_t(32) * perLane, 0);
  if (!has(product.what, grokWgmmaAccumulate))
    return;
  const uint32_t first = static_cast<const uint32_t *>(warp.lanes[0].in)[0];
  if (isToken(first) && find(warp, first & ~tokenMask)) {
    product.follows = first & ~tokenMask;
    if (find(warp, product.follows)->stage == WarpProduct::Stage::overwritten)
      failAt(warp.lanes[0], product.site, "wgmma continues sums that another wgmma has taken over");
    return;
  }
  if (!warp.hasFencedRegisters)
    failAt(warp.lanes[0], product.site,
           "wgmma on accumulators that were written without a wgmma.fence since");
  for (uint32_t i = 0; i < 32; ++i)
    std::memcpy(&product.sums[size_t(i) * perLane], warp.lanes[i].in, perLane * sizeof(uint32_t));
}

static void runWgmma(Warp &warp, const Meeting &meeting) {
  WarpProduct product;
  product.what = std::bit_cast<GrokEmulatorWgmma>(meeting.how);
  product.site = meeting.site;
  product.a = warp.lanes[0].argument;
  product.b = warp.lanes[0].detail;
  for (uint32_t i = 1; i < 32; ++i)
    if (warp.lanes[i].argument != product.a || warp.lanes[i].detail != product.b)
      failAt(warp.lanes[i], meeting.site, "wgmma descriptors differ between lanes");
  product.group = warp.productGroup;
  // 0 is no id; ids come round long after the product was forgotten.
  product.id = 1 + warp.productCount++ % 0xffff;
  checkOperands(warp, product);
  readAccumulators(warp, product);
  const uint32_t token = (isInteger(product.what) ? integerToken : floatToken) | product.id;
  for (uint32_t i = 0; i < 32; ++i)
    std::fill_n(static_cast<uint32_t *>(warp.lanes[i].out), product.what.n / 2, token);
  warp.products.push_back(std::move(product));
  while (warp.products.size() > mostProducts &&
         warp.products.front().stage != WarpProduct::Stage::issued)
    warp.products.pop_front();
}

void wgmma(GrokEmulatorThread *thread, const GrokEmulatorWgmma *what, uint64_t a, uint64_t b,
           const uint32_t *in, uint32_t *out, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  lane.argument = a;
  lane.detail = b;
  lane.in = in;
  lane.out = out;
  meet(lane, ~0u, runWgmma, std::bit_cast<uint64_t>(*what), true, site);
}

static void runFence(Warp &warp, const Meeting &) { warp.hasFencedRegisters = true; }

void wgmmaFence(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  meet(laneOf(thread), ~0u, runFence, 0, true, site);
}

static void runCommit(Warp &warp, const Meeting &) {
  ++warp.productGroup;
  warp.hasFencedRegisters = false;
}

void wgmmaCommit(GrokEmulatorThread *thread, GrokEmulatorSite site) {
  meet(laneOf(thread), ~0u, runCommit, 0, true, site);
}

static void runWait(Warp &warp, const Meeting &meeting) {
  for (WarpProduct &product : warp.products)
    if (product.stage == WarpProduct::Stage::issued &&
        product.group + meeting.how < warp.productGroup)
      compute(warp, product);
}

void wgmmaWait(GrokEmulatorThread *thread, uint32_t pending, GrokEmulatorSite site) {
  meet(laneOf(thread), ~0u, runWait, pending, true, site);
}

uint32_t wgmmaResult(GrokEmulatorThread *thread, uint32_t token, uint32_t index,
                     GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  const WarpProduct *product = isToken(token) ? find(*lane.warp, token & ~tokenMask) : nullptr;
  if (!product)
    return token;
  if (product->stage == WarpProduct::Stage::issued)
    failAt(lane, site,
           "an accumulator is read before the wgmma.wait_group for the wgmma issued at (",
           product->site, ")");
  if (product->stage == WarpProduct::Stage::overwritten)
    failAt(lane, site, "an accumulator is read that a later wgmma has overwritten, issued at (",
           product->site, ")");
  return product->sums[size_t(lane.lane) * (product->what.n / 2) + index];
}

} // namespace grok::runtime::emulated
