// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/grok-run/LaunchTrace.h"
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace grok::tools {

using runtime::BufferView;

namespace {

struct Summary {
  double squares = 0, largest = 0;
  uint64_t count = 0, notFinite = 0;

  void add(double value) {
    ++count;
    if (!std::isfinite(value)) {
      ++notFinite;
      return;
    }
    squares += value * value;
    largest = std::max(largest, std::abs(value));
  }
};

} // namespace

template <typename Element> static Element elementAt(const std::byte *data, uint64_t number) {
  Element element;
  std::memcpy(&element, data + number * sizeof element, sizeof element);
  return element;
}

static double valueAt(const BufferView &view, const std::byte *row, uint64_t number) {
  if (view.dtype == "f32")
    return elementAt<float>(row, number);
  if (view.dtype == "bf16")
    return std::bit_cast<float>(uint32_t(elementAt<uint16_t>(row, number)) << 16);
  if (view.dtype == "i32")
    return elementAt<int32_t>(row, number);
  return elementAt<int8_t>(row, number);
}

// Without the padding, which holds anything.
static void addElements(const BufferView &view, const std::byte *row, size_t dimension,
                        uint64_t first, Summary &summary) {
  if (dimension == view.shape.size())
    return summary.add(valueAt(view, row, first));
  for (int64_t i = 0; i < view.logical[dimension]; ++i)
    addElements(view, row, dimension + 1,
                first * static_cast<uint64_t>(view.shape[dimension]) + static_cast<uint64_t>(i),
                summary);
}

runtime::Result<LaunchTrace> LaunchTrace::open(const std::string &path) {
  LaunchTrace trace;
  trace.path = path;
  trace.file.reset(std::fopen(path.c_str(), "w"));
  if (!trace.file)
    return runtime::fail(path, ": ", std::strerror(errno));
  return trace;
}

void LaunchTrace::note(const runtime::LaunchView &launch) {
  if (step < 0)
    firstLaunch = launch.name;
  step += launch.name == firstLaunch;
  for (const BufferView &view : launch.written) {
    Summary summary;
    for (int64_t row = 0; row < view.rows; ++row)
      addElements(view,
                  static_cast<const std::byte *>(view.data) +
                      static_cast<uint64_t>(row) * view.rowBytes,
                  0, 0, summary);
    const auto finite = static_cast<double>(summary.count - summary.notFinite);
    std::fprintf(file.get(), "%lld\t%.*s\t%.*s\t%lld\t%.9g\t%.9g\t%llu\n",
                 static_cast<long long>(step), static_cast<int>(launch.name.size()),
                 launch.name.data(), static_cast<int>(view.name.size()), view.name.data(),
                 static_cast<long long>(view.rows),
                 finite > 0 ? std::sqrt(summary.squares / finite) : 0.0, summary.largest,
                 static_cast<unsigned long long>(summary.notFinite));
  }
  std::fflush(file.get()); // the next launch may be the one that never ends
}

runtime::Result<void> LaunchTrace::close() {
  const bool isWritten = !std::ferror(file.get()) && std::fclose(file.release()) == 0;
  return isWritten ? runtime::Result<void>() : runtime::fail(path, ": cannot be written");
}

} // namespace grok::tools
