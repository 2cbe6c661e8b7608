// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What was found by a search, in words.
#pragma once

#include "compiler/planning/SearchJson.h"

namespace grok::planning {

/// "grok-1 on 8xh100 for latency: batch 1, context 8192, ...".
std::string headlineOf(const SearchDocument &document);

/// "tp8 leads tp4.pp2 by 1.62 ms a token: reading memory 2.01 ms less, collectives
/// 0.39 ms more."; for one plan, that it is the only one.
std::string explainLead(const SearchDocument &document);

/// One line per number at whose other value another plan, or the second one,
/// would win.
std::vector<std::string> explainFlips(const SearchDocument &document);

/// What was not tried, and what the model's error leaves open.
std::string explainProof(const SearchDocument &document);

/// Of two plans, the differences of their times by term: "reading memory 2.01 ms
/// less, collectives 0.39 ms more".
std::string compareTimes(const search::Times &left, const search::Times &right);

} // namespace grok::planning
