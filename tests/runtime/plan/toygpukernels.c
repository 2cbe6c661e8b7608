// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The toy model's kernels as a GPU has them, in the form that the emulator runs:
// blocks take tiles in turn and count them from the step; the first thread of a
// block does the work.
#include "runtime/device/emulated/EmulatorABI.h"

#define TOY_FACTOR 2
#define toy_embed cpu_embed
#define toy_append cpu_append
#define toy_attend cpu_attend
#define toy_group cpu_group
#define toy_scale cpu_scale
#define toy_unembed cpu_unembed
#include "toykernels.c"
#undef toy_embed
#undef toy_append
#undef toy_attend
#undef toy_group
#undef toy_scale
#undef toy_unembed

static void run(GrokKernel kernel, int operands, int64_t tiles, GrokEmulatorThread *thread,
                void *const *values) {
  const void *buffers[4];
  for (int i = 0; i < operands; ++i)
    buffers[i] = *(const void *const *)values[i];
  const GrokStepInfo *step = *(const GrokStepInfo *const *)values[operands];
  // 64 bytes for each block.
  char *scratch = *(char *const *)values[operands + 1] + 64 * thread->registers[grokCtaidX];
  thread->table->enter(thread, 0);
  if (thread->registers[grokTidX] != 0)
    return;
  for (int64_t tile = thread->registers[grokCtaidX]; tile < tiles;
       tile += thread->registers[grokNctaidX])
    kernel(buffers, step, tile, tile + 1, scratch);
}

static int64_t rowsOf(void *const *values, int operands) {
  return (*(const GrokStepInfo *const *)values[operands])->rows;
}

void toy_embed(GrokEmulatorThread *thread, void *const *values) {
  run(cpu_embed, 2, rowsOf(values, 2), thread, values);
}

void toy_append(GrokEmulatorThread *thread, void *const *values) {
  run(cpu_append, 2, rowsOf(values, 2), thread, values);
}

void toy_attend(GrokEmulatorThread *thread, void *const *values) {
  run(cpu_attend, 2, rowsOf(values, 2), thread, values);
}

void toy_group(GrokEmulatorThread *thread, void *const *values) {
  run(cpu_group, 2, 1, thread, values);
}

// As many tiles as the launch before has counted, of those that there are.
void toy_scale(GrokEmulatorThread *thread, void *const *values) {
  const int64_t rows = rowsOf(values, 3), counted = (*(const int32_t *const *)values[1])[1];
  run(cpu_scale, 3, counted < rows ? counted : rows, thread, values);
}

// A service: as if it had read that many tiles.
void toy_read(GrokEmulatorThread *thread, void *const *values) {
  if (thread->registers[grokTidX] == 0 && thread->registers[grokCtaidX] == 0)
    **(int32_t *const *)values[1] = **(const int32_t *const *)values[2];
}

// A service: the likeliest token, or else what the random number says.
void toy_sample(GrokEmulatorThread *thread, void *const *values) {
  const float *logits = *(const float *const *)values[0];
  const GrokStepInfo *step = *(const GrokStepInfo *const *)values[2];
  if (thread->registers[grokTidX] != 0 || thread->registers[grokCtaidX] != 0)
    return;
  for (int64_t row = 0; row < step->logitRows; ++row) {
    int32_t token = 0;
    for (int32_t v = 0; v < vocab; ++v)
      if (logits[row * vocabStride + v] > logits[row * vocabStride + token])
        token = v;
    const GrokDraw *draw = step->draws + row;
    (*(int32_t *const *)values[1])[row] = draw->kind == grokDrawTop ? token : (int32_t)draw->random;
  }
}

void toy_unembed(GrokEmulatorThread *thread, void *const *values) {
  run(cpu_unembed, 3, 2, thread, values);
}
