// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// `grok-plan show`: a plan as text or JSON.
#pragma once

#include "runtime/plan/PlanReader.h"
#include "runtime/plan/Sha256.h"
#include <nlohmann/json.hpp>
#include <string>

namespace grok::tools {

/// A plan and what its file says around it.
struct OpenedPlan {
  runtime::PlanDocument document;
  uint64_t fileBytes = 0;

  const plan::Plan &root() const { return document.root(); }
  /// SHA-256 of the body, hexadecimal.
  std::string digest() const { return runtime::hex(document.digest()); }
};

/// Opens and checks ARTIFACT/model.plan.
runtime::Result<OpenedPlan> openPlan(const std::string &artifact);

std::string showText(const OpenedPlan &opened);
nlohmann::ordered_json showJson(const OpenedPlan &opened);

} // namespace grok::tools
