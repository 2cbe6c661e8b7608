// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What this x86 CPU and its operating system can execute.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace grok::runtime {

/// Features by LLVM's names ("sse4.2", "avx512vnni"). A feature counts only if
/// the operating system saves the registers it uses (XCR0).
class CpuFeatures {
public:
  /// Those of the running CPU. Asks the kernel to let this process use tile
  /// registers; where it refuses, the CPU has no amx-* here.
  static CpuFeatures detect();
  explicit CpuFeatures(std::vector<std::string_view> names) : names(std::move(names)) {}

  bool has(std::string_view name) const;
  std::span<const std::string_view> all() const { return names; }

private:
  std::vector<std::string_view> names;
};

} // namespace grok::runtime
