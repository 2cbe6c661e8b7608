// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Feeds plan bodies past the digest: structure and meaning must hold alone. An
// even first byte: the rest is a body. An odd one: the rest edits the toy plan's
// body, 6 bytes each (where, what), which reaches deep without a corpus.
#include "tests/runtime/plan/ToyPlan.h"
#include <cstring>

using namespace grok::runtime;

static const std::vector<std::byte> &toyBody() {
  static const std::vector<std::byte> body = [] {
    grok::plan::PlanT plan = toy::makePlan();
    for (auto &blob : plan.code)
      blob->image.resize(64);
    return toy::bodyOf(plan);
  }();
  return body;
}

static std::vector<std::byte> edited(std::span<const std::byte> edits) {
  std::vector<std::byte> body = toyBody();
  for (; edits.size() >= 6; edits = edits.subspan(6)) {
    uint16_t where;
    std::memcpy(&where, edits.data(), sizeof(where));
    std::memcpy(&body[where % (body.size() - 4)], edits.data() + 2, 4);
  }
  return body;
}

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  (void)(data[0] % 2 ? parsePlanBody(edited(rest), "fuzz") : parsePlanBody(rest, "fuzz"));
  return 0;
}
