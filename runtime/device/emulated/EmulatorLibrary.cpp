// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/device/emulated/EmulatorLibrary.h"
#include "runtime/device/SharedLibrary.h"

namespace grok::runtime {

static constexpr size_t messageBytes = 1024;

Result<Emulator> Emulator::open() {
  auto library = SharedLibrary::openOurs("GROK_EMULATOR_LIBRARY", "libgrok-emulator.so");
  if (!library)
    return fail("GPUs cannot be emulated: ", library.error());
  Functions functions = {};
  auto found =
      library->find("grokEmulatorCreate", functions.create)
          .and_then([&] { return library->find("grokEmulatorLaunch", functions.launch); })
          .and_then([&] { return library->find("grokEmulatorDestroy", functions.destroy); });
  if (!found)
    return fail("GPUs cannot be emulated: ", found.error());
  char text[messageBytes] = "";
  Handle handle(functions.create(text, sizeof text), functions.destroy);
  if (!handle)
    return fail("GPUs cannot be emulated: ", text);
  return Emulator(functions, std::move(handle));
}

Result<void> Emulator::launch(const GrokEmulatorLaunch &launch) const {
  char text[messageBytes] = "";
  if (functions.launch(handle.get(), &launch, text, sizeof text) != 0)
    return fail(text);
  return {};
}

} // namespace grok::runtime
