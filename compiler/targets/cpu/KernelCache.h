// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiled kernels on disk, so that compiling a model again, or another with
// equal shapes, makes only what is new.
#pragma once

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>

namespace grok::compiler {

struct CompiledKernel {
  llvm::SmallVector<char, 0> object;
  int64_t scratchBytes = 0;
};

/// One file per kernel, named by the SHA-256 of its key. Several processes may
/// share a folder: files appear whole, by rename. Never fails: what cannot be
/// read is a miss, what cannot be written is not cached.
class KernelCache {
public:
  /// An empty folder name makes a cache that holds nothing.
  explicit KernelCache(std::string folder);

  /// The entry for `key` if it is there and its own digest is right.
  std::optional<CompiledKernel> find(llvm::StringRef key) const;
  void insert(llvm::StringRef key, const CompiledKernel &kernel) const;

private:
  std::string pathOf(llvm::StringRef key) const;

  std::string folder;
};

} // namespace grok::compiler
