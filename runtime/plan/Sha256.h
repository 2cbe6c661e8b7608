// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// SHA-256 by OpenSSL's low-level functions: they use the CPU's SHA extensions
// and link statically in a few KB, unlike the EVP interface.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace grok::runtime {

using Digest = std::array<uint8_t, 32>;

Digest sha256(std::span<const std::byte> bytes);

/// The same digest of bytes that arrive in pieces.
class Sha256 {
public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256 &) = delete;
  Sha256 &operator=(const Sha256 &) = delete;
  void add(std::span<const std::byte> bytes);
  /// Once, after the last piece.
  Digest finish();

private:
  struct State;
  std::unique_ptr<State> state;
};

/// Lower-case hexadecimal.
std::string hex(std::span<const uint8_t> bytes);

} // namespace grok::runtime
