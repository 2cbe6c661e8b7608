// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weight files: where each tensor lies, kernels, and code blobs.
#include "runtime/plan/PlanCheck.h"
#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace grok::runtime {

static constexpr uint64_t maxHeaderBytes = 100 << 20; // the limit of safetensors
static constexpr uint64_t maxScratchBytes = uint64_t(1) << 28;
static constexpr int32_t maxKernelBuffers = 64;
static constexpr uint32_t maxFeatures = 256;
static constexpr uint32_t digestBytes = 32;

static bool isDigest(const flatbuffers::Vector<uint8_t> *bytes) {
  return bytes && bytes->size() == digestBytes;
}

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

static bool isSymbol(std::string_view text) {
  return !text.empty() && text.size() <= 512 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '$';
  });
}

Result<void> checkKernels(const plan::Plan &plan) {
  std::set<std::string_view> symbols;
  for (uint32_t i = 0; i < plan.kernels()->size(); ++i) {
    const plan::Kernel &kernel = *plan.kernels()->Get(i);
    std::string where = "kernel " + std::to_string(i);
    if (!isSymbol(textOf(kernel.symbol())) || !symbols.insert(textOf(kernel.symbol())).second)
      return fail(where, ": the symbol is not an identifier or there twice");
    where += " '" + kernel.symbol()->str() + "'";
    if (!isCleanName(kernel.op()))
      return fail(where, ": the op name is empty or not printable");
    if (kernel.num_buffers() < 1 || kernel.num_buffers() > maxKernelBuffers)
      return fail(where, ": ", kernel.num_buffers(), " buffers, expected 1..", maxKernelBuffers);
    if (kernel.scratch_bytes() > maxScratchBytes)
      return fail(where, ": ", kernel.scratch_bytes(), " bytes of scratch, at most ",
                  maxScratchBytes);
  }
  return {};
}

static bool isX86Elf(const flatbuffers::Vector<uint8_t> &image) {
  // 64-bit little-endian shared object for x86-64, by the fixed ELF header.
  constexpr size_t headerBytes = 64;
  constexpr uint8_t magic[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
  if (image.size() < headerBytes || !std::equal(std::begin(magic), std::end(magic), image.data()))
    return false;
  constexpr uint8_t sharedObject = 3, x86 = 62;
  return image[16] == sharedObject && image[17] == 0 && image[18] == x86 && image[19] == 0;
}

Result<void> checkCode(const plan::Plan &plan) {
  std::set<std::pair<std::string_view, std::string_view>> levels;
  for (uint32_t i = 0; i < plan.code()->size(); ++i) {
    const plan::CodeBlob &blob = *plan.code()->Get(i);
    std::string where = "code " + std::to_string(i);
    if (!isCleanName(blob.target()) || !isCleanName(blob.level()))
      return fail(where, ": target or level is empty or not printable");
    where += " '" + blob.level()->str() + "'";
    if (!levels.emplace(textOf(blob.target()), textOf(blob.level())).second)
      return fail(where, ": there twice");
    if (blob.features() && blob.features()->size() > maxFeatures)
      return fail(where, ": ", blob.features()->size(), " features, at most ", maxFeatures);
    for (uint32_t f = 0; blob.features() && f < blob.features()->size(); ++f)
      if (!isCleanName(blob.features()->Get(f)))
        return fail(where, ": feature ", f, " is empty or not printable");
    if (!isDigest(blob.sha256()))
      return fail(where, ": no SHA-256");
    if (textOf(blob.target()) == "cpu" && !isX86Elf(*blob.image()))
      return fail(where, ": not an x86-64 shared object");
  }
  return {};
}

} // namespace grok::runtime
