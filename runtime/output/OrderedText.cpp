// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/output/OrderedText.h"

namespace grok::runtime {

Result<void> OrderedText::append(size_t index, std::string_view text) {
  if (text.empty())
    return {};
  if (index == current)
    return write(text);
  texts[index].waiting += text;
  return {};
}

Result<void> OrderedText::finish(size_t index) {
  texts[index].isFinished = true;
  while (current < texts.size() && texts[current].isFinished) {
    ++current;
    if (current == texts.size() || texts[current].waiting.empty())
      continue;
    if (Result<void> written = write(texts[current].waiting); !written)
      return written;
    std::string().swap(texts[current].waiting);
  }
  return {};
}

} // namespace grok::runtime
