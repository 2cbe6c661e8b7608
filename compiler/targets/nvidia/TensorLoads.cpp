// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/TensorLoads.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include <utility>

namespace grok::compiler {

using namespace llvm;

static Intrinsic::ID idOf(const Instruction &instruction) {
  auto *call = dyn_cast<IntrinsicInst>(&instruction);
  return call ? call->getIntrinsicID() : Intrinsic::not_intrinsic;
}

// As many registers as the vector has elements.
static bool isLoad(const Instruction &instruction) {
  switch (idOf(instruction)) {
  case Intrinsic::nvvm_tcgen05_ld_32x32b_x2:
  case Intrinsic::nvvm_tcgen05_ld_32x32b_x4:
  case Intrinsic::nvvm_tcgen05_ld_32x32b_x8:
  case Intrinsic::nvvm_tcgen05_ld_32x32b_x16:
  case Intrinsic::nvvm_tcgen05_ld_32x32b_x32:
  case Intrinsic::nvvm_tcgen05_ld_32x32b_x64:
    return true;
  default:
    return false;
  }
}

static uint64_t columnsOf(const Instruction &load) {
  return cast<FixedVectorType>(load.getType())->getNumElements();
}

// The loads, then the wait; results are all registers in a row.
static CallInst *emitAssembly(IRBuilder<> &builder, ArrayRef<Instruction *> loads) {
  std::string text, constraints;
  std::vector<Value *> addresses;
  uint64_t registers = 0, all = 0;
  for (Instruction *load : loads)
    all += columnsOf(*load);
  for (Instruction *load : loads) {
    const uint64_t columns = columnsOf(*load);
    text += "tcgen05.ld.sync.aligned.32x32b.x" + std::to_string(columns) + ".b32 {";
    for (uint64_t i = 0; i < columns; ++i)
      text += (i ? ", $" : "$") + std::to_string(registers++);
    text += "}, [$" + std::to_string(all + addresses.size()) + "];\n\t";
    addresses.push_back(builder.CreatePtrToInt(load->getOperand(0), builder.getInt32Ty()));
  }
  for (uint64_t i = 0; i < all; ++i)
    constraints += "=r,";
  for (size_t i = 0; i < addresses.size(); ++i)
    constraints += "r,";
  Type *result =
      StructType::get(builder.getContext(), std::vector<Type *>(all, builder.getInt32Ty()));
  auto *type = FunctionType::get(
      result, std::vector<Type *>(addresses.size(), builder.getInt32Ty()), /*isVarArg=*/false);
  CallInst *call = builder.CreateCall(InlineAsm::get(type, text + "tcgen05.wait::ld.sync.aligned;",
                                                     constraints + "~{memory}",
                                                     /*hasSideEffects=*/true),
                                      addresses);
  call->setConvergent();
  return call;
}

static void replace(IRBuilder<> &builder, Instruction *load, CallInst *registers, unsigned first) {
  const auto columns = static_cast<unsigned>(columnsOf(*load));
  std::vector<Value *> words;
  for (unsigned i = 0; i < columns; ++i)
    words.push_back(builder.CreateExtractValue(registers, first + i));
  Value *vector = PoisonValue::get(load->getType());
  for (User *user : make_early_inc_range(load->users())) {
    auto *extract = dyn_cast<ExtractElementInst>(user);
    auto *index = extract ? dyn_cast<ConstantInt>(extract->getIndexOperand()) : nullptr;
    if (!index)
      continue;
    extract->replaceAllUsesWith(words[index->getZExtValue()]);
    extract->eraseFromParent();
  }
  if (!load->use_empty())
    for (unsigned i = 0; i < columns; ++i)
      vector = builder.CreateInsertElement(vector, words[i], i);
  load->replaceAllUsesWith(vector);
  load->eraseFromParent();
}

namespace {

struct Join {
  std::vector<Instruction *> loads;
  Instruction *wait = nullptr;
};

} // namespace

static std::vector<Join> joinsOf(BasicBlock &block) {
  std::vector<Join> joins;
  Join next;
  for (Instruction &instruction : block) {
    if (isLoad(instruction))
      next.loads.push_back(&instruction);
    if (idOf(instruction) != Intrinsic::nvvm_tcgen05_wait_ld || next.loads.empty())
      continue;
    next.wait = &instruction;
    joins.push_back(std::exchange(next, {}));
  }
  return joins;
}

void joinTensorLoads(Function &function) {
  for (BasicBlock &block : function)
    for (const Join &join : joinsOf(block)) {
      IRBuilder<> builder(join.wait);
      CallInst *registers = emitAssembly(builder, join.loads);
      unsigned first = 0;
      for (Instruction *load : join.loads) {
        const auto columns = static_cast<unsigned>(columnsOf(*load));
        replace(builder, load, registers, first);
        first += columns;
      }
      join.wait->eraseFromParent();
    }
}

} // namespace grok::compiler
