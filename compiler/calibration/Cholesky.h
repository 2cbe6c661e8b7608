// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The Cholesky factor of a symmetric positive definite matrix.
#pragma once

#include <cstdint>
#include <span>

namespace grok::calibration {

/// Replaces the lower triangle of `matrix`, [n][n], by L with L L^T = matrix; the
/// rest is left alone. False if a pivot is not positive. The same bits for any
/// number of threads and on every machine.
bool factorize(std::span<double> matrix, int64_t n, int threads);

} // namespace grok::calibration
