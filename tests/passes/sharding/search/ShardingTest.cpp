// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tests/passes/sharding/search/Grok1.h"

#include <gmock/gmock.h>

using namespace grok::search;
using testing::HasSubstr;

TEST(Sharding, TextAndBack) {
  for (const char *text : {"tp1", "tp8", "tp4.pp2", "tp2.ep4.pp2.dp3"}) {
    const auto sharding = parseSharding(text);
    ASSERT_TRUE(sharding) << sharding.error();
    EXPECT_EQ(sharding->text(), text);
  }
  EXPECT_EQ(parseSharding("pp2.tp4")->text(), "tp4.pp2");
  EXPECT_EQ(parseSharding("tp2.ep2.pp2.dp2")->ranks(), 16);
  EXPECT_EQ(parseSharding("ep4.tp2:hidden=all", 64)->text(), "tp2.ep4:hidden=0-63");
  EXPECT_EQ(parseSharding("ep2:hidden=7,0-2,2-3", 8)->text(), "ep2:hidden=0-3,7");
  EXPECT_FALSE(parseSharding("ep2").value().sameSplit(*parseSharding("ep2:hidden=0", 1)));
  for (const char *text : {"ep2:", "ep2:hidden", "ep2:hidden=", "ep2:hidden=8", "ep2:hidden=2-1",
                           "ep2:hidden=0-", "ep2:hidden=-1", "ep2:hidden=0,", "ep2:hidden=0x"})
    EXPECT_FALSE(parseSharding(text, 8)) << text;
}

TEST(Sharding, BadTexts) {
  for (const char *text : {"", "tp", "tp0", "tp-1", "tp8x", "xp2", "tp2.", "tp2..pp2",
                           "tp99999999999", "tp2.tp4", "8", "tp2 pp2"})
    EXPECT_FALSE(parseSharding(text)) << text;
}

TEST(Sharding, RulesOfTheModel) {
  const auto errorOf = [](const char *text) {
    const auto checked = checkSharding(grok1(), *parseSharding(text));
    return checked ? std::string() : checked.error();
  };
  for (const char *legal :
       {"tp1", "tp2", "tp8", "tp16", "ep8", "pp64", "tp8.pp3.dp5", "tp2.ep2.pp3", "tp48"})
    EXPECT_EQ(errorOf(legal), "") << legal;
  EXPECT_THAT(errorOf("tp5"), HasSubstr("tp5 does not divide the 48 query heads of grok-1"));
  EXPECT_THAT(errorOf("tp6"), HasSubstr("tp6 neither divides nor is a multiple of the 8"));
  Workload exact;
  exact.isReproducible = true;
  EXPECT_TRUE(checkSharding(grok1(), *parseSharding("tp16"), exact));
  EXPECT_TRUE(checkSharding(grok1(), *parseSharding("tp8.ep4"), exact));
  EXPECT_THAT(checkSharding(grok1(), *parseSharding("tp8.ep4:hidden=5", 64), exact).error(),
              HasSubstr("ep times tp = 32 does not divide the 16 slices of reproducible sums"));
  EXPECT_THAT(checkSharding(grok1(), *parseSharding("tp24"), exact).error(),
              HasSubstr("tp24 does not divide the 16 slices of reproducible sums"));
  ModelShape narrow = grok1();
  narrow.hidden = 8;
  EXPECT_THAT(checkSharding(narrow, *parseSharding("tp16")).error(),
              HasSubstr("tp16 is more than the 8 hidden columns or tokens"));
  EXPECT_THAT(errorOf("ep3"), HasSubstr("ep3 does not divide the 8 experts"));
  EXPECT_THAT(errorOf("pp65"), HasSubstr("pp65 is more than the 64 layers"));
}

TEST(Sharding, GroupsOverNodes) {
  Machine machine = bareMachine(8, 1e12);
  machine.nodes = 4;
  const auto spanned = [&](const char *text, int64_t size) {
    return nodesSpanned(*parseSharding(text), size, machine);
  };
  EXPECT_EQ(spanned("tp8.pp4", 8), 1);
  EXPECT_EQ(spanned("tp16", 16), 2);
  EXPECT_EQ(spanned("tp32", 32), 4);
  EXPECT_EQ(spanned("tp3.dp2", 3), 1) << "ranks 0 to 5 are on the first node";
  EXPECT_EQ(spanned("tp3.dp3", 3), 2) << "ranks 6 to 8 are on two";
  EXPECT_EQ(hopsAcross(*parseSharding("tp4.pp4"), machine), 1);
  EXPECT_EQ(hopsAcross(*parseSharding("tp4.pp2.dp2"), machine), 0);
  EXPECT_EQ(hopsAcross(*parseSharding("tp8.pp4"), machine), 3);
}
