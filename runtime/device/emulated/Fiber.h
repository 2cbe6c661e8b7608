// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Stacks and the switch between them: one fiber stands for one GPU thread.
#pragma once

#include <cstddef>
#include <vector>

namespace grok::runtime::emulated {

/// Stores the callee-saved registers on the running stack and its pointer in
/// `*from`, then continues on the stack `to`.
extern "C" void grokSwitchFiber(void **from, void *to);

/// A stack above a page that faults.
struct Stack {
  char *bottom = nullptr; // lowest usable byte
  char *top = nullptr;    // one past the highest
};

/// Lays out a stack so that switching to the returned pointer calls
/// `entry(argument)`, which must never return. `color` moves the first frame
/// down, so that the frames of neighbouring fibers do not share cache sets.
void *prepareFiber(const Stack &stack, size_t color, void (*entry)(void *), void *argument);

/// Keeps stacks for later blocks and launches. Not for two threads at a time.
class StackPool {
public:
  static constexpr size_t stackBytes = size_t(64) << 10;

  StackPool() = default;
  StackPool(const StackPool &) = delete;
  StackPool &operator=(const StackPool &) = delete;
  ~StackPool();

  /// A stack without owner, or bottom = null if memory cannot be mapped.
  Stack take();
  void give(const Stack &stack) { unused.push_back(stack); }

private:
  std::vector<Stack> unused;
  std::vector<Stack> all;
};

} // namespace grok::runtime::emulated
