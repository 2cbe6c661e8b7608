// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels of the toy model in ToyPlan.cpp: whole numbers in floats, so that
// every result is exact. TOY_FACTOR tells two builds of it apart.
#include "runtime/plan/KernelABI.h"

enum { emb = 16, vocab = 20, vocabStride = 32, pageTokens = 16, keyBytes = 256, layerBytes = 1344 };
enum { pageBytes = 2 * layerBytes };

static float *valueAt(void *kv, const GrokStepInfo *step, int64_t row, int32_t position) {
  const int32_t *pages = step->pageTable + step->sequences[row] * step->pageTableStride;
  char *page = (char *)kv + (int64_t)pages[position / pageTokens] * pageBytes;
  return (float *)(page + keyBytes) + position % pageTokens * 16;
}

// [table, h]: h[row] = table[token], by way of scratch.
void toy_embed(const void *const *buffers, const GrokStepInfo *step, int64_t begin, int64_t end,
               void *scratch) {
  const float *table = buffers[0];
  float *own = scratch;
  for (int64_t row = begin; row < end; ++row) {
    for (int i = 0; i < emb; ++i)
      own[i] = table[step->tokens[row] * emb + i];
    for (int i = 0; i < emb; ++i)
      ((float *)buffers[1])[row * emb + i] = own[i];
  }
}

// [h, kv]: appends h[row] to the row's sequence.
void toy_append(const void *const *buffers, const GrokStepInfo *step, int64_t begin, int64_t end,
                void *scratch) {
  for (int64_t row = begin; row < end; ++row)
    for (int i = 0; i < emb; ++i)
      valueAt((void *)buffers[1], step, row, step->positions[row])[i] =
          ((const float *)buffers[0])[row * emb + i];
}

// [kv, o]: o[row] = sum of the sequence up to the row, weighted by position + 1.
void toy_attend(const void *const *buffers, const GrokStepInfo *step, int64_t begin, int64_t end,
                void *scratch) {
  for (int64_t row = begin; row < end; ++row) {
    float *out = (float *)buffers[1] + row * emb;
    for (int i = 0; i < emb; ++i)
      out[i] = 0;
    for (int32_t position = 0; position <= step->positions[row]; ++position)
      for (int i = 0; i < emb; ++i)
        out[i] += (position + 1) * valueAt((void *)buffers[0], step, row, position)[i];
  }
}

// [o, groups]: the tile count of the next launch; token 19 asks for too many.
void toy_group(const void *const *buffers, const GrokStepInfo *step, int64_t begin, int64_t end,
               void *scratch) {
  int32_t *groups = (int32_t *)buffers[1];
  groups[0] = 0;
  groups[1] = (int32_t)step->rows;
  for (int64_t row = 0; row < step->rows; ++row)
    if (step->tokens[row] == 19)
      groups[1] = 1000000;
}

// [o, groups, h]: h[tile] = factor * o[tile].
void toy_scale(const void *const *buffers, const GrokStepInfo *step, int64_t begin, int64_t end,
               void *scratch) {
  for (int64_t i = begin * emb; i < end * emb; ++i)
    ((float *)buffers[2])[i] = TOY_FACTOR * ((const float *)buffers[0])[i];
}

// [h, table, logits]: logits[v] = h . table[v]; tile = 16 columns.
void toy_unembed(const void *const *buffers, const GrokStepInfo *step, int64_t begin, int64_t end,
                 void *scratch) {
  const float *h = buffers[0], *table = buffers[1];
  for (int64_t i = 0; i < step->logitRows; ++i)
    for (int64_t v = begin * 16; v < end * 16; ++v) {
      float sum = 0;
      for (int k = 0; k < emb && v < vocab; ++k)
        sum += h[step->logitRow[i] * emb + k] * table[v * emb + k];
      ((float *)buffers[2])[i * vocabStride + v] = sum;
    }
}
