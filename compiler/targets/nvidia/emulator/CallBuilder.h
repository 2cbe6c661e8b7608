// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Emits calls of the emulator's functions in place of GPU operations.
#pragma once

#include "runtime/device/emulated/EmulatorABI.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"
#include <string>

/// Where the table holds the function `name`.
#define GROK_EMULATOR(name) offsetof(GrokEmulatorTable, name)

namespace grok::compiler {

/// Works on one host module, function by function.
class CallBuilder {
public:
  explicit CallBuilder(mlir::ModuleOp host);

  /// The following calls stand in `function`, whose first argument is the thread.
  void enterFunction(mlir::LLVM::LLVMFuncOp function);
  void moveTo(mlir::Operation *before) { ops.setInsertionPoint(before); }

  mlir::Value word(int64_t value);
  mlir::Value wide(int64_t value);
  mlir::Value pointerTo(mlir::Value base, int64_t bytes);

  /// A register's 32 bits: i1 and smaller integers zero-extended, others as they are.
  mlir::Value asWord(mlir::Value value);
  mlir::Value fromWord(mlir::Value word, mlir::Type type);
  /// A pointer of the host's only address space.
  mlir::Value asPointer(mlir::Value address);
  /// An optional operand, or what stands for none.
  mlir::Value wordOr(mlir::Value value, int64_t otherwise);

  /// Calls the table's function with the thread before `arguments` and, if `site`
  /// is given, that operation's site after them. `result` may be null.
  mlir::Value call(size_t function, mlir::Type result, mlir::ValueRange arguments,
                   mlir::Operation *site);

  /// Memory of the thread for `words` registers: arguments and results of one call.
  mlir::Value inputs(mlir::ValueRange registers);
  mlir::Value outputs(size_t words);

  mlir::Value specialRegister(GrokEmulatorRegister which);
  /// Constant bytes, as a pointer.
  mlir::Value constantBytes(llvm::StringRef bytes);

  /// `kind` is for messages: the n-th operation of its name in the kernel.
  void nameSites(mlir::Operation *root);

  mlir::OpBuilder ops;
  mlir::Location location;
  mlir::Type pointer, i1, i8, i16, i32, i64, f32;
  mlir::Value thread, shared; // of the current function

private:
  mlir::Value site(mlir::Operation *op);
  mlir::Value scratch(mlir::Value &memory, size_t words);

  mlir::ModuleOp host;
  mlir::LLVM::LLVMFuncOp function;
  mlir::Value inMemory, outMemory;
  llvm::DenseMap<mlir::Operation *, std::string> sites;
  llvm::StringMap<std::string> constants; // bytes to symbol
};

/// Replaces one operation's results; the caller erases it. Returns what is wrong,
/// or nothing.
using OpTranslation = std::string (*)(CallBuilder &, mlir::Operation *);
using OpTranslations = llvm::StringMap<OpTranslation>;

void addThreadOps(OpTranslations &table);       // registers, barriers, warps
void addMatrixOps(OpTranslations &table);       // mma, ldmatrix, wgmma
void addCopyOps(OpTranslations &table);         // cp.async, mbarrier, fences
void addMathOps(OpTranslations &table);         // approximations, conversions
void addTensorMemoryOps(OpTranslations &table); // tcgen05

/// An operation that calls LLVM's function "llvm.nvvm.`form`", a mma.sync of 8-bit floats:
/// nvvm.mma.sync does not have them.
std::string translateMmaOfFloat8(CallBuilder &calls, mlir::Operation *op, llvm::StringRef form);

} // namespace grok::compiler
