// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From the bytes of a plan file to a plan that is safe to use.
#pragma once

#include "runtime/Result.h"
#include "runtime/plan/Sha256.h"
#include "runtime/plan/plan_generated.h"
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace grok::runtime {

constexpr auto planFormatVersion = static_cast<uint32_t>(plan::FormatVersion::current);
/// No plan comes near this; it bounds what a bad file can make us read.
constexpr uint64_t maxPlanBytes = uint64_t(1) << 30;

/// A plan whose digest, structure and meaning have been checked: every index is
/// in range and every extent inside what contains it.
class PlanDocument {
public:
  PlanDocument(std::unique_ptr<std::byte[]> body, uint64_t bytes, const Digest &digest)
      : body(std::move(body)), bytes(bytes), bodyDigest(digest) {}

  const plan::Plan &root() const { return *flatbuffers::GetRoot<plan::Plan>(body.get()); }
  uint64_t bodyBytes() const { return bytes; }
  /// SHA-256 of the body: plans that agree in it are the same.
  const Digest &digest() const { return bodyDigest; }

private:
  std::unique_ptr<std::byte[]> body;
  uint64_t bytes;
  Digest bodyDigest;
};

/// Reads and checks the file at `path`.
Result<PlanDocument> readPlan(const std::string &path);

/// Checks the bytes of a plan file; `name` stands in messages.
Result<PlanDocument> parsePlan(std::span<const std::byte> file, std::string_view name);

/// The part of `parsePlan` after the digest: structure, then meaning.
Result<PlanDocument> parsePlanBody(std::span<const std::byte> body, std::string_view name);

/// A plan file around a finished body (root Plan): what `parsePlan` opens.
flatbuffers::DetachedBuffer sealPlan(std::span<const std::byte> body);

} // namespace grok::runtime
