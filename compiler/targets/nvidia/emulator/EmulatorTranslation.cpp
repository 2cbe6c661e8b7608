// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/nvidia/emulator/EmulatorTranslation.h"

#include "compiler/targets/cpu/ObjectEmitter.h"
#include "compiler/targets/nvidia/emulator/CallBuilder.h"
#include "compiler/targets/nvidia/emulator/MemoryOps.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/SetVector.h"

namespace grok::compiler {

using namespace mlir;

static constexpr unsigned sharedSpace = 3;
// Offsets of shared memory, all that descriptors have room for.
static constexpr int64_t offsetMask = 0x3ffff;

namespace {

// One kernel's module on its way to the host.
class Translation {
public:
  Translation(ModuleOp host, StringRef symbol) : host(host), symbol(symbol), calls(host) {
    addThreadOps(table);
    addMatrixOps(table);
    addCopyOps(table);
    addMathOps(table);
    addTensorMemoryOps(table);
  }

  /// Returns what is wrong, or nothing.
  std::string run();

private:
  std::string placeShared();
  std::string translate(LLVM::LLVMFuncOp function);
  std::string translate(Operation *op);
  void prependThread(LLVM::LLVMFuncOp function);
  void replaceSharedAddresses();
  void resolveAccumulators(LLVM::LLVMFuncOp function);
  void addEntry(LLVM::LLVMFuncOp kernel, bool startsEarly);

  ModuleOp host;
  std::string symbol;
  CallBuilder calls;
  OpTranslations table;
  llvm::StringMap<int64_t> sharedOffsets;
  int64_t staticBytes = 0;
};

} // namespace

static bool isShared(Type pointer) {
  return cast<LLVM::LLVMPointerType>(pointer).getAddressSpace() == sharedSpace;
}

static int64_t alignTo(int64_t value, int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Static globals one after the other, then the one of no size that stands for
// dynamic shared memory, as the driver lays them out.
std::string Translation::placeShared() {
  const DataLayout layout(host);
  SmallVector<LLVM::GlobalOp> globals(host.getOps<LLVM::GlobalOp>());
  for (bool isDynamic : {false, true})
    for (LLVM::GlobalOp global : globals) {
      if (global.getAddrSpace() != sharedSpace)
        return "global '" + global.getSymName().str() + "' outside of shared memory";
      Type type = global.getGlobalType();
      const auto bytes = static_cast<int64_t>(layout.getTypeSize(type).getFixedValue());
      if ((bytes == 0) != isDynamic)
        continue;
      const auto natural = static_cast<int64_t>(layout.getTypeABIAlignment(type));
      const auto alignment = static_cast<int64_t>(global.getAlignment().value_or(natural));
      staticBytes = alignTo(staticBytes, alignment);
      sharedOffsets[global.getSymName()] = staticBytes;
      staticBytes += bytes;
    }
  return {};
}

void Translation::replaceSharedAddresses() {
  SmallVector<LLVM::AddressOfOp> addresses;
  host.walk([&](LLVM::AddressOfOp op) { addresses.push_back(op); });
  for (LLVM::AddressOfOp op : addresses) {
    auto found = sharedOffsets.find(op.getGlobalName());
    if (found == sharedOffsets.end())
      continue;
    calls.enterFunction(op->getParentOfType<LLVM::LLVMFuncOp>());
    calls.moveTo(op);
    Value address = calls.pointerTo(calls.shared, found->second);
    // `shared` was just made at the function's start, so it dominates.
    op.replaceAllUsesWith(
        LLVM::AddrSpaceCastOp::create(calls.ops, calls.location, op.getType(), address)
            .getResult());
    op.erase();
  }
  for (LLVM::GlobalOp global : llvm::make_early_inc_range(host.getOps<LLVM::GlobalOp>()))
    if (sharedOffsets.contains(global.getSymName()))
      global.erase();
}

void Translation::prependThread(LLVM::LLVMFuncOp function) {
  SmallVector<Type> types = {calls.pointer};
  llvm::append_range(types, function.getFunctionType().getParams());
  function.setFunctionTypeAttr(TypeAttr::get(
      LLVM::LLVMFunctionType::get(function.getFunctionType().getReturnType(), types)));
  function.removeArgAttrsAttr();
  SmallVector<StringAttr> foreign;
  for (NamedAttribute attribute : function->getDiscardableAttrs())
    foreign.push_back(attribute.getName());
  for (StringAttr name : foreign)
    function->removeAttr(name);
  function.setLinkage(LLVM::Linkage::Internal);
  function.getBody().front().insertArgument(0u, calls.pointer, calls.location);
}

std::string Translation::translate(Operation *op) {
  calls.moveTo(op);
  if (std::string wrong = checkMemoryOp(calls, op); !wrong.empty())
    return wrong;
  if (auto call = dyn_cast<LLVM::CallOp>(op)) {
    if (call.getCallee() == StringRef(counterNoteSymbol)) {
      SmallVector<Value> arguments(call.getCalleeOperands());
      arguments[0] = calls.asPointer(arguments[0]);
      calls.call(GROK_EMULATOR(awaitCounter), {}, arguments, nullptr);
      op->erase();
      return {};
    }
    SmallVector<Value> arguments = {calls.thread};
    llvm::append_range(arguments, call.getCalleeOperands());
    call.getCalleeOperandsMutable().assign(arguments);
    return {};
  }
  auto cast = dyn_cast<LLVM::IntToPtrOp>(op);
  if (cast && isShared(cast.getType())) {
    // A 32-bit address of shared memory has the offset in its low bits.
    Value offset = cast.getArg();
    if (offset.getType() != calls.i64)
      offset = LLVM::ZExtOp::create(calls.ops, calls.location, calls.i64, offset);
    offset = LLVM::AndOp::create(calls.ops, calls.location, offset, calls.wide(offsetMask));
    Value address = LLVM::GEPOp::create(calls.ops, calls.location, calls.pointer, calls.i8,
                                        calls.shared, ArrayRef<LLVM::GEPArg>{offset});
    cast.replaceAllUsesWith(
        LLVM::AddrSpaceCastOp::create(calls.ops, calls.location, cast.getType(), address)
            .getResult());
    op->erase();
    return {};
  }
  auto found = table.find(op->getName().getStringRef());
  if (found == table.end())
    return isa<NVVM::NVVMDialect>(op->getDialect()) ? "is not emulated" : "";
  if (std::string wrong = found->second(calls, op); !wrong.empty())
    return wrong;
  // Operations that a translation left in place still have uses, or none ever.
  if (isa<NVVM::NVVMDialect>(op->getDialect()) || (op->getNumResults() && op->use_empty()))
    op->erase();
  return {};
}

// Sums of wgmma are tokens until they are waited for: where a kernel takes one
// out of its struct, the emulator is asked for the value.
void Translation::resolveAccumulators(LLVM::LLVMFuncOp function) {
  llvm::SmallSetVector<Type, 4> types;
  function.walk([&](NVVM::WgmmaMmaAsyncOp op) { types.insert(op.getResult().getType()); });
  SmallVector<LLVM::ExtractValueOp> reads;
  function.walk([&](LLVM::ExtractValueOp op) {
    if (types.contains(op.getContainer().getType()))
      reads.push_back(op);
  });
  for (LLVM::ExtractValueOp read : reads) {
    calls.ops.setInsertionPointAfter(read);
    Value token = calls.asWord(read);
    Value value = calls.call(GROK_EMULATOR(wgmmaResult), calls.i32,
                             {token, calls.word(read.getPosition().front())}, read);
    Value typed = calls.fromWord(value, read.getType());
    read.getResult().replaceUsesWithIf(typed, [&](OpOperand &use) {
      return use.getOwner() != token.getDefiningOp() && use.getOwner() != value.getDefiningOp();
    });
  }
}

std::string Translation::translate(LLVM::LLVMFuncOp function) {
  if (function.isExternal())
    return "function '" + function.getSymName().str() + "' is not defined";
  SmallVector<Operation *> all;
  function.walk([&](Operation *op) {
    if (op != function)
      all.push_back(op);
  });
  calls.nameSites(function);
  prependThread(function);
  calls.enterFunction(function);
  resolveAccumulators(function);
  for (Operation *op : all) {
    const StringRef name = op->getName().getStringRef(); // outlives the operation
    if (std::string wrong = translate(op); !wrong.empty())
      return ("operation '" + name + "' " + wrong).str();
  }
  return {};
}

// What the host calls: symbol(thread, values).
// Such kernels start before those that they wait for have ended.
static bool waitsForLaunches(LLVM::LLVMFuncOp kernel) {
  return kernel
      .walk([](NVVM::GriddepcontrolOp op) {
        return op.getKind() == NVVM::GridDepActionKind::wait ? WalkResult::interrupt()
                                                             : WalkResult::advance();
      })
      .wasInterrupted();
}

void Translation::addEntry(LLVM::LLVMFuncOp kernel, bool startsEarly) {
  SmallVector<Type> parameters(kernel.getFunctionType().getParams().drop_front());
  kernel.setSymName(symbol + ".body");
  calls.ops.setInsertionPointToEnd(host.getBody());
  Type nothing = LLVM::LLVMVoidType::get(host.getContext());
  auto entry = LLVM::LLVMFuncOp::create(
      calls.ops, calls.location, symbol,
      LLVM::LLVMFunctionType::get(nothing, {calls.pointer, calls.pointer}));
  Block *body = entry.addEntryBlock(calls.ops);
  calls.ops.setInsertionPointToStart(body);
  calls.thread = body->getArgument(0);
  calls.call(GROK_EMULATOR(enter), {}, {calls.wide(staticBytes)}, nullptr);
  if (startsEarly)
    calls.call(GROK_EMULATOR(startsEarly), {}, {}, nullptr);
  SmallVector<Value> arguments = {calls.thread};
  for (auto [i, type] : llvm::enumerate(parameters)) {
    Value slot = calls.pointerTo(body->getArgument(1), static_cast<int64_t>(8 * i));
    Value address = LLVM::LoadOp::create(calls.ops, calls.location, calls.pointer, slot);
    arguments.push_back(LLVM::LoadOp::create(calls.ops, calls.location, type, address));
  }
  LLVM::CallOp::create(calls.ops, calls.location, kernel, arguments);
  LLVM::ReturnOp::create(calls.ops, calls.location, ValueRange());
}

std::string Translation::run() {
  auto kernel = host.lookupSymbol<LLVM::LLVMFuncOp>(symbol);
  if (!kernel)
    return "it is not in the module";
  if (std::string wrong = placeShared(); !wrong.empty())
    return wrong;
  const bool startsEarly = waitsForLaunches(kernel);
  SmallVector<LLVM::LLVMFuncOp> functions(host.getOps<LLVM::LLVMFuncOp>());
  for (LLVM::LLVMFuncOp function : functions)
    if (std::string wrong = translate(function); !wrong.empty())
      return wrong;
  replaceSharedAddresses();
  addEntry(kernel, startsEarly);
  return {};
}

// A copy of the functions and globals, out of their gpu.module.
static OwningOpRef<ModuleOp> copyToHost(ModuleOp lowered) {
  OwningOpRef<ModuleOp> host = ModuleOp::create(lowered.getLoc());
  OpBuilder builder(host->getBodyRegion());
  lowered.walk([&](gpu::GPUModuleOp inner) {
    builder.setInsertionPointToEnd(host->getBody());
    for (Operation &op : *inner.getBody())
      if (isa<LLVM::LLVMFuncOp, LLVM::GlobalOp>(op))
        builder.clone(op);
  });
  return host;
}

tl::expected<llvm::SmallVector<char, 0>, std::string> translateForEmulator(ModuleOp lowered,
                                                                           StringRef symbol) {
  auto failure = [&](const std::string &what) {
    return tl::unexpected("kernel " + symbol.str() + " for the emulator: " + what);
  };
  OwningOpRef<ModuleOp> host = copyToHost(lowered);
  Translation translation(*host, symbol);
  if (std::string wrong = translation.run(); !wrong.empty())
    return failure(wrong);
  if (failed(verify(*host)))
    return failure("the translation does not verify; report this as a bug of the compiler");
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(*host, context, symbol);
  if (!module)
    return failure("an operation has no translation to LLVM IR");
  ObjectEmitter emitter(*cpuLevelNamed("x86-64-v3"));
  emitter.optimize(*module);
  llvm::SmallVector<char, 0> object = emitter.object(*module);
  std::vector<std::string> imports = importsOf(StringRef(object.data(), object.size()));
  if (!imports.empty())
    return failure("needs '" + imports.front() + "', which the emulator does not have");
  return object;
}

} // namespace grok::compiler
