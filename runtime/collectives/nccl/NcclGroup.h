// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A group of GPUs: messages go from device memory to device memory, in
// the order of a stream. NCCL moves bytes only; sums are made elsewhere, in our own order.
#pragma once

#include "runtime/collectives/Communicator.h"
#include "runtime/collectives/nccl/NcclLibrary.h"

namespace grok::runtime {

/// All members call the same operations in the same order; one thread at a time, to which
/// the GPU is known. Calls return when the work is in the stream, which does it later.
class NcclGroup {
public:
  /// Collective over the members of `group`, who tell each other how to meet through
  /// `host`, which outlives this.
  static Result<std::unique_ptr<NcclGroup>> create(const Group &group, Communicator &host,
                                                   const nccl::Functions &functions);
  /// Whether NCCL works here at all: this rank makes a group of its own.
  static Result<void> probe(Communicator &host, const nccl::Functions &functions);
  ~NcclGroup();
  NcclGroup(const NcclGroup &) = delete;
  NcclGroup &operator=(const NcclGroup &) = delete;

  int members() const { return static_cast<int>(ranksOfMembers.size()); }
  int index() const { return own; }
  /// Stands for those that NCCL waits for, of whom it says nothing: the rank after us.
  int nextRank() const { return ranksOfMembers[static_cast<size_t>((own + 1) % members())]; }

  /// A part of device memory; of no bytes, nothing goes.
  struct Part {
    std::byte *data;
    size_t bytes;
  };
  /// One part to each member and one from each, ourselves included; [member] both.
  /// `received` is as long as the sender's.
  Result<void> exchange(std::span<const Part> sent, std::span<const Part> received,
                        nccl::Stream stream);
  /// own: [bytes] -> all: [member][bytes], of which `own` may be this member's part.
  Result<void> allGather(const void *own, void *all, size_t bytes, nccl::Stream stream);

  /// An error of what goes on in the background.
  Result<void> check();
  /// Ends what waits on the device for members that do not come, as far as NCCL can,
  /// soon. All calls fail then.
  void abort();

private:
  NcclGroup(std::vector<int> members, int index, WaitRules &rules, const nccl::Functions &functions)
      : ranksOfMembers(std::move(members)), own(index), rules(rules), functions(functions) {}
  Result<void> connect(const nccl::UniqueId &id);
  Result<void> checkUsable() const;
  Result<void> settle(const char *collective, int code, Wait::Kind kind);
  Result<void> settle(const char *collective, int code) {
    return settle(collective, code, Wait::Kind::answer);
  }
  Result<void> failure(const char *collective, int code);

  std::vector<int> ranksOfMembers;
  int own;
  WaitRules &rules;
  nccl::Functions functions;
  nccl::Comm comm = nullptr;
  bool failed = false, aborted = false;
};

} // namespace grok::runtime
