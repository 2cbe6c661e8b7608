// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verification/Recording.h"

#include <cstring>
#include <functional>
#include <numeric>
#include <span>

namespace grok::verification {

using Shape = std::span<const int64_t>;

static size_t countElements(Shape shape) {
  return static_cast<size_t>(
      std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<>()));
}

/// Calls `visit` for each element of a stored row, in order: is it within the
/// logical shape?
static void forEachStored(Shape stored, Shape logical, const std::function<void(bool)> &visit) {
  std::vector<int64_t> index(stored.size(), 0);
  for (size_t count = countElements(stored); count > 0; --count) {
    bool isInside = true;
    for (size_t axis = 0; axis < index.size(); ++axis)
      isInside &= index[axis] < logical[axis];
    visit(isInside);
    for (size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < stored[axis])
        break;
      index[axis] = 0;
    }
  }
}

template <typename Word>
static void copyRows(const GrokBufferView &view, Shape logical, std::vector<Word> &values,
                     std::optional<size_t> &paddingRow) {
  for (int64_t row = 0; row < view.rows; ++row) {
    const auto *from = static_cast<const std::byte *>(view.data) + row * view.rowBytes;
    forEachStored({view.shape, view.rank}, logical, [&](bool isInside) {
      Word word;
      std::memcpy(&word, from, sizeof(word));
      from += sizeof(word);
      if (isInside)
        values.push_back(word);
      else if (!(word == Word(0)) && !paddingRow)
        paddingRow = static_cast<size_t>(row);
    });
  }
}

static Result<RecordedBuffer> recordBuffer(const GrokBufferView &view) {
  RecordedBuffer buffer;
  buffer.name = view.name;
  Shape logical =
      view.logicalRank ? Shape(view.logicalShape, view.logicalRank) : Shape(view.shape, view.rank);
  if (logical.size() != view.rank)
    return tl::unexpected(buffer.name + ": logical shape has another rank than the stored one");
  if (view.perRow)
    buffer.shape.push_back(view.rows);
  buffer.shape.insert(buffer.shape.end(), logical.begin(), logical.end());
  std::string dtype = view.dtype;
  if (dtype == "f32")
    copyRows(view, logical, buffer.numbers, buffer.paddingRow);
  else if (dtype == "i32")
    copyRows(view, logical, buffer.integers, buffer.paddingRow);
  else if (dtype == "i8")
    copyRows(view, logical, buffer.bytes, buffer.paddingRow);
  else
    return tl::unexpected(buffer.name + ": holds " + dtype +
                          ", of which the interpreter has no values");
  return buffer;
}

Result<RecordedLaunch> record(const GrokLaunchView &launch) {
  RecordedLaunch recorded{launch.name, launch.op, launch.layer, {}};
  for (size_t i = 0; i < launch.numWritten; ++i) {
    Result<RecordedBuffer> buffer = recordBuffer(launch.written[i]);
    if (!buffer)
      return tl::unexpected(recorded.name + ": " + buffer.error());
    recorded.written.push_back(std::move(*buffer));
  }
  return recorded;
}

} // namespace grok::verification
