// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reads the groups buffer in the kernels of experts.
#pragma once

#include "compiler/kernels/GroupsLayout.h"
#include "compiler/kernels/VectorBuilder.h"

namespace grok::compiler {

/// Who the active experts are and which pairs each of them has. Pairs of one expert
/// are neighbours, in positions that ascend by row. Counts and positions are i64;
/// `groups` is the buffer's address.
class PairGroups {
public:
  PairGroups(VectorBuilder &builder, const KernelSpec &spec, Value groups)
      : builder(builder), groups(groups), selected(spec.selected), layout(spec.experts) {}

  Value activeCount() { return at(layout.activeCount, builder.index(0)); }
  Value expert(Value active) { return at(layout.ids, active); }
  Value firstPosition(Value active) { return at(layout.offsets, active); }
  Value endPosition(Value active) { return firstPosition(builder.add(active, 1)); }
  Value pair(Value position) { return at(layout.pairs, position); }
  Value rowOfPair(Value pair) { return builder.quotient(pair, selected); }

private:
  Value at(int64_t part, Value index) {
    return builder.loadIndex(builder.offset(builder.rowAddress(groups, index, 4), part * 4));
  }

  VectorBuilder &builder;
  Value groups;
  int64_t selected;
  GroupsLayout layout;
};

} // namespace grok::compiler
