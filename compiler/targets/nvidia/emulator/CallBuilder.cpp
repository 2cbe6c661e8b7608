// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/emulator/CallBuilder.h"

#include "llvm/Support/raw_ostream.h"

namespace grok::compiler {

using namespace mlir;

// Memory for the registers of one call: a wgmma of n = 256 has 128.
static constexpr int64_t scratchWords = 160;

CallBuilder::CallBuilder(ModuleOp host)
    : ops(host.getContext()), location(UnknownLoc::get(host.getContext())), host(host) {
  MLIRContext *context = host.getContext();
  pointer = LLVM::LLVMPointerType::get(context);
  i1 = ops.getI1Type();
  i8 = ops.getI8Type();
  i16 = ops.getI16Type();
  i32 = ops.getI32Type();
  i64 = ops.getI64Type();
  f32 = ops.getF32Type();
}

void CallBuilder::enterFunction(LLVM::LLVMFuncOp next) {
  function = next;
  inMemory = outMemory = {};
  thread = function.getBody().front().getArgument(0);
  ops.setInsertionPointToStart(&function.getBody().front());
  auto load = LLVM::LoadOp::create(
      ops, location, pointer,
      pointerTo(thread, static_cast<int64_t>(offsetof(GrokEmulatorThread, shared))));
  load.setInvariant(true);
  shared = load;
}

Value CallBuilder::word(int64_t value) {
  return LLVM::ConstantOp::create(ops, location, i32,
                                  ops.getI32IntegerAttr(static_cast<int32_t>(value)));
}

Value CallBuilder::wide(int64_t value) {
  return LLVM::ConstantOp::create(ops, location, i64, ops.getI64IntegerAttr(value));
}

Value CallBuilder::pointerTo(Value base, int64_t bytes) {
  if (bytes == 0)
    return base;
  return LLVM::GEPOp::create(ops, location, pointer, i8, base,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value CallBuilder::asWord(Value value) {
  if (value.getType() == i32)
    return value;
  if (isa<IntegerType>(value.getType()))
    return LLVM::ZExtOp::create(ops, location, i32, value);
  return LLVM::BitcastOp::create(ops, location, i32, value);
}

Value CallBuilder::fromWord(Value word, Type type) {
  if (type == i32)
    return word;
  if (isa<IntegerType>(type))
    return LLVM::TruncOp::create(ops, location, type, word);
  return LLVM::BitcastOp::create(ops, location, type, word);
}

Value CallBuilder::asPointer(Value address) {
  if (address.getType() == pointer)
    return address;
  return LLVM::AddrSpaceCastOp::create(ops, location, pointer, address);
}

Value CallBuilder::wordOr(Value value, int64_t otherwise) {
  return value ? asWord(value) : word(otherwise);
}

Value CallBuilder::call(size_t entry, Type result, ValueRange arguments, Operation *op) {
  SmallVector<Value> all = {thread};
  llvm::append_range(all, arguments);
  if (op)
    all.push_back(site(op));
  auto table = LLVM::LoadOp::create(ops, location, pointer, thread);
  table.setInvariant(true);
  auto callee =
      LLVM::LoadOp::create(ops, location, pointer, pointerTo(table, static_cast<int64_t>(entry)));
  callee.setInvariant(true);
  Type returned = result ? result : LLVM::LLVMVoidType::get(ops.getContext());
  SmallVector<Type> types;
  for (Value value : all)
    types.push_back(value.getType());
  SmallVector<Value> operands = {callee};
  llvm::append_range(operands, all);
  auto made =
      LLVM::CallOp::create(ops, location, LLVM::LLVMFunctionType::get(returned, types), operands);
  return result ? made.getResult() : Value();
}

Value CallBuilder::scratch(Value &memory, size_t words) {
  assert(words <= scratchWords && "more registers than any operation has");
  if (!memory) {
    OpBuilder::InsertionGuard guard(ops);
    ops.setInsertionPointToStart(&function.getBody().front());
    memory = LLVM::AllocaOp::create(ops, location, pointer, i32, wide(scratchWords), 16);
  }
  return memory;
}

Value CallBuilder::inputs(ValueRange registers) {
  Value memory = scratch(inMemory, registers.size());
  int64_t at = 0;
  for (Value value : registers) {
    LLVM::StoreOp::create(ops, location, value, pointerTo(memory, at));
    at += 4;
  }
  return memory;
}

Value CallBuilder::outputs(size_t words) { return scratch(outMemory, words); }

Value CallBuilder::specialRegister(GrokEmulatorRegister which) {
  const auto at = offsetof(GrokEmulatorThread, registers) + sizeof(uint32_t) * which;
  auto load = LLVM::LoadOp::create(ops, location, i32, pointerTo(thread, static_cast<int64_t>(at)));
  load.setInvariant(true);
  return load;
}

Value CallBuilder::constantBytes(StringRef bytes) {
  std::string &symbol = constants[bytes];
  if (symbol.empty()) {
    symbol = "grok.constant." + std::to_string(constants.size());
    OpBuilder::InsertionGuard guard(ops);
    ops.setInsertionPointToStart(host.getBody());
    LLVM::GlobalOp::create(ops, location, LLVM::LLVMArrayType::get(i8, bytes.size()),
                           /*isConstant=*/true, LLVM::Linkage::Internal, symbol,
                           ops.getStringAttr(bytes), /*alignment=*/8);
  }
  return LLVM::AddressOfOp::create(ops, location, pointer, symbol);
}

// "gemm.mlir:12", or nothing.
static std::string textOf(Location location) {
  if (auto file = dyn_cast<FileLineColLoc>(location))
    return file.getFilename().str() + ":" + std::to_string(file.getLine());
  if (auto name = dyn_cast<NameLoc>(location))
    return name.getName().str();
  if (auto call = dyn_cast<CallSiteLoc>(location))
    return textOf(call.getCallee());
  if (auto fused = dyn_cast<FusedLoc>(location))
    for (Location inner : fused.getLocations())
      if (std::string text = textOf(inner); !text.empty())
        return text;
  return {};
}

void CallBuilder::nameSites(Operation *root) {
  llvm::StringMap<int> counts;
  root->walk([&](Operation *op) {
    StringRef name = op->getName().getStringRef();
    std::string &text = sites[op];
    text = (name + " #" + std::to_string(++counts[name])).str();
    if (std::string place = textOf(op->getLoc()); !place.empty())
      text += " at " + place;
  });
}

Value CallBuilder::site(Operation *op) {
  std::string text = sites.lookup(op);
  text.push_back('\0');
  return constantBytes(text);
}

} // namespace grok::compiler
