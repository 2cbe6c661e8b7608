// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where the bytes of integer weights stand in a packed panel
// (docs/packing.md), and how packed codes become one line per four inputs.
#pragma once

#include "compiler/kernels/ByteDot.h"

namespace grok::compiler {

/// One matrix of i8, i4 or i3. A run is what one multiplier covers: a group of
/// rows of codes, a whole unit of int8.
class PackedLines {
public:
  PackedLines(KernelBuilder &kernel, const WeightFormat &format, int64_t contraction);

  int64_t runInputs() const { return run; }
  int64_t zeroPoint() const;

  /// Offsets in a panel of run number `number`.
  struct Place {
    Value lines;
    Value multipliers; // int8[16]; codes only
  };
  Place placeOf(Value number) const;

  /// Lines that are opened together: bundleBytes packed hold bundleInputs / 4
  /// lines of [16 columns][4 k] bytes.
  int64_t bundleInputs() const;
  int64_t bundleBytes() const { return panelColumns * bundleInputs() * format.bits() / 8; }
  Values openBundle(Value address) const;
  /// What the level wants read ahead of the bundle.
  void prefetchBundle(Value address) const;

private:
  Value load(Value address, int64_t number) const;
  Values openFours(Value address) const;
  Values openThrees(Value address) const;

  KernelBuilder &kernel;
  WeightFormat format;
  int64_t run, runs;
};

/// Turns the lines of one run from packed to stored bytes.
class LineOpener {
public:
  /// `multipliers` is the address of the run's, for codes.
  LineOpener(KernelBuilder &kernel, const WeightFormat &format, ByteDot::Bytes stored,
             Value multipliers);

  Value open(Value line) const;

private:
  KernelBuilder &kernel;
  ByteDot::Bytes stored;
  Value factors; // per column, in both half words; codes only
  Value origin;  // what a product of codes lacks, in bytes
};

} // namespace grok::compiler
