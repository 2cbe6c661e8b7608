// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Continues a list of token ids greedily: generate ARTIFACT COUNT TOKEN...
#include "runtime/grok.h"
#include <stdio.h>
#include <stdlib.h>

static int complain(void) {
  fprintf(stderr, "generate: %s\n", grokLastError());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4)
    return fprintf(stderr, "usage: generate ARTIFACT COUNT TOKEN...\n"), 2;
  GrokModel *model = grokModelLoad(argv[1], NULL);
  GrokSession *session = model ? grokSessionCreate(model, NULL) : NULL;
  int32_t sequence = session ? grokSequenceCreate(session) : -1;
  if (sequence < 0)
    return complain();
  GrokLogits logits = {0};
  for (int i = 3; i < argc + atoi(argv[2]); ++i) {
    int32_t token = 0; // the likeliest of the last logits, the lowest id on ties
    for (int32_t id = 1; i >= argc && id < logits.vocabSize; ++id)
      token = logits.data[id] > logits.data[token] ? id : token;
    if (i >= argc)
      printf("%d\n", token);
    GrokStepRow row = {i < argc ? atoi(argv[i]) : token, sequence, 1};
    if (grokStep(session, &row, 1, &logits))
      return complain();
  }
  grokSessionFree(session);
  grokModelFree(model);
  return 0;
}
