// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/collectives/WindowGroup.h"
#include "runtime/collectives/TreeSum.h"
#include <algorithm>
#include <cstring>

namespace grok::runtime {

static constexpr uint64_t smallestWindow = 4 << 10;
// Longer messages go in pieces of this size: they stay in the caches, and a
// group of 8 needs 64 MB at most.
static constexpr uint64_t largestWindow = 4 << 20;
static constexpr int64_t lineValues = 32; // 128 bytes: shares of members do not share lines

// Rows [firstRow, +rows), bytes [firstByte, +bytes) of each.
struct WindowGroup::Piece {
  const std::byte *own;
  std::byte *all;
  size_t rowBytes; // of one member
  int64_t firstRow, rows;
  size_t firstByte, bytes;
};

WindowGroup::WindowGroup(std::vector<int> members, int index, Window window, WaitRules &rules)
    : Group(std::move(members), index), window(std::move(window)), rules(rules),
      parts(static_cast<size_t>(this->members())) {}

size_t WindowGroup::capacityFor(uint64_t largestBytes) {
  return std::clamp(largestBytes, smallestWindow, largestWindow);
}

void WindowGroup::publish() {
  window.publish(index(), ++number);
  rules.activity.progress.fetch_add(1, std::memory_order_relaxed);
}

// Starting behind ourselves spreads the readers over the members' memory.
Result<void> WindowGroup::awaitAll(const char *collective) {
  Wait wait(rules, collective, rules.rank);
  for (int i = 1; i < members(); ++i) {
    const int peer = (index() + i) % members();
    wait.waitFor(rankOf(peer));
    if (auto seen = window.await(peer, number, wait); !seen)
      return seen;
  }
  return {};
}

// Copies `rows` rows of `bytes` between memories of different row strides.
static void copyRows(std::byte *to, size_t toStride, const std::byte *from, size_t fromStride,
                     int64_t rows, size_t bytes) {
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(to + static_cast<size_t>(row) * toStride,
                from + static_cast<size_t>(row) * fromStride, bytes);
}

Result<void> WindowGroup::gatherPiece(const Piece &piece) {
  const size_t stride = piece.rowBytes * static_cast<size_t>(members());
  const auto row = static_cast<size_t>(piece.firstRow);
  const std::byte *own = piece.own + row * piece.rowBytes + piece.firstByte;
  std::byte *all = piece.all + row * stride + piece.firstByte;
  const auto place = [&](int member) { return all + static_cast<size_t>(member) * piece.rowBytes; };

  copyRows(ownBuffer(), piece.bytes, own, piece.rowBytes, piece.rows, piece.bytes);
  publish();
  copyRows(place(index()), stride, own, piece.rowBytes, piece.rows, piece.bytes);
  if (auto seen = awaitAll("all_gather"); !seen)
    return seen;
  for (int member = 0; member < members(); ++member)
    if (member != index())
      copyRows(place(member), stride, window.buffer(member, turn), piece.bytes, piece.rows,
               piece.bytes);
  ++turn;
  return {};
}

Result<void> WindowGroup::allGatherRows(const void *own, void *all, int64_t rows, size_t rowBytes) {
  if (rowBytes == 0)
    return {};
  Piece piece = {
      static_cast<const std::byte *>(own), static_cast<std::byte *>(all), rowBytes, 0, 0, 0, 0};
  const size_t longest = std::min(rowBytes, window.capacity());
  const auto rowsAtOnce = static_cast<int64_t>(window.capacity() / longest);
  for (int64_t row = 0; row < rows; row += rowsAtOnce) {
    piece.firstRow = row;
    piece.rows = std::min(rowsAtOnce, rows - row);
    for (size_t byte = 0; byte < rowBytes; byte += longest) {
      piece.firstByte = byte;
      piece.bytes = std::min(longest, rowBytes - byte);
      if (auto done = gatherPiece(piece); !done)
        return done;
    }
  }
  return {};
}

Result<void> WindowGroup::reduceOneShot(const float *own, float *sum, int64_t count) {
  std::memcpy(ownBuffer(), own, static_cast<size_t>(count) * sizeof(float));
  publish();
  if (auto seen = awaitAll("all_reduce"); !seen)
    return seen;
  for (int member = 0; member < members(); ++member)
    parts[static_cast<size_t>(member)] =
        reinterpret_cast<const float *>(window.buffer(member, turn));
  parts[static_cast<size_t>(index())] = own;
  treeSum(parts, sum, count);
  ++turn;
  return {};
}

// Member i adds up share i of all and puts the result where its own part was:
// nobody else reads that share of its part.
Result<void> WindowGroup::reduceTwoShot(const float *own, float *sum, int64_t count) {
  const int64_t lines = (count + lineValues - 1) / lineValues;
  const auto shareBegin = [&](int member) {
    return std::min(count, lines * member / members() * lineValues);
  };
  const auto values = [&](int member) {
    return reinterpret_cast<float *>(window.buffer(member, turn));
  };
  std::memcpy(ownBuffer(), own, static_cast<size_t>(count) * sizeof(float));
  publish();
  if (auto seen = awaitAll("all_reduce"); !seen)
    return seen;
  const int64_t begin = shareBegin(index());
  const int64_t share = shareBegin(index() + 1) - begin;
  for (int member = 0; member < members(); ++member)
    parts[static_cast<size_t>(member)] = values(member) + begin;
  treeSum(parts, sum + begin, share);
  std::memcpy(values(index()) + begin, sum + begin, static_cast<size_t>(share) * sizeof(float));
  publish();
  if (auto seen = awaitAll("all_reduce"); !seen)
    return seen;
  for (int member = 0; member < members(); ++member)
    if (const int64_t from = shareBegin(member); member != index())
      std::memcpy(sum + from, values(member) + from,
                  static_cast<size_t>(shareBegin(member + 1) - from) * sizeof(float));
  ++turn;
  return {};
}

Result<void> WindowGroup::allReduceRows(const float *own, float *sum, int64_t rows,
                                        int64_t columns) {
  const int64_t count = rows * columns; // the order of additions knows no rows
  const auto atOnce = static_cast<int64_t>(window.capacity() / sizeof(float));
  for (int64_t begin = 0; begin < count; begin += atOnce) {
    const int64_t values = std::min(atOnce, count - begin);
    const bool small = values * static_cast<int64_t>(sizeof(float)) <= oneShotBytes;
    auto done = small ? reduceOneShot(own + begin, sum + begin, values)
                      : reduceTwoShot(own + begin, sum + begin, values);
    if (!done)
      return done;
  }
  return {};
}

} // namespace grok::runtime
