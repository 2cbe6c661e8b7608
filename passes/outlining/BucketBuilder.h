// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Appends buffers and launches to one bucket.
#pragma once

#include "passes/outlining/KernelTable.h"
#include "passes/outlining/LayoutBuilder.h"

#include "llvm/ADT/StringSet.h"

namespace grok::plan {

/// One operand of a launch and how its tiles use it.
struct LaunchOperand {
  mlir::Value buffer;
  Access access;
  Range range;
};

inline LaunchOperand readWhole(mlir::Value buffer) { return {buffer, Access::read, Range::whole}; }
inline LaunchOperand readRows(mlir::Value buffer) { return {buffer, Access::read, Range::rows}; }
inline LaunchOperand readPanels(mlir::Value buffer) {
  return {buffer, Access::read, Range::panels};
}
inline LaunchOperand writeWhole(mlir::Value buffer) {
  return {buffer, Access::write, Range::whole};
}
inline LaunchOperand writeRows(mlir::Value buffer) { return {buffer, Access::write, Range::rows}; }
inline LaunchOperand writePanels(mlir::Value buffer) {
  return {buffer, Access::write, Range::panels};
}
inline LaunchOperand updatePanels(mlir::Value buffer) {
  return {buffer, Access::read_write, Range::panels};
}
inline LaunchOperand updateRows(mlir::Value buffer) {
  return {buffer, Access::read_write, Range::rows};
}

/// What one launch is, apart from its operands.
struct LaunchSpec {
  llvm::StringRef op = {};   // of the kernel; also the launch's name
  llvm::StringRef name = {}; // if the launch is called otherwise
  std::optional<int64_t> layer = {};
  TilesAttr tiles = {};
};

class BucketBuilder {
public:
  BucketBuilder(BucketOp bucket, KernelTable &kernels)
      : bucket(bucket), builder(mlir::OpBuilder::atBlockEnd(&bucket.getBody().front())),
        kernels(kernels) {}

  int64_t getMaxRows() { return bucket.getMaxRows(); }
  mlir::MLIRContext *getContext() { return builder.getContext(); }

  /// A float32 buffer of activations: `row` is the logical shape of one row,
  /// whose last extent is padded to a panel.
  mlir::Value addRows(mlir::Location loc, std::optional<int64_t> layer, llvm::StringRef name,
                      llvm::ArrayRef<int64_t> row);
  /// A buffer of exactly this type.
  mlir::Value addBuffer(mlir::Location loc, std::optional<int64_t> layer, llvm::StringRef name,
                        mlir::RankedTensorType type, llvm::ArrayRef<int64_t> logicalRow = {});
  /// A weight, or one layer of the cache: one op per bucket, however often used.
  mlir::Value addWeight(mlir::Location loc, const PackedTensor &tensor);
  mlir::Value addCache(mlir::Location loc, int64_t layer, int64_t layerBytes);
  mlir::Value addLogits(mlir::Location loc, int64_t columns);

  TilesAttr countRows(int64_t perRow = 1);
  TilesAttr countTiles(int64_t constant);
  TilesAttr countIn(int64_t operand, int64_t element, int64_t max);

  void addLaunch(mlir::Location loc, const LaunchSpec &launch, const KernelParams &params,
                 llvm::ArrayRef<LaunchOperand> operands);

  /// `source` and `target` as the kind wants them; `name` is the kind's if empty.
  void addCollective(mlir::Location loc, llvm::StringRef kind, std::optional<int64_t> layer,
                     llvm::ArrayRef<llvm::StringRef> over, mlir::Value source, mlir::Value target,
                     llvm::StringRef name = "");

private:
  /// "layer3.q"; with "_2" and so on behind a name that is taken.
  std::string makeName(llvm::StringSet<> &taken, std::optional<int64_t> layer,
                       llvm::StringRef name);

  BucketOp bucket;
  mlir::OpBuilder builder;
  KernelTable &kernels;
  llvm::DenseMap<mlir::Attribute, mlir::Value> weights; // by symbol
  llvm::DenseMap<int64_t, mlir::Value> caches;          // by layer
  llvm::StringSet<> bufferNames, launchNames;
};

} // namespace grok::plan
