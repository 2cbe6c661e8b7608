// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/MessageGroup.h"
#include "runtime/collectives/TreeSum.h"
#include <algorithm>
#include <cstring>

namespace grok::runtime {

// Beyond this, sending everything to everyone costs more than a second exchange.
static constexpr int64_t oneShotBytes = 256 << 10;

MessageGroup::MessageGroup(std::vector<int> members, int index, Courier &courier)
    : Group(std::move(members), index), courier(courier),
      parts(static_cast<size_t>(this->members())) {}

std::byte *MessageGroup::stage(size_t bytes) {
  if (staging.size() < bytes)
    staging.resize(bytes);
  return staging.data();
}

Result<void> MessageGroup::allGatherRows(const void *own, void *all, int64_t rows,
                                         size_t rowBytes) {
  const size_t bytes = static_cast<size_t>(rows) * rowBytes;
  const size_t stride = rowBytes * static_cast<size_t>(members());
  auto *to = static_cast<std::byte *>(all);
  // One row's parts lie in order already.
  std::byte *received = rows == 1 ? to : stage(bytes * static_cast<size_t>(members()));
  exchanges.clear();
  for (int i = 1; i < members(); ++i) {
    const int member = (index() + i) % members();
    exchanges.push_back(
        {rankOf(member), own, bytes, received + bytes * static_cast<size_t>(member), bytes});
  }
  if (auto done = courier.exchange("all_gather", exchanges); !done)
    return done;
  for (int member = 0; member < members(); ++member) {
    const auto place = static_cast<size_t>(member);
    const auto *from =
        member == index() ? static_cast<const std::byte *>(own) : received + bytes * place;
    if (rows == 1 && member != index())
      continue;
    for (size_t row = 0; row < static_cast<size_t>(rows) && rowBytes > 0; ++row)
      std::memcpy(to + row * stride + place * rowBytes, from + row * rowBytes, rowBytes);
  }
  return {};
}

Result<void> MessageGroup::reduceOneShot(const float *own, float *sum, int64_t count) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  std::byte *received = stage(bytes * static_cast<size_t>(members()));
  exchanges.clear();
  for (int i = 1; i < members(); ++i) {
    const auto member = static_cast<size_t>((index() + i) % members());
    exchanges.push_back(
        {rankOf(static_cast<int>(member)), own, bytes, received + bytes * member, bytes});
    parts[member] = reinterpret_cast<const float *>(received + bytes * member);
  }
  parts[static_cast<size_t>(index())] = own;
  if (auto done = courier.exchange("all_reduce", exchanges); !done)
    return done;
  treeSum(parts, sum, count);
  return {};
}

// Member i adds up share i of all and sends the result to everyone.
Result<void> MessageGroup::reduceTwoShot(const float *own, float *sum, int64_t count) {
  const auto shareBegin = [&](int member) { return count * member / members(); };
  const auto shareBytes = [&](int member) {
    return static_cast<size_t>(shareBegin(member + 1) - shareBegin(member)) * sizeof(float);
  };
  const size_t bytes = shareBytes(index());
  std::byte *received = stage(bytes * static_cast<size_t>(members()));
  exchanges.clear();
  for (int i = 1; i < members(); ++i) {
    const int member = (index() + i) % members();
    std::byte *part = received + bytes * static_cast<size_t>(member);
    exchanges.push_back(
        {rankOf(member), own + shareBegin(member), shareBytes(member), part, bytes});
    parts[static_cast<size_t>(member)] = reinterpret_cast<const float *>(part);
  }
  parts[static_cast<size_t>(index())] = own + shareBegin(index());
  if (auto done = courier.exchange("all_reduce", exchanges); !done)
    return done;
  float *share = sum + shareBegin(index());
  treeSum(parts, share, static_cast<int64_t>(bytes / sizeof(float)));
  exchanges.clear();
  for (int i = 1; i < members(); ++i) {
    const int member = (index() + i) % members();
    exchanges.push_back(
        {rankOf(member), share, bytes, sum + shareBegin(member), shareBytes(member)});
  }
  return courier.exchange("all_reduce", exchanges);
}

Result<void> MessageGroup::allReduceRows(const float *own, float *sum, int64_t rows,
                                         int64_t columns) {
  const int64_t count = rows * columns;
  if (count == 0)
    return {};
  return count * static_cast<int64_t>(sizeof(float)) <= oneShotBytes
             ? reduceOneShot(own, sum, count)
             : reduceTwoShot(own, sum, count);
}

} // namespace grok::runtime
