// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/Fiber.h"
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

// The registers that System V's ABI for x86-64 wants kept, nothing else:
// translated code changes neither MXCSR nor the x87 control word.
asm(R"(
.text
.globl grokSwitchFiber
.hidden grokSwitchFiber
.type grokSwitchFiber, @function
grokSwitchFiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size grokSwitchFiber, .-grokSwitchFiber
.globl grokStartFiber
.hidden grokStartFiber
.type grokStartFiber, @function
grokStartFiber:
  movq %r12, %rdi
  callq *%r13
  ud2
.size grokStartFiber, .-grokStartFiber
)");

namespace grok::runtime::emulated {

extern "C" void grokStartFiber();

void *prepareFiber(const Stack &stack, size_t color, void (*entry)(void *), void *argument) {
  // As popped by the switch: r15, r14, r13, r12, rbx, rbp, return address.
  constexpr size_t words = 7;
  char *top = stack.top - color / 16 * 16; // the stack's own top is that of a page
  auto *frame = reinterpret_cast<uintptr_t *>(top) - words;
  std::memset(frame, 0, words * sizeof *frame);
  frame[2] = reinterpret_cast<uintptr_t>(entry);
  frame[3] = reinterpret_cast<uintptr_t>(argument);
  frame[6] = reinterpret_cast<uintptr_t>(&grokStartFiber);
  return frame;
}

static size_t pageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

Stack StackPool::take() {
  if (!unused.empty()) {
    const Stack stack = unused.back();
    unused.pop_back();
    return stack;
  }
  const size_t guard = pageBytes();
  void *mapped = mmap(nullptr, guard + stackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return {};
  char *bottom = static_cast<char *>(mapped) + guard;
  mprotect(mapped, guard, PROT_NONE);
  all.push_back({bottom, bottom + stackBytes});
  return all.back();
}

StackPool::~StackPool() {
  for (const Stack &stack : all)
    munmap(stack.bottom - pageBytes(), pageBytes() + stackBytes);
}

} // namespace grok::runtime::emulated
