// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The meaning of a plan: everything FlatBuffers' verifier cannot know. The
// checks trust nothing but that the tables are well formed; sizes are computed
// with saturating arithmetic, so that a product too large is never small.
#pragma once

#include "runtime/Result.h"
#include "runtime/plan/plan_generated.h"
#include <cstdint>
#include <string>
#include <string_view>

namespace grok::runtime {

/// Checks the whole plan. The error names the entry that is wrong.
Result<void> checkPlan(const plan::Plan &plan);

// The parts, in the order in which checkPlan takes them.
Result<void> checkModel(const plan::Plan &plan);
Result<void> checkSharding(const plan::Plan &plan);
Result<void> checkPage(const plan::Plan &plan);
Result<void> checkLayout(const plan::Layout &layout);
Result<void> checkKernels(const plan::Plan &plan);
Result<void> checkCode(const plan::Plan &plan);
Result<void> checkProgram(const plan::Plan &plan, const plan::Program &program);
Result<void> checkLaunches(const plan::Plan &plan, const plan::Program &program,
                           const plan::Bucket &bucket, const std::string &where);
Result<void> checkLifetimes(const plan::Bucket &bucket, const std::string &where);
Result<void> checkRanks(const plan::Plan &plan);

inline constexpr uint64_t maxScratchBytes = uint64_t(1) << 28; // of a worker, or of a GPU kernel

/// Names appear in messages and file listings: short and printable.
bool isCleanName(const flatbuffers::String *name, bool mayBeEmpty = false);
/// A SHA-256 of 32 bytes is there.
bool isDigest(const flatbuffers::Vector<uint8_t> *bytes);
/// Text of an optional string.
std::string_view textOf(const flatbuffers::String *name);

/// "tp2.pp2"; "tp1" for one rank.
std::string nameOf(const plan::Sharding &sharding);

/// Whether the group of a collective over `axes` goes along `axis`.
bool includes(plan::Axis axes, plan::Axis axis);

/// "gate_up", "all_reduce": the kernel's op or the collective. The plan is checked.
std::string_view opOf(const plan::Plan &plan, const plan::Launch &launch);

/// Bytes of one element; 0 for a value outside the enumeration.
uint64_t sizeOf(plan::DType dtype);
std::string_view nameOf(plan::DType dtype);

uint64_t saturatingMultiply(uint64_t left, uint64_t right);
uint64_t saturatingAdd(uint64_t left, uint64_t right);
/// Rounds up to a multiple; the largest value if that overflows.
uint64_t roundUp(uint64_t value, uint64_t multiple);

/// Product of the dimensions; the largest value if one is below 1, there are too
/// many, they are not aligned, or the product overflows. 1 for no dimensions.
uint64_t elementsOf(const flatbuffers::Vector<int64_t> *shape);

} // namespace grok::runtime
