// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/nccl/NcclLibrary.h"
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grok::runtime {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

static std::string errorWith(const char *library, bool isAskedFor = true) {
  setenv("GROK_NCCL_LIBRARY", library, 1);
  auto opened = nccl::open();
  EXPECT_EQ(nccl::isAskedFor(), isAskedFor);
  unsetenv("GROK_NCCL_LIBRARY");
  return opened ? "opened" : opened.error();
}

TEST(NcclLibrary, WhereThereIsNone) {
  EXPECT_THAT(errorWith("/no/such/libnccl.so.2"),
              AllOf(HasSubstr("NCCL cannot be used: /no/such/libnccl.so.2"), Not(HasSubstr("\n"))));
  EXPECT_THAT(errorWith("libc.so.6"), HasSubstr("libc.so.6 has no ncclGetVersion"));
  EXPECT_THAT(errorWith("", false), HasSubstr("set to nothing"));
}

} // namespace grok::runtime
