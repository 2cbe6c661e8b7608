// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/executor/TokenDraws.h"
#include <array>

namespace grok::runtime {

Result<std::unique_ptr<TokenDraws>> TokenDraws::create(Device &device, uint64_t rows) {
  const std::optional<uint32_t> kernel = device.service("sample");
  if (!kernel || rows == 0)
    return nullptr;
  auto tokens = device.allocate(rows * sizeof(int32_t), "drawn tokens");
  if (!tokens)
    return fail(tokens.error());
  std::unique_ptr<TokenDraws> draws(new TokenDraws(device, *kernel));
  draws->tokens = std::move(*tokens);
  draws->fetched.resize(rows);
  return draws;
}

Result<void> TokenDraws::launch(const std::byte *logits) {
  const std::array<const void *, 2> operands = {logits, tokens->data()};
  return device.launch({kernel, operands}, 0);
}

Result<std::span<const int32_t>> TokenDraws::fetch(uint64_t rows) {
  const std::span<int32_t> drawn = std::span(fetched).first(rows);
  return device.download(std::as_writable_bytes(drawn), tokens->data()).map([&] {
    return std::span<const int32_t>(drawn);
  });
}

} // namespace grok::runtime
