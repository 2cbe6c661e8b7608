// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pictures of the HTML report.
#pragma once

#include "compiler/report/QuantizationReport.h"

namespace grok::report {

/// Bits by layer (across) and kind (down); experts of a layer that differ are
/// stripes of its cell.
std::string drawFormats(const QuantizationReport &report);
/// The legend's entries of the picture above: CSS class and text.
std::vector<std::pair<std::string, std::string>> formatLegend();

/// Bytes of the choice and of each flat alternative.
std::string drawBytes(const QuantizationReport &report);

/// Bits against perplexity, predicted and measured, or against predicted loss
/// where nothing was measured.
std::string drawQuality(const QuantizationReport &report);

} // namespace grok::report
