// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// OpenSSL 3 calls the low-level functions deprecated; see the header for why we
// keep them.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "runtime/plan/Sha256.h"
#include <openssl/sha.h>

namespace grok::runtime {

Digest sha256(std::span<const std::byte> bytes) {
  SHA256_CTX context;
  Digest digest;
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(digest.data(), &context);
  return digest;
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
