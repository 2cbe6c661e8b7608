// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Accesses.h"
#include "runtime/device/emulated/MBarriers.h"
#include "runtime/device/emulated/MatrixProducts.h"
#include "runtime/device/emulated/TensorState.h"
#include "runtime/device/emulated/Wgmma.h"
#include <algorithm>

namespace grok::runtime::emulated {

constexpr uint32_t depthBytes = 32; // of k in one product

namespace {

struct Instruction {
  bool isSignedA, isSignedB;
  uint32_t n;
};

} // namespace

// PTX ISA, "Instruction descriptor", .kind::i8.
static Instruction decode(Lane &lane, uint32_t bits, GrokEmulatorSite site) {
  constexpr uint32_t isSparse = 1u << 2, saturates = 1u << 3, transposes = 3u << 15;
  constexpr uint32_t reserved = 3u | 1u << 6 | 3u << 13 | 1u << 23 | 1u << 29 | 3u << 30;
  const uint32_t sums = bits >> 4 & 3, a = bits >> 7 & 7, b = bits >> 10 & 7;
  const uint32_t n = (bits >> 17 & 63) * 8, m = (bits >> 24 & 31) * 16;
  if (bits & reserved)
    failAt(lane, site, "instruction descriptor ", bits, " has bits set that kind::i8 reserves");
  if (sums != 2 || a > 1 || b > 1)
    failAt(lane, site, "instruction descriptor ", bits, " names other types than s32 and bytes");
  if (bits & (isSparse | saturates | transposes))
    failAt(lane, site, "sparse, saturating and transposed products are not emulated");
  if (m != 128 || n == 0 || n > 256 || n % 16 != 0)
    failAt(lane, site, "a product of ", m, " by ", n, ": m is 128, n a multiple of 16 up to 256");
  return {a == 1, b == 1, n};
}

// PTX ISA, "Shared memory descriptor".
static MatrixDescriptor decodeOperand(Lane &lane, uint64_t bits, GrokEmulatorSite site) {
  constexpr uint32_t swizzles[] = {0, ~0u, 128, ~0u, 64, ~0u, 32, ~0u};
  const uint32_t swizzle = swizzles[bits >> 61];
  const uint64_t others = bits >> 46 & 0x7fff; // fixed, base offset, mode, zeros
  if (others != 1 || swizzle == ~0u || (bits & 0xc000c000u))
    failAt(lane, site, "shared memory descriptor ", bits,
           ": not the fixed bits, or a base offset, absolute distances or a swizzle that is not "
           "emulated");
  return {(bits & 0x3fff) << 4, (bits >> 16 & 0x3fff) << 4, (bits >> 32 & 0x3fff) << 4, swizzle};
}

// body(shared memory of 16 bytes) for all that the product reads of one operand.
template <typename Function>
static void forPieces(const Lane &lane, const MatrixDescriptor &matrix, uint32_t rows,
                      Function body) {
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t k = 0; k < depthBytes; k += 16)
      body(lane.shared + elementOffset(matrix, row, k, false), row, k);
}

static void claimOperand(Lane &lane, const MatrixDescriptor &matrix, uint32_t rows,
                         GrokEmulatorSite site) {
  forPieces(lane, matrix, rows, [&](unsigned char *piece, uint32_t, uint32_t) {
    checkAsyncRead(lane, piece, 16, 16, site);
    SharedMemory::setMarks(piece, 16, pendingRead);
  });
}

void tmemMultiply(GrokEmulatorThread *thread, uint32_t d, uint64_t a, uint64_t b, uint32_t bits,
                  uint32_t accumulates, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  TensorMemory &memory = tensorMemoryOf(*lane.block);
  const Instruction instruction = decode(lane, bits, site);
  if (d >> 16 || d + instruction.n > TensorMemory::columnCount)
    failAt(lane, site, "tcgen05.mma to tensor memory ", d, ": m128 has lanes 0 to 127 of ",
           instruction.n, " columns");
  for (uint32_t column = d; column < d + instruction.n; ++column)
    for (uint32_t quarter = 0; quarter < TensorMemory::quarterCount; ++quarter) {
      TensorStrip &strip = memory.strip(column, quarter);
      const bool follows = strip.stage == TensorStrip::Stage::multiplying && strip.issuer == &lane;
      if (!follows && (accumulates || strip.stage == TensorStrip::Stage::free ||
                       strip.stage == TensorStrip::Stage::multiplying ||
                       strip.stage == TensorStrip::Stage::storing))
        checkRead(lane, strip, column, "tcgen05.mma", site);
      checkOverwrite(lane, strip, column, "tcgen05.mma", site);
      strip = {.stage = TensorStrip::Stage::multiplying, .site = site, .issuer = &lane};
    }
  claimOperand(lane, decodeOperand(lane, a, site), TensorMemory::laneCount, site);
  claimOperand(lane, decodeOperand(lane, b, site), instruction.n, site);
  memory.products.push_back({a, b, d, bits, accumulates != 0, &lane, lane.productCount++, site});
}

// One operand, [rows][32] of 16 bits; its bytes may be written again.
static std::vector<int16_t> takeOperand(const Lane &lane, const MatrixDescriptor &matrix,
                                        uint32_t rows, bool isSigned) {
  std::vector<int16_t> numbers(size_t(rows) * depthBytes);
  forPieces(lane, matrix, rows, [&](unsigned char *piece, uint32_t row, uint32_t k) {
    for (uint32_t i = 0; i < 16; ++i)
      numbers[size_t(row) * depthBytes + k + i] =
          isSigned ? static_cast<int8_t>(piece[i]) : static_cast<int16_t>(piece[i]);
    SharedMemory::setMarks(piece, 16, 0);
  });
  return numbers;
}

static void compute(TensorMemory &memory, const TensorProduct &product) {
  Lane &lane = *product.issuer;
  const Instruction instruction = decode(lane, product.instruction, product.site);
  const std::vector<int16_t> a = takeOperand(lane, decodeOperand(lane, product.a, product.site),
                                             TensorMemory::laneCount, instruction.isSignedA);
  const std::vector<int16_t> b = takeOperand(lane, decodeOperand(lane, product.b, product.site),
                                             instruction.n, instruction.isSignedB);
  int16_t pairs[depthBytes * 8];
  int32_t sums[16 * 8];
  for (uint32_t column = 0; column < instruction.n; column += 8) {
    for (uint32_t k = 0; k < depthBytes; ++k)
      for (uint32_t n = 0; n < 8; ++n)
        pairs[k / 2 * 16 + 2 * n + k % 2] = b[size_t(column + n) * depthBytes + k];
    for (uint32_t row = 0; row < TensorMemory::laneCount; row += 16) {
      const auto word = [&](uint32_t i) -> uint32_t & {
        return memory
            .words[size_t(product.d + column + i % 8) * TensorMemory::laneCount + row + i / 8];
      };
      for (uint32_t i = 0; i < 16 * 8; ++i)
        sums[i] = product.accumulates ? static_cast<int32_t>(word(i)) : 0;
      addProducts(&a[size_t(row) * depthBytes], pairs, sums, depthBytes);
      for (uint32_t i = 0; i < 16 * 8; ++i)
        word(i) = static_cast<uint32_t>(sums[i]);
    }
  }
}

void completeProducts(Lane &lane, uint64_t count) {
  TensorMemory &memory = tensorMemoryOf(*lane.block);
  for (const TensorProduct &product : memory.products)
    if (product.issuer == &lane && product.number < count)
      compute(memory, product);
  std::erase_if(memory.products, [&](const TensorProduct &product) {
    return product.issuer == &lane && product.number < count;
  });
  // Columns are complete unless a product that is left writes them, too.
  const uint32_t now = ++memory.clock;
  for (TensorStrip &strip : memory.strips)
    if (strip.stage == TensorStrip::Stage::multiplying && strip.issuer == &lane) {
      strip.stage = TensorStrip::Stage::written;
      strip.writtenAt = now;
    }
  for (const TensorProduct &product : memory.products) {
    const uint32_t n = (product.instruction >> 17 & 63) * 8;
    for (uint32_t i = 0; i < n * TensorMemory::quarterCount; ++i)
      memory.strip(product.d + i / TensorMemory::quarterCount, i % TensorMemory::quarterCount)
          .stage = TensorStrip::Stage::multiplying;
  }
}

void tmemCommit(GrokEmulatorThread *thread, void *address, GrokEmulatorSite site) {
  Lane &lane = laneOf(thread);
  mbarrierAt(lane, address, site).products.push_back({&lane, lane.productCount});
}

} // namespace grok::runtime::emulated
