// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weight files: where each tensor lies.
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace grok::runtime {

static constexpr uint64_t maxHeaderBytes = 100 << 20; // the limit of safetensors

// The file lies beside the plan, nowhere else.
static bool isFileName(std::string_view name) {
  return name.find('/') == std::string_view::npos && name != "." && name != "..";
}

static Result<void> checkTensor(const plan::WeightTensor &tensor, bool hasFile,
                                const std::string &where) {
  if (sizeOf(tensor.dtype()) == 0)
    return fail(where, ": unknown element type");
  uint64_t bytes = saturatingMultiply(elementsOf(tensor.shape()), sizeOf(tensor.dtype()));
  if (tensor.shape()->size() == 0 || tensor.bytes() % 64 != 0 ||
      roundUp(bytes, 64) != tensor.bytes())
    return fail(where, ": ", tensor.bytes(), " bytes do not hold its shape in multiples of 64");
  if (elementsOf(tensor.logical_shape()) == UINT64_MAX)
    return fail(where, ": the logical shape is out of range");
  if (tensor.offset() % 64 != 0)
    return fail(where, ": offset ", tensor.offset(), " is not a multiple of 64");
  if (hasFile && !isDigest(tensor.sha256()))
    return fail(where, ": no SHA-256");
  if (!isCleanName(tensor.packing(), true))
    return fail(where, ": the packing is too long or not printable");
  if (tensor.row_groups() < 1 || tensor.k_unit() < 0 || tensor.k_slices() < 0)
    return fail(where, ": row_groups, k_unit or k_slices out of range");
  return {};
}

// Tensors follow each other without holes, so that the hashes cover all bytes.
static Result<void> checkExtents(const plan::Layout &layout, const std::string &where) {
  std::vector<const plan::WeightTensor *> tensors(layout.tensors()->begin(),
                                                  layout.tensors()->end());
  std::sort(tensors.begin(), tensors.end(),
            [](const auto *left, const auto *right) { return left->offset() < right->offset(); });
  uint64_t end = layout.header_bytes();
  for (const plan::WeightTensor *tensor : tensors) {
    if (tensor->offset() != end)
      return fail(where, ": tensor '", textOf(tensor->name()), "' is at offset ", tensor->offset(),
                  ", the bytes before it end at ", end);
    end = saturatingAdd(end, tensor->bytes());
  }
  if (end != layout.file_bytes())
    return fail(where, ": the tensors end at ", end, ", the file at ", layout.file_bytes());
  return {};
}

Result<void> checkLayout(const plan::Layout &layout) {
  if (!isCleanName(layout.name()))
    return fail("layout: the name is empty or not printable");
  std::string where = "layout '" + layout.name()->str() + "'";
  if (!isCleanName(layout.file(), true) || !isFileName(textOf(layout.file())))
    return fail(where, ": bad weight file name");
  bool hasFile = !textOf(layout.file()).empty();
  if (layout.header_bytes() % 4096 != 0 || layout.header_bytes() > maxHeaderBytes)
    return fail(where, ": header_bytes is ", layout.header_bytes(),
                ", expected a multiple of 4096 up to ", maxHeaderBytes);
  if (hasFile && (layout.header_bytes() == 0 || !isDigest(layout.header_sha256())))
    return fail(where, ": no header, or no SHA-256 of it");
  std::set<std::string_view> names;
  for (uint32_t i = 0; i < layout.tensors()->size(); ++i) {
    const plan::WeightTensor &tensor = *layout.tensors()->Get(i);
    std::string entry = where + " tensor " + std::to_string(i);
    if (!isCleanName(tensor.name()) || !names.insert(textOf(tensor.name())).second)
      return fail(entry, ": the name is empty, not printable or there twice");
    if (auto checked = checkTensor(tensor, hasFile, entry + " '" + tensor.name()->str() + "'");
        !checked)
      return checked;
  }
  return checkExtents(layout, where);
}

} // namespace grok::runtime
