// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NumPy .npy files (format 1.0) of float32 rows whose number is known at the end.
#pragma once

#include "runtime/output/PendingFile.h"

namespace grok::runtime {

/// Writes float32 [rows, columns] row by row. The file appears with `commit`.
class NpyWriter {
public:
  static Result<NpyWriter> create(const std::string &path, int64_t columns);

  /// `row` has `columns` values.
  Result<void> append(std::span<const float> row);
  Result<void> commit();

private:
  NpyWriter(PendingFile file, int64_t columns) : file(std::move(file)), columns(columns) {}

  PendingFile file;
  int64_t columns;
  int64_t rows = 0;
};

} // namespace grok::runtime
