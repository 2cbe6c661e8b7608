/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 * The public interface of the grok runtime: load a compiled model, feed tokens,
 * get logits. Functions that can fail return NULL, a negative number or a
 * non-zero status; grokLastError() then says why. */
#ifndef GROK_H
#define GROK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GROK_API __attribute__((visibility("default")))

typedef struct GrokModel GrokModel;
typedef struct GrokSession GrokSession;

/* Set `size` to sizeof(the struct): later versions add fields at the end. */
typedef struct GrokLoadOptions {
  size_t size;
  int32_t threads;      /* 0: one per core */
  int32_t fullCheck;    /* hash every weight */
  const char *cpuLevel; /* NULL: the best that this CPU runs */
} GrokLoadOptions;

typedef struct GrokModelInfo {
  size_t size;
  int64_t vocabSize;
  int64_t maxContext;
  int64_t maxStepRows;
  int32_t padToken;
  int32_t eosToken;
  int32_t threads;
  int32_t numLayers;
  uint64_t pageBytes;
  uint64_t weightBytes;
  uint64_t weightBytesPerToken;
  double loadSeconds;
  const char *cpuLevel; /* lives as long as the model */
} GrokModelInfo;

typedef struct GrokSessionOptions {
  size_t size;
  uint64_t kvMemory; /* bytes; 0: enough for `sequences` full contexts */
  int32_t sequences; /* 0: one */
} GrokSessionOptions;

/* One token to feed at the next position of its sequence. */
typedef struct GrokStepRow {
  int32_t token;
  int32_t sequence;
  int32_t wantLogits;
} GrokStepRow;

/* Row r starts at data + r * stride and holds vocabSize values. */
typedef struct GrokLogits {
  const float *data;
  int64_t rows;
  int64_t vocabSize;
  int64_t stride;
} GrokLogits;

/* A buffer written by a launch, for looking inside a step. */
typedef struct GrokBufferView {
  const char *name;
  const char *dtype; /* "f32", "bf16", "i8", "i32" */
  const void *data;
  int32_t perRow; /* the first dimension is the row */
  int64_t rows;
  uint64_t rowBytes;
  const int64_t *shape; /* of one row as stored, padding included */
  size_t rank;
  const int64_t *logicalShape; /* of one row without padding */
  size_t logicalRank;
} GrokBufferView;

typedef struct GrokLaunchView {
  const char *name; /* "layer3.gate_up" */
  const char *op;   /* "gate_up" */
  int32_t layer;
  int64_t tiles;
  int64_t stepRows;
  int64_t stepLogitRows;
  const GrokBufferView *written;
  size_t numWritten;
} GrokLaunchView;

typedef void (*GrokObserver)(const GrokLaunchView *launch, void *user);

GROK_API const char *grokVersion(void);
/* The last failure in this thread: one line. */
GROK_API const char *grokLastError(void);

/* Loads an artifact folder. `options` may be NULL. An artifact for several ranks
 * runs them as threads of this process. */
GROK_API GrokModel *grokModelLoad(const char *directory, const GrokLoadOptions *options);
/* Sessions keep what they need of their model: free in any order. */
GROK_API void grokModelFree(GrokModel *model);
/* The caller sets info->size. */
GROK_API int grokModelInfo(const GrokModel *model, GrokModelInfo *info);
/* The SentencePiece model inside the plan; NULL and 0 if there is none. */
GROK_API const void *grokModelTokenizer(const GrokModel *model, size_t *size);

/* A session is used by one thread at a time. `options` may be NULL. */
GROK_API GrokSession *grokSessionCreate(GrokModel *model, const GrokSessionOptions *options);
GROK_API void grokSessionFree(GrokSession *session);
/* A new empty sequence: its number, or -1. */
GROK_API int32_t grokSequenceCreate(GrokSession *session);
GROK_API int grokSequenceFree(GrokSession *session, int32_t sequence);
GROK_API int64_t grokSequenceLength(const GrokSession *session, int32_t sequence);

/* Feeds rows of any mix of sequences, at most maxStepRows. The logits (of the
 * rows that want them, in order) are valid until the next step. After an error
 * nothing has changed. `logits` may be NULL. */
GROK_API int grokStep(GrokSession *session, const GrokStepRow *rows, size_t count,
                      GrokLogits *logits);
/* Feeds `count` tokens in chunks of at most `chunk` (0: as many as possible);
 * gives the logits after the last token. */
GROK_API int grokPrefill(GrokSession *session, int32_t sequence, const int32_t *tokens,
                         size_t count, int64_t chunk, GrokLogits *logits);

/* Calls `observer` after each launch of each step; NULL switches off. */
GROK_API void grokSessionObserve(GrokSession *session, GrokObserver observer, void *user);

#ifdef __cplusplus
}
#endif

#endif
