// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/Ptxas.h"
#include <gtest/gtest.h>

using namespace grok::compiler;

TEST(PtxasReport, ReadsTheNumbersOfAKernel) {
  PtxasReport report = parsePtxasReport(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
      "ptxas info    : Function properties for k\n"
      "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
      "ptxas info    : Used 39 registers, used 1 barriers, 40960 bytes smem, 400 bytes cmem[0]\n");
  EXPECT_EQ(report.registers, 39);
  EXPECT_EQ(report.spillBytes, 16);
  EXPECT_EQ(report.stackBytes, 8);
  EXPECT_EQ(report.staticShared, 40960);
}

TEST(Ptxas, ReadsTheMostOfAnyFunction) {
  PtxasReport report =
      parsePtxasReport("ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
                       "ptxas info    : Function properties for k\n"
                       "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                       "ptxas info    : Used 39 registers, used 1 barriers, 400 bytes cmem[0]\n"
                       "ptxas info    : Function properties for part\n"
                       "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n");
  EXPECT_EQ(report.registers, 39);
  EXPECT_EQ(report.spillBytes, 16);
  EXPECT_EQ(report.stackBytes, 8);
}

TEST(Ptxas, SaysInOneLineWhatIsWrong) {
  std::optional<Ptxas> ptxas = Ptxas::find();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas";
  auto cubin = ptxas->assemble(".version 8.0\n.target sm_80\n.address_size 64\nnonsense\n",
                               *nvidiaChipNamed("sm_80"));
  ASSERT_FALSE(cubin);
  EXPECT_EQ(cubin.error().rfind("ptxas", 0), 0u);
  EXPECT_EQ(cubin.error().find('\n'), std::string::npos);
}
