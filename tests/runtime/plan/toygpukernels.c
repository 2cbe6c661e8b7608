// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The toy model's kernels as a GPU has them, in the form that the emulator runs:
// blocks take tiles in turn and count them from the step; the first thread of a
// block does the work.
#include "runtime/device/emulated/EmulatorABI.h"
#include "runtime/plan/ExchangeABI.h"
#include "runtime/plan/MergeABI.h"

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

// A service: as if it had read that many tiles. Every block says so: a race, which is
// looked for where blocks meet.
void toy_read(GrokEmulatorThread *thread, void *const *values) {
  int32_t *target = *(int32_t *const *)values[1];
  if (thread->registers[grokTidX] != 0)
    return;
  thread->table->access(thread, target, sizeof *target,
                        grokStore | grokGlobal << 4 | sizeof *target << 8, "toy_read");
  *target = **(const int32_t *const *)values[2];
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

// A service: all_reduce of two ranks, and all_gather, as runtime/plan/ExchangeABI.h says.
void toy_exchange(GrokEmulatorThread *thread, void *const *values) {
  const uint32_t *source = *(const uint32_t *const *)values[0];
  const GrokExchange *what = *(const GrokExchange *const *)values[2];
  const GrokStepInfo *step = *(const GrokStepInfo *const *)values[3];
  GrokExchangeState *state = (GrokExchangeState *)what->state;
  volatile GrokExchangeControl *control = (GrokExchangeControl *)what->control;
  if (thread->registers[grokTidX] != 0 || thread->registers[grokCtaidX] != 0)
    return;
  const uint32_t number = ++state->number;
  const int64_t half = (int64_t)(number % 2) * grokExchangeMembers;
  for (int64_t i = 0; i < step->rows * what->rowWords; ++i) {
    uint32_t words[grokExchangeMembers];
    for (int member = 0; member < what->members; ++member)
      ((volatile uint64_t *)what->windows[member])[(half + what->index) * grokExchangeWords + i] =
          (uint64_t)number << 32 | source[i];
    for (int member = 0; member < what->members; ++member) {
      const volatile uint64_t *window = (const uint64_t *)what->windows[what->index];
      uint64_t word = 0;
      while ((word = window[(half + member) * grokExchangeWords + i]) >> 32 != number) {
        control->waiting = (uint32_t)what->operation << 8 | (uint32_t)(member + 1);
        if (control->abort)
          return;
        thread->table->pause(thread, "toy_exchange");
      }
      words[member] = (uint32_t)word;
    }
    control->waiting = 0;
    const int64_t row = i / what->rowWords, column = i % what->rowWords;
    if (what->isSum)
      (*(float *const *)values[1])[i] = *(float *)&words[0] + *(float *)&words[1];
    for (int member = 0; !what->isSum && member < what->members; ++member)
      (*(uint32_t *const *)values[1])[(row * what->members + member) * what->rowWords + column] =
          words[member];
  }
}

static float treeOf(const float *parts, int64_t stride, int64_t count) {
  int64_t left = 1;
  while (2 * left < count)
    left *= 2;
  return count == 1
             ? parts[0]
             : treeOf(parts, stride, left) + treeOf(parts + left * stride, stride, count - left);
}

// A service: what runtime/plan/MergeABI.h says.
void toy_merge(GrokEmulatorThread *thread, void *const *values) {
  const uint32_t *parts = *(const uint32_t *const *)values[0];
  uint32_t *target = *(uint32_t *const *)values[1];
  const GrokMerge *what = *(const GrokMerge *const *)values[2];
  const GrokStepInfo *step = *(const GrokStepInfo *const *)values[3];
  if (thread->registers[grokTidX] != 0 || thread->registers[grokCtaidX] != 0)
    return;
  const int64_t rows = what->ofLogits ? step->logitRows : step->rows, width = what->rowWords;
  const int64_t count = rows * width, share = (count + what->members - 1) / what->members;
  for (int64_t i = 0; what->isSum && i < share && what->index * share + i < count; ++i)
    ((float *)target)[what->index * share + i] =
        treeOf((const float *)parts + i, share, what->members);
  for (int64_t i = 0; !what->isSum && i < count * what->members; ++i)
    target[i] =
        parts[(i / width % what->members * rows + i / width / what->members) * width + i % width];
}

void toy_unembed(GrokEmulatorThread *thread, void *const *values) {
  run(cpu_unembed, 3, 2, thread, values);
}
