// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The option --device, the same in every tool that runs models.
#pragma once

#include "runtime/device/Kind.h"
#include "tools/commandline/CommandLine.h"

namespace grok::tools {

/// Declares --device; `kind` is set when the arguments are parsed.
void declareDevice(CLI::App &app, runtime::DeviceKind &kind);

} // namespace grok::tools
