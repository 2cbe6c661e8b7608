// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tests that use the fake driver, see FakeCuda.h.
#pragma once

#include "runtime/device/SharedLibrary.h"
#include "tests/runtime/plan/ToyPlan.h"
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace grok::runtime {

/// Ends the test with the error, if there is one.
inline void require(const Result<void> &result) {
  if (!result)
    throw std::runtime_error(result.error());
}

/// The fake driver in place of the system's while it lives, and what it is told.
class FakeDriver {
public:
  explicit FakeDriver(const std::string &planPath) {
    set("GROK_CUDA_LIBRARY", FAKE_CUDA);
    set("FAKE_CUDA_PLAN", planPath);
  }
  ~FakeDriver() {
    for (const std::string &name : names)
      unsetenv(name.c_str());
  }
  FakeDriver(const FakeDriver &) = delete;
  FakeDriver &operator=(const FakeDriver &) = delete;

  FakeDriver &set(const std::string &name, const std::string &value) {
    setenv(name.c_str(), value.c_str(), 1);
    names.push_back(name);
    return *this;
  }
  /// Things of the driver that were made and not freed.
  static int64_t living() {
    int64_t (*count)() = nullptr;
    const auto library = SharedLibrary::open(std::vector<std::string>{FAKE_CUDA}).value();
    require(library.find("fakeCudaLiving", count));
    return count();
  }
  /// Calls of a function since the last device was made.
  static int64_t calls(const char *function) {
    int64_t (*count)(const char *) = nullptr;
    const auto library = SharedLibrary::open(std::vector<std::string>{FAKE_CUDA}).value();
    require(library.find("fakeCudaCalls", count));
    return count(function);
  }

private:
  std::vector<std::string> names;
};

} // namespace grok::runtime
