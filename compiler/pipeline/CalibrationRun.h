// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a calibration text says about a model: which codes to choose, which
// matrices to spare, and how good the result is.
#pragma once

#include "compiler/calibration/GptqEncoder.h"
#include "compiler/calibration/Sensitivities.h"
#include "compiler/pipeline/Compile.h"
#include "compiler/pipeline/ModelSource.h"
#include "compiler/pipeline/TemporaryFolder.h"
#include "compiler/report/QuantizationReport.h"
#include "passes/quantization/Sensitivities.h"

namespace grok::compiler {

/// Runs the model as stored, in float32, over the text. Nine tenths of the text
/// teach the encoder; the last tenth only measures.
class CalibrationRun {
public:
  /// Reads and tokenizes the text, compiles the model as stored into a temporary
  /// folder and collects second moments. All arguments must outlive the result.
  static Result<std::unique_ptr<CalibrationRun>>
  create(const CompileOptions &options, const CompileHooks &hooks, const OpenedModel &source);

  const quantization::MatrixEncoder &encoder() const { return *gptq; }

  /// Losses by trial compiles with one item at a time in three bits; nothing for
  /// models so large that this would take hours.
  Result<std::optional<quantization::MeasuredSensitivities>> measureSensitivities();

  /// Fills in what the last tenth of the text shows of `artifact`, of the model
  /// as stored, and, of an automatic choice for a small model, of the flat choices
  /// next to it in size.
  Result<void> measure(const std::string &artifact, report::QuantizationReport &report);

  /// The flat choice that fits the budget and was measured to be better than what
  /// was chosen, as items and formats to assign; empty if there is none.
  std::vector<std::string> betterFlat(const report::QuantizationReport &report) const;

private:
  CalibrationRun(const CompileOptions &options, const CompileHooks &hooks,
                 const OpenedModel &source, TemporaryFolder folder)
      : options(options), hooks(hooks), source(source), folder(std::move(folder)) {}
  Result<void> readText();
  Result<void> collect();
  Result<std::string> compileVariant(const std::string &name, CompileOptions variant);
  CompileOptions baselineOptions() const;
  bool isSmall() const;
  Result<calibration::Comparison> compare(const std::string &artifact) const;
  Result<void> measureFlat(const quantization::FlatChoice &flat,
                           report::QuantizationReport &report);
  Result<std::string> compileTrial(std::span<const std::string> items, const std::string &format);
  void say(const std::string &text) const;

  const CompileOptions &options;
  const CompileHooks &hooks;
  const OpenedModel &source;
  TemporaryFolder folder;
  std::vector<int32_t> ids; // of the text
  int64_t window = 0;
  std::string baseline; // artifact
  calibration::Statistics statistics;
  std::unique_ptr<calibration::GptqEncoder> gptq;
  calibration::ItemSensitivities measuredItems;
};

} // namespace grok::compiler
