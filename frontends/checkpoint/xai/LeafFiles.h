// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The folder side of xAI's format: files named tensorNNNNN_MMM (leaf, host)
// that carry no tensor names, so that their number is all there is to check.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

namespace grok::checkpoint {

/// The names in the order of their files: depth-first over dictionaries with
/// string-sorted keys, so layer 10 stands before layer 2 (specification
/// section 6). Returns indices into `tensors`.
std::vector<size_t> leafOrder(const TensorList &tensors);

/// The paths of the files of leaves 0, 1, ... in `folder`, which holds or is
/// `ckpt-0`. `names` are the tensors' names in the order of the leaves; there
/// must be exactly one file of host 0 for each.
Result<std::vector<std::string>> findLeafFiles(const std::string &folder,
                                               const std::vector<std::string> &names);

} // namespace grok::checkpoint
