// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Feeds plan bodies past the digest: structure and meaning must hold alone.
#include "runtime/plan/PlanReader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  (void)grok::runtime::parsePlanBody(std::as_bytes(std::span(data, size)), "fuzz");
  return 0;
}
