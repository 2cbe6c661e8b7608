// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Streaming writer of the packed weight file.
#include "compiler/artifact/WeightFile.h"

#include "compiler/artifact/OutputFile.h"
#include "compiler/artifact/WorkJournal.h"
#include "frontends/checkpoint/Checkpoint.h"

#include <nlohmann/json.hpp>

#include <map>

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
        {"dtype", tensor.isIndices ? "I32" : safetensorsName(tensor.dtype)},
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

namespace {

/// One tensor on its way into one file, chunk by chunk.
class TensorWriter {
public:
  static Result<TensorWriter> open(OutputFile &out, RankWeights &rank, size_t index,
                                   const PackingSource &source);
  const std::vector<PackedChunk> &chunks() const { return all; }
  /// To be called with the chunks in order.
  Result<void> write(const PackedChunk &chunk);
  Result<void> finish();
  uint64_t written() const { return offset - tensor->offset; }

private:
  TensorWriter(OutputFile &out, PackedTensor &tensor, TensorPacker packer)
      : out(&out), tensor(&tensor), packer(std::move(packer)), all(chunksOf(tensor, maxChunkBytes)),
        offset(tensor.offset) {}
  Result<void> put(std::span<const std::byte> part);

  OutputFile *out;
  PackedTensor *tensor;
  TensorPacker packer;
  std::vector<PackedChunk> all;
  std::unique_ptr<Sha256> hash = std::make_unique<Sha256>();
  uint64_t offset;
  std::vector<std::byte> packed;
};

/// The files of one stage's ranks.
class StageWriter {
public:
  StageWriter(const std::string &directory, std::span<RankWeights *const> ranks,
              const PackingSource &source, WorkJournal &journal)
      : directory(directory), ranks(ranks), source(source), journal(journal) {}
  /// `progress` gets the tensor and the bytes written since the last call.
  using Progress = std::function<void(std::string_view, uint64_t)>;
  Result<void> write(const Progress &progress);

private:
  Result<void> writeTensor(size_t index, const Progress &progress);
  Result<void> writeChunks(std::vector<TensorWriter> &writers, const std::string &name,
                           const Progress &progress);
  Result<void> finish();

  const std::string &directory;
  std::span<RankWeights *const> ranks;
  const PackingSource &source;
  WorkJournal &journal;
  std::vector<OutputFile> files;
};

} // namespace

Result<TensorWriter> TensorWriter::open(OutputFile &out, RankWeights &rank, size_t index,
                                        const PackingSource &source) {
  PackedTensor &tensor = rank.tensors[index];
  auto packer = TensorPacker::open(tensor, rank.tensors, source);
  if (!packer)
    return tl::unexpected(packer.error());
  return TensorWriter(out, tensor, std::move(*packer));
}

Result<void> TensorWriter::put(std::span<const std::byte> part) {
  hash->add(part);
  auto done = out->writeAt(offset, part);
  offset += part.size();
  return done;
}

Result<void> TensorWriter::write(const PackedChunk &chunk) {
  packed.resize(chunk.bytes);
  return packer.pack(chunk, packed).and_then([&] { return put(packed); });
}

Result<void> TensorWriter::finish() {
  const std::vector<std::byte> padding(tensor->offset + tensor->bytes - offset);
  if (auto done = put(padding); !done)
    return done;
  tensor->sha256 = hash->finish();
  return packer.checkUnchanged();
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

/// Experts in the order of their numbers, so that one encoded matrix serves all
/// ranks that hold a part of it.
Result<void> StageWriter::writeChunks(std::vector<TensorWriter> &writers, const std::string &name,
                                      const Progress &progress) {
  std::vector<size_t> next(writers.size());
  while (true) {
    std::optional<size_t> first;
    for (size_t i = 0; i < writers.size(); ++i)
      if (next[i] < writers[i].chunks().size() &&
          (!first ||
           writers[i].chunks()[next[i]].expert < writers[*first].chunks()[next[*first]].expert))
        first = i;
    if (!first)
      return {};
    TensorWriter &writer = writers[*first];
    const PackedChunk &chunk = writer.chunks()[next[*first]++];
    progress(name, 0);
    if (auto done = writer.write(chunk); !done)
      return done;
    progress(name, chunk.bytes);
  }
}

Result<void> StageWriter::writeTensor(size_t index, const Progress &progress) {
  std::vector<TensorWriter> writers;
  std::vector<std::pair<RankWeights *, size_t>> made; // and place of its writer
  const std::string &name = ranks.front()->tensors[index].name;
  for (size_t i = 0; i < ranks.size(); ++i) {
    RankWeights &rank = *ranks[i];
    PackedTensor &tensor = rank.tensors[index];
    auto digest = journal.find(rank.file.name + ":" + tensor.name);
    if (digest && isIntact(files[i], tensor, *digest)) {
      tensor.sha256 = *digest;
      ++rank.file.reusedTensors;
      rank.file.finishedBytes += tensor.bytes;
      progress(name, tensor.bytes);
      continue;
    }
    auto writer = TensorWriter::open(files[i], rank, index, source);
    if (!writer)
      return tl::unexpected(writer.error());
    made.emplace_back(&rank, writers.size());
    writers.push_back(std::move(*writer));
  }
  if (auto done = writeChunks(writers, name, progress); !done)
    return done;
  for (auto [rank, place] : made) {
    PackedTensor &tensor = rank->tensors[index];
    const uint64_t content = writers[place].written();
    auto done = writers[place].finish().and_then(
        [&] { return journal.add(rank->file.name + ":" + tensor.name, tensor.sha256); });
    if (!done)
      return done;
    rank->file.finishedBytes += tensor.bytes;
    progress(name, tensor.bytes - content);
  }
  return {};
}

Result<void> StageWriter::finish() {
  for (size_t i = 0; i < ranks.size(); ++i) {
    WeightFile &file = ranks[i]->file;
    const std::string header = headerText(ranks[i]->tensors, file.headerBytes);
    const auto bytes = std::as_bytes(std::span(header));
    file.headerSha256 = runtime::sha256(bytes);
    if (auto done = files[i].writeAt(0, bytes).and_then([&] { return files[i].close(); }); !done)
      return done;
  }
  return {};
}

Result<void> StageWriter::write(const Progress &progress) {
  for (RankWeights *rank : ranks) {
    auto file = OutputFile::resume(directory + "/" + rank->file.name, rank->file.bytes);
    if (!file)
      return tl::unexpected(file.error());
    files.push_back(std::move(*file));
  }
  for (size_t index = 0; index < ranks.front()->tensors.size(); ++index)
    if (auto done = writeTensor(index, progress); !done)
      return done;
  return finish();
}

Result<void> compiler::writeWeightFiles(const std::string &directory, std::span<RankWeights> ranks,
                                        const PackingSource &source, const PackProgress &progress) {
  auto journal = WorkJournal::open(directory);
  if (!journal)
    return tl::unexpected(journal.error());
  uint64_t done = 0, total = 0;
  std::map<int, std::vector<RankWeights *>> stages;
  for (RankWeights &rank : ranks) {
    total += rank.file.bytes - rank.file.headerBytes;
    stages[rank.stage].push_back(&rank);
  }
  auto report = [&](std::string_view tensor, uint64_t bytes) {
    done += bytes;
    if (progress)
      progress(tensor, done, total);
  };
  for (const auto &[stage, members] : stages)
    if (auto written = StageWriter(directory, members, source, *journal).write(report); !written)
      return written;
  report("", 0);
  return journal->finish();
}
