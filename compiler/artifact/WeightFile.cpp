// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Streaming writer of the packed weight file.
#include "compiler/artifact/WeightFile.h"

#include "compiler/artifact/OutputFile.h"
#include "compiler/artifact/WorkJournal.h"
#include "frontends/checkpoint/Checkpoint.h"

#include <nlohmann/json.hpp>

using namespace grok;
using namespace grok::compiler;
using runtime::Sha256;

static constexpr uint64_t dataAlignment = 4096;
/// Bounds the memory that packing takes, whatever the tensor.
static constexpr uint64_t maxChunkBytes = 64u << 20;
static constexpr uint64_t maxVerifyBytes = 4u << 20;

static const char *safetensorsName(checkpoint::DType dtype) {
  switch (dtype) {
  case checkpoint::DType::f32:
    return "F32";
  case checkpoint::DType::bf16:
    return "BF16";
  case checkpoint::DType::i8:
    return "I8";
  }
  return "";
}

/// The packed shape, or one flat axis where padding to 64 bytes adds elements.
static std::vector<int64_t> storedShape(const PackedTensor &tensor) {
  if (tensor.contentBytes() == tensor.bytes)
    return tensor.shape;
  return {static_cast<int64_t>(tensor.bytes) / checkpoint::sizeOf(tensor.dtype)};
}

/// The header with its length prefix, padded with spaces (as safetensors
/// allows) so that data starts on a page.
static std::string headerText(const std::vector<PackedTensor> &tensors, uint64_t headerBytes) {
  nlohmann::ordered_json header;
  nlohmann::ordered_json &metadata = header["__metadata__"];
  metadata["format"] = "grok-packed-1";
  for (const PackedTensor &tensor : tensors)
    metadata["sha256:" + tensor.name] = runtime::hex(tensor.sha256);
  for (const PackedTensor &tensor : tensors)
    header[tensor.name] = {
        {"dtype", safetensorsName(tensor.dtype)},
        {"shape", storedShape(tensor)},
        {"data_offsets",
         {tensor.offset - headerBytes, tensor.offset - headerBytes + tensor.bytes}}};
  std::string json = header.dump();
  uint64_t length = headerBytes ? headerBytes - 8 : json.size();
  json.resize(std::max<uint64_t>(length, json.size()), ' ');
  std::string text(8, '\0');
  for (int byte = 0; byte < 8; ++byte)
    text[byte] = static_cast<char>(json.size() >> (8 * byte));
  return text + json;
}

static void placeFrom(std::vector<PackedTensor> &tensors, uint64_t start) {
  for (PackedTensor &tensor : tensors) {
    tensor.offset = start;
    start += tensor.bytes;
  }
}

WeightFile compiler::placeTensors(std::string name, std::vector<PackedTensor> &tensors) {
  for (PackedTensor &tensor : tensors)
    tensor.bytes = (tensor.contentBytes() + 63) / 64 * 64;
  // Offsets stand in the header as decimal text: room for the largest first.
  placeFrom(tensors, 0);
  uint64_t digits = tensors.size() * 2 * 20;
  uint64_t headerBytes = headerText(tensors, 0).size() + digits;
  headerBytes = (headerBytes + dataAlignment - 1) / dataAlignment * dataAlignment;
  placeFrom(tensors, headerBytes);
  uint64_t end = tensors.empty() ? headerBytes : tensors.back().offset + tensors.back().bytes;
  return {std::move(name), end, headerBytes, {}};
}

static Result<void> writeTensor(OutputFile &out, PackedTensor &tensor,
                                std::span<const PackedTensor> all, const PackingSource &source,
                                const std::function<void(uint64_t)> &progress) {
  auto packer = TensorPacker::open(tensor, all, source);
  if (!packer)
    return tl::unexpected(packer.error());
  Sha256 hash;
  uint64_t offset = tensor.offset;
  auto put = [&](std::span<const std::byte> part) {
    hash.add(part);
    auto written = out.writeAt(offset, part);
    offset += part.size();
    return written;
  };
  std::vector<std::byte> packed;
  for (const PackedChunk &chunk : chunksOf(tensor, maxChunkBytes)) {
    progress(offset - tensor.offset);
    packed.resize(chunk.bytes);
    if (auto made = packer->pack(chunk, packed); !made)
      return made;
    if (auto written = put(packed); !written)
      return written;
  }
  std::vector<std::byte> padding(tensor.offset + tensor.bytes - offset);
  if (auto written = put(padding); !written)
    return written;
  tensor.sha256 = hash.finish();
  return packer->checkUnchanged();
}

/// Whether the file still holds what was finished under `digest`.
static bool isIntact(const OutputFile &out, const PackedTensor &tensor,
                     const runtime::Digest &digest) {
  std::vector<std::byte> part;
  Sha256 hash;
  for (uint64_t done = 0; done < tensor.bytes; done += part.size()) {
    part.resize(std::min(maxVerifyBytes, tensor.bytes - done));
    if (!out.readAt(tensor.offset + done, part))
      return false;
    hash.add(part);
  }
  return hash.finish() == digest;
}

static Result<void> writeTensors(OutputFile &out, WorkJournal &journal, WeightFile &file,
                                 std::vector<PackedTensor> &tensors, const PackingSource &source,
                                 const PackProgress &progress) {
  uint64_t done = 0, total = file.bytes - file.headerBytes;
  for (PackedTensor &tensor : tensors) {
    auto report = [&](uint64_t written) {
      if (progress)
        progress(tensor.name, done + written, total);
    };
    report(0);
    auto digest = journal.find(tensor.name);
    if (digest && isIntact(out, tensor, *digest)) {
      tensor.sha256 = *digest;
      ++file.reusedTensors;
    } else {
      auto written = writeTensor(out, tensor, tensors, source, report).and_then([&] {
        return journal.add(tensor.name, tensor.sha256);
      });
      if (!written)
        return written;
    }
    done += tensor.bytes;
    file.finishedBytes = done;
  }
  if (progress)
    progress("", done, total);
  return {};
}

Result<void> compiler::writeWeightFile(const std::string &directory, WeightFile &file,
                                       std::vector<PackedTensor> &tensors,
                                       const PackingSource &source, const PackProgress &progress) {
  auto out = OutputFile::resume(directory + "/" + file.name, file.bytes);
  if (!out)
    return tl::unexpected(out.error());
  auto journal = WorkJournal::open(directory);
  if (!journal)
    return tl::unexpected(journal.error());
  if (auto written = writeTensors(*out, *journal, file, tensors, source, progress); !written)
    return written;
  std::string header = headerText(tensors, file.headerBytes);
  auto bytes = std::as_bytes(std::span(header));
  file.headerSha256 = runtime::sha256(bytes);
  return out->writeAt(0, bytes).and_then([&] { return out->close(); }).and_then([&] {
    return journal->finish();
  });
}
