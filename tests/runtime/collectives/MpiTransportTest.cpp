// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a machine without a usable MPI says. With one: tests/runtime/ranks.
#include "runtime/collectives/MpiTransport.h"
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grok::runtime {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

static std::string errorWith(const char *library) {
  setenv("GROK_MPI_LIBRARY", library, 1);
  auto started = startMpi();
  unsetenv("GROK_MPI_LIBRARY");
  return started ? "started" : started.error();
}

TEST(MpiTransport, WithoutItsLibrary) {
  EXPECT_THAT(
      errorWith("/no/such/libgrok-mpi.so"),
      AllOf(HasSubstr("MPI cannot be used: /no/such/libgrok-mpi.so"), Not(HasSubstr("\n"))));
}

TEST(MpiTransport, AnotherLibrary) {
  EXPECT_THAT(errorWith("libc.so.6"), HasSubstr("libc.so.6 has no grok_mpi"));
}

} // namespace grok::runtime
