// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/plan/PlanReader.h"
#include "runtime/plan/File.h"
#include "runtime/plan/PlanCheck.h"
#include <cstring>

namespace grok::runtime {

// The schema is eight tables deep, and a 64-layer plan has some 10^5 tables.
static constexpr flatbuffers::uoffset_t maxDepth = 16;
static constexpr flatbuffers::uoffset_t maxTables = 4'000'000;
static constexpr const char *recompile = "; compile the model again";

static const uint8_t *asBytes(std::span<const std::byte> bytes) {
  return reinterpret_cast<const uint8_t *>(bytes.data());
}

static Result<PlanDocument> openBody(std::span<const std::byte> body, const Digest &digest,
                                     std::string_view name) {
  if (body.empty())
    return fail(name, ": empty plan body", recompile);
  // The copy gives the alignment that accessors assume, wherever a writer put
  // the body inside the file.
  auto aligned = std::make_unique_for_overwrite<std::byte[]>(body.size());
  std::memcpy(aligned.get(), body.data(), body.size());
  flatbuffers::Verifier verifier(reinterpret_cast<uint8_t *>(aligned.get()), body.size(), maxDepth,
                                 maxTables);
  if (!verifier.VerifyBuffer<plan::Plan>(nullptr))
    return fail(name, ": malformed plan body", recompile);
  PlanDocument document(std::move(aligned), body.size(), digest);
  if (auto checked = checkPlan(document.root()); !checked)
    return fail(name, ": ", checked.error(), recompile);
  return document;
}

Result<PlanDocument> parsePlanBody(std::span<const std::byte> body, std::string_view name) {
  return openBody(body, sha256(body), name);
}

static Result<const plan::PlanFile *> openOuter(std::span<const std::byte> file,
                                                std::string_view name) {
  constexpr size_t identifierEnd = 8; // root offset, then four letters
  if (file.size() < identifierEnd || !plan::PlanFileBufferHasIdentifier(file.data()))
    return fail(name, ": not a plan file (no 'GRKP' identifier)");
  flatbuffers::Verifier verifier(asBytes(file), file.size(), maxDepth, maxTables);
  if (!plan::VerifyPlanFileBuffer(verifier))
    return fail(name, ": truncated or malformed plan file; copy or compile it again");
  const plan::PlanFile *outer = plan::GetPlanFile(file.data());
  if (outer->format_version() != planFormatVersion)
    return fail(name, ": format version ", outer->format_version(), ", this runtime reads version ",
                planFormatVersion, recompile);
  return outer;
}

Result<PlanDocument> parsePlan(std::span<const std::byte> file, std::string_view name) {
  if (file.size() > maxPlanBytes)
    return fail(name, ": ", file.size(), " bytes, a plan has at most ", maxPlanBytes);
  auto outer = openOuter(file, name);
  if (!outer)
    return fail(outer.error());
  auto body = std::as_bytes(std::span((*outer)->body()->data(), (*outer)->body()->size()));
  const auto *expected = (*outer)->body_sha256();
  Digest found = sha256(body);
  if (expected->size() != found.size() ||
      std::memcmp(expected->data(), found.data(), found.size()) != 0)
    return fail(name, ": SHA-256 mismatch, the file is damaged; copy or compile it again");
  return openBody(body, found, name);
}

Result<PlanDocument> readPlan(const std::string &path) {
  auto file = readFile(path, maxPlanBytes);
  if (!file)
    return fail(file.error());
  return parsePlan(file->span(), path);
}

flatbuffers::DetachedBuffer sealPlan(std::span<const std::byte> body) {
  flatbuffers::FlatBufferBuilder builder(body.size() + 256);
  Digest digest = sha256(body);
  auto digestVector = builder.CreateVector(digest.data(), digest.size());
  auto bodyVector = builder.CreateVector(asBytes(body), body.size());
  builder.Finish(plan::CreatePlanFile(builder, planFormatVersion, digestVector, bodyVector),
                 plan::PlanFileIdentifier());
  return builder.Release();
}

} // namespace grok::runtime
