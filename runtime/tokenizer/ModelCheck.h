// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What must hold of a SentencePiece model before SentencePiece may see it.
#pragma once

#include "runtime/Result.h"
#include <string_view>

namespace grok::runtime {

/// Refuses models with compiled normalisation rules. SentencePiece follows their
/// tables without bounds, so a bad model reads outside of them; Grok-1's
/// normaliser is the identity and has none.
Result<void> checkTokenizerModel(std::string_view model);

} // namespace grok::runtime
