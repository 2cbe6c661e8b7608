// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/MessageGroup.h"
#include "runtime/collectives/TreeSum.h"
#include <algorithm>
#include <cstring>

namespace grok::runtime {

MessageGroup::MessageGroup(std::vector<int> members, int index, Courier &courier)
    : Group(std::move(members), index), courier(courier),
      parts(static_cast<size_t>(this->members())) {}

void MessageGroup::stage(size_t bytesPerMember) {
  const size_t bytes = bytesPerMember * static_cast<size_t>(members());
  if (staging.size() < bytes)
    staging.resize(bytes);
}

std::byte *MessageGroup::staged(int member, size_t bytesPerMember) {
  return staging.data() + bytesPerMember * static_cast<size_t>(member);
}

// One message each way with every other member, the next one first.
Result<void> MessageGroup::exchangeWithAll(const char *collective, const Sent &sentTo,
                                           const Received &receivedFrom) {
  exchanges.clear();
  for (int i = 1; i < members(); ++i) {
    const int member = (index() + i) % members();
    const auto [sent, sentBytes] = sentTo(member);
    const auto [received, receivedBytes] = receivedFrom(member);
    exchanges.push_back({rankOf(member), sent, sentBytes, received, receivedBytes});
  }
  return courier.exchange(collective, exchanges);
}

Result<void> MessageGroup::allGatherRows(const void *own, void *all, int64_t rows,
                                         size_t rowBytes) {
  const size_t bytes = static_cast<size_t>(rows) * rowBytes;
  const size_t stride = rowBytes * static_cast<size_t>(members());
  auto *to = static_cast<std::byte *>(all);
  stage(bytes);
  // One row's parts lie in order already.
  const auto placeOf = [&](int member) {
    return rows == 1 ? to + rowBytes * static_cast<size_t>(member) : staged(member, bytes);
  };
  auto done = exchangeWithAll(
      "all_gather", [&](int) { return std::pair(own, bytes); },
      [&](int member) { return std::pair(placeOf(member), bytes); });
  if (!done)
    return done;
  for (int member = 0; member < members(); ++member) {
    if (rowBytes == 0 || (rows == 1 && member != index()))
      continue;
    const auto *from =
        member == index() ? static_cast<const std::byte *>(own) : staged(member, bytes);
    std::byte *column = to + rowBytes * static_cast<size_t>(member);
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row)
      std::memcpy(column + row * stride, from + row * rowBytes, rowBytes);
  }
  return {};
}

// Adds up the others' staged parts and our own.
void MessageGroup::sumStaged(const float *own, float *sum, int64_t count) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  for (int member = 0; member < members(); ++member)
    parts[static_cast<size_t>(member)] =
        member == index() ? own : reinterpret_cast<const float *>(staged(member, bytes));
  treeSum(parts, sum, count);
}

Result<void> MessageGroup::reduceOneShot(const float *own, float *sum, int64_t count) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  stage(bytes);
  auto done = exchangeWithAll(
      "all_reduce", [&](int) { return std::pair(own, bytes); },
      [&](int member) { return std::pair(staged(member, bytes), bytes); });
  if (!done)
    return done;
  sumStaged(own, sum, count);
  return {};
}

// Member i adds up share i of all and sends the result to everyone.
Result<void> MessageGroup::reduceTwoShot(const float *own, float *sum, int64_t count) {
  const auto beginOf = [&](int member) { return count * member / members(); };
  const auto bytesOf = [&](int member) {
    return static_cast<size_t>(beginOf(member + 1) - beginOf(member)) * sizeof(float);
  };
  const int64_t begin = beginOf(index());
  const size_t bytes = bytesOf(index());
  stage(bytes);
  auto done = exchangeWithAll(
      "all_reduce", [&](int member) { return std::pair(own + beginOf(member), bytesOf(member)); },
      [&](int member) { return std::pair(staged(member, bytes), bytes); });
  if (!done)
    return done;
  sumStaged(own + begin, sum + begin, beginOf(index() + 1) - begin);
  return exchangeWithAll(
      "all_reduce", [&](int) { return std::pair(sum + begin, bytes); },
      [&](int member) { return std::pair(sum + beginOf(member), bytesOf(member)); });
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
