// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The ways to store a matrix that can be chosen: their names, which matrices
// can take them, what they cost.
#pragma once

#include "dialects/grok/GrokDialect.h"

#include <optional>
#include <string>

namespace grok::quantization {

/// A format without the shape of a matrix.
struct Storage {
  unsigned bits = 0; // 8, 4 or 3; 0 = as the checkpoint stores it
  int64_t group = 0; // rows that share a multiplier, for 4 and 3 bits

  bool operator==(const Storage &) const = default;
};

inline constexpr Storage asStored{};
inline constexpr Storage int8Storage{8};

/// All of them, the one with least error first.
llvm::SmallVector<Storage> allStorages();
/// "stored", "int8", "int4g32", "int4g64", "int3g32", "int3g64".
std::string nameOf(Storage storage);
/// The inverse; nothing for any other text.
std::optional<Storage> storageNamed(llvm::StringRef name);

/// One matrix of a weight, or all experts' of one that are stored alike.
struct MatrixForm {
  llvm::SmallVector<int64_t> shape; // [rows, columns], perhaps [experts, ...] before
  mlir::Type element;
  FormatAttr format; // null for floats
  bool isTable = false;

  int64_t elements() const;
  /// As kernels stream it: columns padded to panels of 16, scales counted.
  int64_t bytes() const;
};

/// `stored` under `storage`, or nothing if no kernel could read that: row groups
/// must be whole groups of multipliers, and tables have eight bits. The scales
/// and row groups of an int8 matrix are kept; a float matrix gets one row group.
std::optional<MatrixForm> formUnder(const MatrixForm &stored, Storage storage);

/// Expected relative squared error against the checkpoint's values, for weights
/// of normal distribution: docs/quantization.md.
double expectedError(const MatrixForm &stored, const MatrixForm &form);

} // namespace grok::quantization
