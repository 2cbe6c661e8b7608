// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The binary contract between generated kernels and the runtime. Everything
// here is read by machine code inside plans: change it only together with
// planFormatVersion.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Ways in which a token is drawn.
enum GrokDrawKind { grokDrawTop = 0, grokDrawAny = 1, grokDrawNucleus = 2 };

/// How the token of one row of logits is drawn (docs/numerics.md).
typedef struct GrokDraw {
  int32_t kind;     ///< GrokDrawKind: the likeliest, any, any of the nucleus
  float inverse;    ///< 1 / temperature
  uint64_t nucleus; ///< what betters may weigh of the whole, in 2^-64
  uint64_t random;  ///< what decides: uniform over all 64-bit numbers
} GrokDraw;

/// The likeliest token weighs 2^grokDrawBits.
enum { grokDrawBits = 40 };

/// What one step works on. A step takes rows of any mix of sequences; the rows
/// of one sequence stand in ascending position. All arrays belong to the
/// caller and live until the step ends.
typedef struct GrokStepInfo {
  int64_t rows;             ///< token rows of this step, 1..maxRows
  const int32_t *tokens;    ///< [rows] token ids; 0 (pad) is never a visible key
  const int32_t *positions; ///< [rows] 0-based position within the sequence
  const int32_t *sequences; ///< [rows] row of `pageTable`
  const int32_t *pageTable; ///< [sequences][pageTableStride] page numbers
  int64_t pageTableStride;  ///< entries per sequence in `pageTable`
  int64_t logitRows;        ///< number of rows whose logits are wanted
  const int32_t *logitRow;  ///< [logitRows] row indices, ascending
  const GrokDraw *draws;    ///< [logitRows], or null: nothing is drawn on the device
} GrokStepInfo;

/// What a task of a GPU's persistent kernel waits for.
typedef struct GrokTaskWait {
  int32_t task;   ///< that has ended, an earlier one
  int32_t kernel; ///< its kernel
} GrokTaskWait;

enum { grokTaskOperands = 11, grokTaskWaits = 4 };

/// A launch as a GPU's persistent kernel reads it. Its program is an array of these in
/// device memory; the first holds in `kernel` the number of those that follow, and in
/// its first operand the address of their counters.
///
/// Counters are int32 on lines of grokCounterBytes, after a line with an int64 that
/// counts blocks of all launches that have ended. They are zero at first and only
/// grow: each block that may have tiles of a task adds one to the task's counter when its
/// tiles are done. All launches on the same counters have the same grid.
typedef struct GrokTask {
  int32_t kernel;                         ///< number of the plan's kernel
  int32_t waits;                          ///< number of entries of `after`
  const void *operands[grokTaskOperands]; ///< addresses of the device, in the kernel's order
  GrokTaskWait after[grokTaskWaits];
} GrokTask;

enum { grokCounterBytes = 128 };

/// Works on tiles [begin, end). `buffers` holds one address per launch operand
/// in the kernel's documented order; `scratch` is private to the worker,
/// 64-byte aligned, of at least the kernel's scratch bytes.
typedef void (*GrokKernel)(const void *const *buffers, const GrokStepInfo *step, int64_t begin,
                           int64_t end, void *scratch);

#ifdef __cplusplus
}
static_assert(sizeof(GrokStepInfo) == 72 && offsetof(GrokStepInfo, tokens) == 8 &&
                  offsetof(GrokStepInfo, positions) == 16 &&
                  offsetof(GrokStepInfo, sequences) == 24 &&
                  offsetof(GrokStepInfo, pageTable) == 32 &&
                  offsetof(GrokStepInfo, pageTableStride) == 40 &&
                  offsetof(GrokStepInfo, logitRows) == 48 &&
                  offsetof(GrokStepInfo, logitRow) == 56 && offsetof(GrokStepInfo, draws) == 64,
              "kernels address these fields by offset");
static_assert(sizeof(GrokDraw) == 24 && offsetof(GrokDraw, inverse) == 4 &&
                  offsetof(GrokDraw, nucleus) == 8 && offsetof(GrokDraw, random) == 16,
              "likewise");
static_assert(sizeof(GrokTask) == 128 && offsetof(GrokTask, waits) == 4 &&
                  offsetof(GrokTask, operands) == 8 && offsetof(GrokTask, after) == 96 &&
                  sizeof(GrokTaskWait) == 8,
              "likewise");
#endif
