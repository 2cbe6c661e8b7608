// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What stands before the meaning of a plan: file, identifier, version, digest,
// structure.
#include "runtime/plan/Sha256.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <gmock/gmock.h>
#include <sys/stat.h>

namespace grok::runtime {

using testing::HasSubstr;

static std::string errorOf(std::span<const std::byte> file) {
  auto plan = parsePlan(file, "toy.plan");
  return plan ? "" : plan.error();
}

// The toy plan with its code cut down to ELF headers, which nothing loads here:
// small enough to try every byte.
static plan::PlanT smallPlan() {
  plan::PlanT plan = toy::makePlan();
  for (auto &blob : plan.code)
    blob->image.resize(64);
  return plan;
}

TEST(PlanReader, AcceptsAGoodPlan) {
  auto plan = parsePlan(toy::fileOf(toy::makePlan()), "toy.plan");
  ASSERT_TRUE(plan) << plan.error();
  EXPECT_EQ(plan->root().model()->vocab_size(), toy::vocabSize);
  EXPECT_EQ(plan->root().programs()->Get(0)->buckets()->size(), 2u);
}

TEST(PlanReader, DigestIsThatOfTheBody) {
  std::vector<std::byte> body = toy::bodyOf(smallPlan());
  auto plan = parsePlan(toy::fileOf(smallPlan()), "toy.plan");
  ASSERT_TRUE(plan) << plan.error();
  EXPECT_EQ(plan->digest(), sha256(body));
  auto unsealed = parsePlanBody(body, "toy.plan");
  ASSERT_TRUE(unsealed) << unsealed.error();
  EXPECT_EQ(unsealed->digest(), plan->digest());
}

TEST(PlanReader, RefusesEveryTruncation) {
  std::vector<std::byte> file = toy::fileOf(smallPlan());
  for (size_t size = 0; size < file.size(); ++size)
    ASSERT_NE(errorOf(std::span(file).first(size)), "") << "cut to " << size;
}

// A flip changes the result or hits a byte without meaning (padding around the
// body), in which case the plan is the same.
TEST(PlanReader, NoFlippedByteChangesThePlan) {
  std::vector<std::byte> file = toy::fileOf(smallPlan());
  std::vector<std::byte> body = toy::bodyOf(smallPlan());
  size_t accepted = 0;
  for (size_t i = 0; i < file.size(); ++i) {
    file[i] ^= std::byte(0x20);
    if (auto plan = parsePlan(file, "toy.plan")) {
      ++accepted;
      auto *found = reinterpret_cast<const uint8_t *>(&plan->root());
      auto *expected =
          reinterpret_cast<const uint8_t *>(flatbuffers::GetRoot<plan::Plan>(body.data()));
      auto rest =
          body.size() - static_cast<size_t>(expected - reinterpret_cast<uint8_t *>(body.data()));
      ASSERT_EQ(plan->bodyBytes(), body.size());
      ASSERT_EQ(std::memcmp(found, expected, rest), 0);
    }
    file[i] ^= std::byte(0x20);
  }
  EXPECT_LE(accepted, 16u);
}

// With a fresh signature the digest hides nothing: the verifier and the check of
// the meaning have to stand on their own.
TEST(PlanReader, SurvivesEveryFlippedByteUnderAFreshSignature) {
  std::vector<std::byte> body = toy::bodyOf(smallPlan());
  size_t refused = 0;
  for (int pattern : {0x01, 0x04, 0x80, 0xff})
    for (size_t i = 0; i < body.size(); ++i) {
      body[i] ^= std::byte(pattern);
      auto plan = parsePlanBody(body, "toy.plan");
      if (!plan) {
        ++refused;
        ASSERT_EQ(plan.error().find('\n'), std::string::npos) << plan.error();
      }
      body[i] ^= std::byte(pattern);
    }
  EXPECT_GT(refused, body.size() / 4);
}

TEST(PlanReader, SurvivesEveryTruncationUnderAFreshSignature) {
  std::vector<std::byte> body = toy::bodyOf(smallPlan());
  for (size_t size = 0; size < body.size(); ++size)
    (void)parsePlanBody(std::span(body).first(size), "toy.plan");
}

TEST(PlanReader, NamesADamagedFile) {
  std::vector<std::byte> file = toy::fileOf(smallPlan());
  file[file.size() / 2] ^= std::byte(1);
  EXPECT_THAT(errorOf(file), HasSubstr("SHA-256 mismatch"));
}

TEST(PlanReader, NamesAnotherFileType) {
  std::vector<std::byte> text(100, std::byte('x'));
  EXPECT_THAT(errorOf(text), HasSubstr("not a plan file"));
}

TEST(PlanReader, NamesAFutureFormatVersion) {
  std::vector<std::byte> body = toy::bodyOf(smallPlan());
  flatbuffers::FlatBufferBuilder builder;
  plan::PlanFileT outer;
  Digest digest = sha256(body);
  outer.format_version = 7;
  outer.body_sha256 = {digest.begin(), digest.end()};
  outer.body.assign(reinterpret_cast<uint8_t *>(body.data()),
                    reinterpret_cast<uint8_t *>(body.data()) + body.size());
  plan::FinishPlanFileBuffer(builder, plan::CreatePlanFile(builder, &outer));
  auto file = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  EXPECT_THAT(errorOf(file), HasSubstr("format version 7, this runtime reads version " +
                                       std::to_string(planFormatVersion)));
}

TEST(PlanReader, BodyAtAnyAlignment) {
  std::vector<std::byte> body = toy::bodyOf(smallPlan());
  for (size_t shift = 1; shift < 8; ++shift) {
    std::vector<std::byte> moved(shift);
    moved.insert(moved.end(), body.begin(), body.end());
    EXPECT_TRUE(parsePlanBody(std::span(moved).subspan(shift), "toy.plan"));
  }
}

TEST(PlanReader, ReadsFilesOnly) {
  toy::TemporaryFolder folder;
  EXPECT_THAT(readPlan(folder.path + "/none").error(), HasSubstr("cannot open"));
  EXPECT_THAT(readPlan(folder.path).error(), HasSubstr("not a regular file"));
  std::string pipe = folder.path + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(readPlan(pipe).error(), HasSubstr("not a regular file"));
  toy::writeFile(folder.path + "/empty", {});
  EXPECT_THAT(readPlan(folder.path + "/empty").error(), HasSubstr("not a plan file"));
}

TEST(PlanReader, RefusesAHugeFileWithoutReadingIt) {
  toy::TemporaryFolder folder;
  std::string path = folder.path + "/model.plan";
  toy::writeFile(path, {});
  ASSERT_EQ(truncate(path.c_str(), int64_t(1) << 40), 0);
  EXPECT_THAT(readPlan(path).error(), HasSubstr("expected at most"));
}

TEST(Sha256, KnownAnswer) {
  EXPECT_EQ(hex(sha256(std::as_bytes(std::span("abc", 3)))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

} // namespace grok::runtime
