// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/commandline/DeviceOption.h"

namespace grok::tools {

void declareDevice(CLI::App &app, runtime::DeviceKind &kind) {
  CLI::Option *option = app.add_option_function<std::string>(
      "--device",
      [&kind](const std::string &name) { kind = runtime::deviceKindNamed(name).value_or(kind); },
      "auto: a GPU that is here and that the model is compiled for, else the CPU; cpu; cuda; "
      "or emulated: a GPU's kernels without a GPU, slowly (default auto)");
  option->type_name("DEVICE");
  CommandLine::setValues(option, {"auto", "cpu", "cuda", "emulated"}, {});
}

} // namespace grok::tools
