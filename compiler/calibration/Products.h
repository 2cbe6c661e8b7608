// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The two inner loops of the calibration, in an order that no CPU changes.
#pragma once

#include "compiler/calibration/Vectors.h"

namespace grok::calibration {

/// Sum of a[i] * b[i].
double dot(const double *a, const double *b, int64_t count);

/// Sum of factors[i] * vectors[i]: one column in each lane.
void combine(const float *factors, const FloatLanes *vectors, int64_t count, FloatLanes *result);

} // namespace grok::calibration
