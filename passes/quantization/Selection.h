// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What was chosen and why, as plain data: `grok.quantization` on a module.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>
#include <vector>

namespace grok::quantization {

struct SelectedItem {
  std::string name;   // "layer3.down", "layer3.down.expert5", "table"
  std::string kind;   // "down"
  std::string format; // "int4g32", "int4g32+int8", "bf16"
  int64_t layer = -1, expert = -1;
  int64_t elements = 0;
  int64_t bytes = 0;
  double loss = 0; // predicted, nats

  bool operator==(const SelectedItem &) const = default;
};

/// The whole model in one format, to compare with.
struct FlatChoice {
  std::string format; // "int4g32"
  int64_t bytes = 0;  // of all weights
  double bits = 0;    // of one weight
  double loss = 0;    // predicted, nats

  bool operator==(const FlatChoice &) const = default;
};

struct Selection {
  std::string weights;     // what was asked for: "auto"
  bool isMeasured = false; // losses rest on measured sensitivities
  std::vector<SelectedItem> items;
  std::vector<FlatChoice> flat;
  int64_t elements = 0;    // of all matrices
  int64_t matrixBytes = 0; // theirs
  int64_t bytes = 0;       // of all weights
  int64_t budget = 0;      // of bytes; 0 = none was given
  double loss = 0;         // predicted, nats
  double gap = 0;          // nats that a better selection could still save; 0 = proved optimal

  /// Bits of one weight on average.
  double bits() const;
  bool operator==(const Selection &) const = default;
};

/// Leaves `selection` on the module as `grok.quantization`.
void setSelection(mlir::ModuleOp module, Selection selection);
/// Reads it back; nothing if the module has none.
std::optional<Selection> getSelection(mlir::ModuleOp module);

} // namespace grok::quantization
