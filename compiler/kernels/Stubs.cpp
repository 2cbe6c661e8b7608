#include "compiler/kernels/KernelGenerators.h"
namespace grok::compiler {
#define S(n)                                                                                       \
  void n(KernelBuilder &) {}
S(emitEmbed)
S(emitRmsNorm) S(emitResidualNorm) S(emitQkv) S(emitAttention) S(emitRoute) S(emitGroup)
    S(emitGateUp) S(emitDownCombine)
} // namespace grok::compiler
