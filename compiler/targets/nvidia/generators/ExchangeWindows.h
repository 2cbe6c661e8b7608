// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Words that go between the members' device memories. What goes where, and why nobody
// overwrites what is still read: runtime/plan/ExchangeABI.h.
#pragma once

#include "compiler/targets/nvidia/generators/GpuBuilder.h"
#include "runtime/plan/ExchangeABI.h"

namespace grok::compiler {

/// The windows of a group as a launch sees them. `position` is a word's place in the
/// window, below grokExchangeWords.
class ExchangeWindows {
public:
  /// `description`: of a GrokExchange. Reads what earlier launches leave.
  ExchangeWindows(GpuBuilder &kernel, Value description);

  Value rowWords, members, index, isSum, ofLogits; // fields of GrokExchange; members: int32
  Value number;                                    // before the launch, int32

  void forMembers(llvm::function_ref<void(size_t)> body);
  /// To a member that is there.
  void sendTo(size_t member, Value word, Value position, Value number);
  /// To all.
  void send(Value word, Value position, Value number);
  /// The members' words at each of the positions, grokExchangeMembers 64-bit values each
  /// with the word below; of absent members whatever.
  Values await(ValueRange positions, Value number);
  /// Of the words at one position, as treeSum: float32.
  Value sumOf(ValueRange words);
  /// By all threads at the kernel's end: so many numbers were used.
  void finish(Value numbers);

private:
  Value field(size_t at, Type type);
  Value wordField(size_t at) { return field(at, kernel.i32); }
  Value place(Value window, Value number, Value sender, Value position);
  Value isMissing(ValueRange words, Value number);
  Value askHost(ValueRange words, Value number);

  GpuBuilder &kernel;
  Value description, state, control, own;
  Values windows;
};

} // namespace grok::compiler
