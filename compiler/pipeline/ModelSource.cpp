// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Resolution of MODEL and --weights-from.
#include "compiler/pipeline/ModelSource.h"

#include "compiler/pipeline/RandomCheckpoint.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>

using namespace grok;
using namespace grok::compiler;
namespace fs = std::filesystem;

/// No real SentencePiece model is near this; a larger file is a mistake.
static constexpr uintmax_t maxTokenizerBytes = 256u << 20;

/// Beside the checkpoint or one level up, as xAI's download has it.
static Result<void> readTokenizer(const std::vector<fs::path> &folders, OpenedModel &source) {
  std::error_code error;
  for (const fs::path &folder : folders) {
    if (folder.empty())
      continue;
    fs::path path = folder / "tokenizer.model";
    if (!fs::exists(path, error))
      continue;
    const uintmax_t size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
    if (size == 0 || size > maxTokenizerBytes)
      return tl::unexpected(path.string() + ": not a tokenizer: no regular file of a sane size");
    std::ifstream in(path, std::ios::binary);
    std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
    if (!in)
      return tl::unexpected(path.string() + ": cannot read");
    auto *data = reinterpret_cast<const std::byte *>(bytes.data());
    source.tokenizer.assign(data, data + bytes.size());
    source.tokenizerPath = path.string();
    return {};
  }
  return {};
}

static Result<void> openWeights(const std::string &folder, const std::string &weightsFrom,
                                OpenedModel &source) {
  constexpr std::string_view random = "random:";
  source.tensors = graph::expectedTensors(source.config);
  if (weightsFrom == "none")
    return readTokenizer({folder}, source);
  if (weightsFrom.starts_with(random)) {
    uint64_t seed = 0;
    const char *end = weightsFrom.data() + weightsFrom.size();
    auto [rest, error] = std::from_chars(weightsFrom.data() + random.size(), end, seed);
    if (error != std::errc() || rest != end)
      return tl::unexpected("--weights-from=" + weightsFrom + ": SEED must be a number");
    source.weights = makeRandomCheckpoint(source.tensors, seed);
    return readTokenizer({folder}, source);
  }
  std::string from = weightsFrom.empty() ? folder : weightsFrom;
  if (from.empty())
    return tl::unexpected(source.config.name + ": a preset has no weights; give "
                                               "--weights-from=DIR, random:SEED or none");
  auto opened = graph::openCheckpoint(from, source.config);
  if (!opened)
    return tl::unexpected(opened.error());
  source.weights = std::move(*opened);
  source.tensors = source.weights->tensors();
  return readTokenizer({folder, from, fs::path(from) / ".."}, source);
}

Result<OpenedModel> compiler::openModel(const std::string &model, const std::string &weightsFrom) {
  Result<graph::ModelSource> found = graph::findModel(model);
  if (!found)
    return tl::unexpected(found.error());
  OpenedModel source;
  source.config = std::move(found->config);
  if (auto opened = openWeights(found->folder, weightsFrom, source); !opened)
    return tl::unexpected(opened.error());
  return source;
}

std::string compiler::weightsText(const checkpoint::TensorList &tensors) {
  for (const checkpoint::TensorInfo &tensor : tensors)
    if (tensor.quantised)
      return "int8";
  for (const checkpoint::TensorInfo &tensor : tensors)
    if (tensor.dtype == checkpoint::DType::bf16)
      return "bf16";
  return "f32";
}
