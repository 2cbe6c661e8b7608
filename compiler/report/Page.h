// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What all reports have in common: one page, no scripts, nothing to load.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace grok::report {

std::string paragraph(const std::string &text);
std::string heading(const std::string &text);
/// A row of cells ("td" or "th"); those after the first `texts` hold numbers.
std::string tableRow(const char *cell, const std::vector<std::string> &cells, size_t texts);
/// Coloured squares with their meaning: CSS class and text.
std::string legendOf(const std::vector<std::pair<std::string, std::string>> &entries);
/// The whole page; `body` is HTML.
std::string pageOf(const std::string &title, const std::string &body);

} // namespace grok::report
