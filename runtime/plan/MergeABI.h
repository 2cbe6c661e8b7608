// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The binary contract between the service "merge" of GPU code, which puts together what
// the members of a group have sent each other by other means, and the runtime. Kernels
// address the fields by offset.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { grokMergeMembers = 64 };

/// One collective: operand 2 of the service. A message is so many words as the step has
/// rows of it, `rowWords` each.
///
/// Rows to gather: operand 0 holds the members' messages, [member][row][rowWords], operand
/// 1 gets [row][member][rowWords].
///
/// Messages to sum: member m adds up share m, the words [m * share, (m + 1) * share) of all
/// messages, share = words / members, rounded up; the last shares may be shorter or empty.
/// Operand 0 holds the members' parts of this rank's share, [member][share]; operand 1,
/// float32 of members * share words, gets their sum in the share's place, added as treeSum
/// does.
typedef struct GrokMerge {
  int64_t rowWords;
  int32_t members, index; ///< index: this rank's
  int32_t isSum;          ///< else the rows are gathered
  int32_t ofLogits;       ///< rows are those of logits
} GrokMerge;

#ifdef __cplusplus
}
static_assert(sizeof(GrokMerge) == 24 && offsetof(GrokMerge, members) == 8 &&
                  offsetof(GrokMerge, index) == 12 && offsetof(GrokMerge, isSum) == 16 &&
                  offsetof(GrokMerge, ofLogits) == 20,
              "kernels address these fields by offset");
#endif
