// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/commandline/CommandLine.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace grok::tools {
using runtime::fail;
using runtime::Result;

namespace {
struct Unit {
  const char *name;
  double bytes;
};
} // namespace

static constexpr std::array<Unit, 5> units = {
    {{"TiB", 0x1p40}, {"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10}, {"B", 1}}};

Result<uint64_t> parseSize(const std::string &text) {
  const auto bad = [&](const char *why) {
    return fail("'", text, "' ", why, ", give a size such as 512MiB or 4GiB");
  };
  double value = 0;
  const char *end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value) || value < 0)
    return bad("is no size");
  double factor = rest == end ? 1 : 0;
  for (const Unit &unit : units)
    if (std::string_view(rest, end) == unit.name)
      factor = unit.bytes;
  if (factor == 0)
    return bad("has an unknown unit");
  // Below 2^63, so that sums with it stay far from overflow.
  if (value * factor >= 0x1p63)
    return bad("is too large");
  return static_cast<uint64_t>(value * factor);
}

Result<std::vector<int32_t>> parseIds(const std::string &text) {
  std::vector<int32_t> ids;
  const char *at = text.data();
  const char *end = at + text.size();
  const auto skipSpaces = [&] {
    while (at != end && *at == ' ')
      ++at;
  };
  while (true) {
    skipSpaces();
    int32_t id = 0;
    const auto [rest, error] = std::from_chars(at, end, id);
    if (error != std::errc())
      return fail("'", text.substr(static_cast<size_t>(at - text.data()), 20),
                  "' is no token id, give ids such as 1,2,3");
    ids.push_back(id);
    at = rest;
    skipSpaces();
    if (at == end)
      return ids;
    if (*at++ != ',')
      return fail("'", text.substr(static_cast<size_t>(at - 1 - text.data()), 20),
                  "' follows a token id, separate ids by commas");
  }
}

std::string showSize(uint64_t bytes) {
  char text[32];
  for (const Unit &unit : units)
    if (static_cast<double>(bytes) >= unit.bytes && unit.bytes > 1) {
      std::snprintf(text, sizeof text, "%.3g %s", static_cast<double>(bytes) / unit.bytes,
                    unit.name);
      return text;
    }
  return std::to_string(bytes) + " B";
}

} // namespace grok::tools
