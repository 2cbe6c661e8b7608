// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Names of the devices that a plan can run on.
#pragma once

#include <optional>
#include <string_view>

namespace grok::runtime {

enum class DeviceKind { automatic, cpu, cuda, emulated };

/// "auto", "cpu", "cuda", "emulated".
std::string_view nameOf(DeviceKind kind);
std::optional<DeviceKind> deviceKindNamed(std::string_view name);

} // namespace grok::runtime
