// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What it costs to store parts of a model in fewer bits: measured.
#pragma once

#include "compiler/calibration/Scores.h"
#include "compiler/calibration/Statistics.h"
#include "compiler/quantization/Encoder.h"

namespace grok::calibration {

/// Matrices for which a format is chosen together: "layer3.gate_up" (of all
/// experts), "layer3.down", "layer3.attention".
struct CalibrationItem {
  std::string name;
  std::vector<const checkpoint::TensorInfo *> tensors; // of the checkpoint's list
};

/// The items of a model's layers, in their order; what is no matrix of a layer
/// belongs to none.
std::vector<CalibrationItem> itemsOf(const checkpoint::TensorList &tensors);

/// What was measured of one item, in the terms of `grok.sensitivities`.
struct ItemSensitivity {
  double loss = 0;                      // nats for a relative squared error of 1
  std::map<std::string, double> errors; // relative squared, by format: "int4g32"
  /// As measured with the item alone in the trial format.
  Comparison trial;
};

/// By item.
using ItemSensitivities = std::map<std::string, ItemSensitivity>;

/// "int4g32": a format's name in attributes.
std::string attributeNameOf(const quantization::MatrixFormat &format);

/// Encodes every matrix of the items in every format (whose row groups are
/// those of the tensor) and compares by the statistics. Formats that some matrix
/// of an item cannot have are left out of its errors.
Result<ItemSensitivities>
measureErrors(const checkpoint::Checkpoint &checkpoint, std::span<const CalibrationItem> items,
              std::span<const quantization::MatrixFormat> formats,
              const quantization::MatrixEncoder &encoder, const Statistics &statistics, int threads,
              const std::function<void(const CalibrationItem &)> &showProgress = {});

/// Compiles the model with these items in this format and all else as stored;
/// gives the artifact's folder, which may be used again for the next one.
using BuildTrial = std::function<Result<std::string>(std::span<const std::string> items,
                                                     const std::string &format)>;

struct TrialOptions {
  std::string format = "int3g32"; // enough noise to see
  std::string reference;          // artifact of the model as stored
  TextSlice slice;
  int threads = 1;
  std::function<void(const std::string &item)> showProgress;
};

/// Fills in losses from trials: one with each item alone, and one with all, whose
/// loss the others' divergences are scaled to add up to. Divergences rank items
/// with less noise than losses do. Items without an error in the trial format are
/// not tried.
Result<void> measureLosses(ItemSensitivities &items, const BuildTrial &build,
                           const TrialOptions &options);

} // namespace grok::calibration
