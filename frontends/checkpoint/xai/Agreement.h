// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whether the tensors found in a checkpoint are those that the model's
// description asks for, and the likeliest reason if not.
#pragma once

#include "frontends/checkpoint/xai/PickleValue.h"

namespace grok::checkpoint {

/// The tensor that a record is, under the name that its position gave it.
TensorInfo describe(const TensorRecord &record, const std::string &name, const std::string &file);

/// Fails unless `found` has the form of one of `accepted` throughout; all lists
/// have the same names in the same order.
Result<void> checkAgreement(const TensorList &found, const std::vector<TensorList> &accepted);

} // namespace grok::checkpoint
