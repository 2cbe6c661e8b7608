// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the few allowed globals, calls and states of a tensor's pickle mean.
// Errors say what is wrong; the machine adds the opcode and the byte.
#pragma once

#include "frontends/checkpoint/xai/PickleValue.h"

namespace grok::checkpoint::pickle {

/// The global of that module and name, if it is one of the allowed ones.
Result<Global> findGlobal(std::string_view module, std::string_view name);

/// The object that calling `callable` with `arguments` makes (REDUCE).
Result<Value> call(const Heap &heap, Ref callable, Ref arguments);

/// The empty object that NEWOBJ makes of a class.
Result<Value> construct(const Heap &heap, Ref type, Ref arguments);

/// `object` with `state` set (BUILD). An object can be built once.
Result<Value> build(const Heap &heap, Ref object, Ref state);

/// What the whole pickle must be.
Result<TensorRecord> tensorOf(const Value &value);

} // namespace grok::checkpoint::pickle
