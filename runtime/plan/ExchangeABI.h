// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The binary contract between the services of GPU code that are collectives without the
// host, "exchange" and "exchange_norm", and the runtime. Kernels address the fields by
// offset.
//
// Each member of a group has a window that all members write. A word of a message goes
// as eight bytes, the word below the number of the exchange, written at once; so whoever
// sees the number has the word, and no fence is needed. Numbers go up by one with each
// piece of a message, on all members alike, and are never reset; odd and even ones have a
// half of the window each.
//
// Nobody's word is overwritten before it was read. Of a launch, every place that has a
// word of one number has one of all its numbers, of which one thread takes care. It sends
// number n + 1 when it has read all of n; so a member that has seen n + 1 of all others may
// write n + 2 there. A place that the launch before had no use for was last read in a
// launch that has ended on all members, since they sent words of a later one.
//
// Both services keep to that, in any mixture, on the members alike or not: a message of
// one piece and no shares has its words, row by row, in the first places of the half of
// one number, whichever of the two sends it, and a launch awaits each of them from all
// members before it ends. exchange_norm has such messages alone; there, too, one thread
// takes care of a place. A launch reads the number, and sends, only after all earlier ones
// have ended (griddepcontrol.wait); only scales, which are weights, are read before.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { grokExchangeMembers = 8, grokExchangeWords = 16384 };

/// Bytes of a window: [number % 2][sender][word] of eight bytes. Zero at first.
#define GROK_EXCHANGE_WINDOW_BYTES ((uint64_t)2 * grokExchangeMembers * grokExchangeWords * 8)

/// Of one group on one device, in its memory. Zero at first.
typedef struct GrokExchangeState {
  uint32_t number; ///< the last one
  uint32_t blocks; ///< that have ended, 0 between launches
} GrokExchangeState;

/// Of a rank, in memory of the host that the device reaches.
typedef struct GrokExchangeControl {
  uint32_t abort;   ///< by the host: nobody may wait any more, results are void
  uint32_t waiting; ///< by the device: operation << 8 | member + 1 after a long wait, else 0
} GrokExchangeControl;

/// One collective of a program: operand 2 of "exchange". Operand 0 is the source,
/// 32-bit words [rows][rowWords]; operand 1 the target, of the same shape (float32,
/// summed as treeSum does) or [rows][member][rowWords]. Operand 5 of "exchange_norm", which
/// adds rows of float32 in any case; the others are the source and residual_norm's but for
/// the added rows. At most grokExchangeWords in all.
typedef struct GrokExchange {
  uint64_t windows[grokExchangeMembers]; ///< as this device reaches them
  uint64_t state, control;               ///< addresses of the above
  int64_t rowWords;
  int32_t members, index; ///< index: this rank's
  int32_t isSum;          ///< else the rows are gathered
  int32_t ofLogits;       ///< rows are those of logits
  int32_t operation;      ///< for `waiting`
  int32_t reserved;
} GrokExchange;

#ifdef __cplusplus
}
static_assert(sizeof(GrokExchange) == 112 && offsetof(GrokExchange, state) == 64 &&
                  offsetof(GrokExchange, rowWords) == 80 && offsetof(GrokExchange, index) == 92,
              "kernels address these fields by offset");
#endif
