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
} GrokStepInfo;

/// Works on tiles [begin, end). `buffers` holds one address per launch operand
/// in the kernel's documented order; `scratch` is private to the worker,
/// 64-byte aligned, of at least the kernel's scratch bytes.
typedef void (*GrokKernel)(const void *const *buffers, const GrokStepInfo *step, int64_t begin,
                           int64_t end, void *scratch);

#ifdef __cplusplus
}
static_assert(sizeof(GrokStepInfo) == 64 && offsetof(GrokStepInfo, tokens) == 8 &&
                  offsetof(GrokStepInfo, positions) == 16 &&
                  offsetof(GrokStepInfo, sequences) == 24 &&
                  offsetof(GrokStepInfo, pageTable) == 32 &&
                  offsetof(GrokStepInfo, pageTableStride) == 40 &&
                  offsetof(GrokStepInfo, logitRows) == 48 && offsetof(GrokStepInfo, logitRow) == 56,
              "kernels address these fields by offset");
#endif
