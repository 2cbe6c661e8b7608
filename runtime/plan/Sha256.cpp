// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// OpenSSL 3 calls the low-level functions deprecated; see the header for why we
// keep them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "runtime/plan/Sha256.h"
#include <openssl/sha.h>

namespace grok::runtime {

struct Sha256::State {
  SHA256_CTX context;
};

Sha256::Sha256() : state(std::make_unique<State>()) { SHA256_Init(&state->context); }

Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  SHA256_Update(&state->context, bytes.data(), bytes.size());
}

Digest Sha256::finish() {
  Digest digest;
  SHA256_Final(digest.data(), &state->context);
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.finish();
}

std::string hex(std::span<const uint8_t> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (uint8_t byte : bytes) {
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

} // namespace grok::runtime
