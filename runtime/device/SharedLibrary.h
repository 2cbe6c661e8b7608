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

  /// `path` beside the file that holds this code.
  static std::string besideThisCode(const std::string &path);

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
