// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A step allocates nothing, at the first token or the last.
#include "runtime/session/Session.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

static std::atomic<long> allocations = 0;

void *operator new(size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size))
    return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

namespace grok::runtime {

TEST(Session, StepsWithoutAllocating) {
  toy::Artifact artifact;
  LoadOptions options;
  options.threads = 2;
  auto model = Model::load(artifact.path, options).value();
  auto session = Session::create(model, {.sequences = 2}).value();
  std::vector<StepRow> both = {{3, session->createSequence().value()},
                               {4, session->createSequence().value()}};
  std::vector<int32_t> prompt(20, 5);
  long before = allocations;
  bool prefilled = session->prefill(0, prompt, 7).has_value();
  bool stepped = true;
  for (int i = 0; i < 44; ++i)
    stepped &= session->step(both).has_value();
  long after = allocations;
  EXPECT_TRUE(prefilled && stepped);
  EXPECT_EQ(after - before, 0);
}

} // namespace grok::runtime
