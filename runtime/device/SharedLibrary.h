// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Libraries that are opened at run time because not every machine has them.
#pragma once

#include "runtime/Result.h"
#include <span>

namespace grok::runtime {

/// A library that stays open until the process ends: those that we open start
/// threads of their own.
class SharedLibrary {
public:
  /// The first of `paths` that opens. Its symbols serve the libraries that it
  /// opens itself in turn.
  static Result<SharedLibrary> open(std::span<const std::string> paths);
  /// One of our own: what the environment's `variable` names, or else `name`, beside the
  /// file that holds this code, in the lib folder beside its folder, or installed.
  static Result<SharedLibrary> openOurs(const char *variable, const std::string &name);

  template <typename Function> Result<void> find(const char *name, Function &function) const {
    auto found = symbol(name);
    if (!found)
      return fail(found.error());
    function = reinterpret_cast<Function>(*found);
    return {};
  }

private:
  Result<void *> symbol(const char *name) const;

  void *handle = nullptr;
  std::string path;
};

} // namespace grok::runtime
