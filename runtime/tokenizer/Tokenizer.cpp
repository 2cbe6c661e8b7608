// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/ModelCheck.h"
#include "runtime/tokenizer/Utf8.h"

#include <charconv>
#include <exception>
#include <sentencepiece_processor.h>

namespace grok::runtime {

/// U+2581, which stands for a space inside pieces.
static constexpr std::string_view spaceSymbol = "\xe2\x96\x81";

static std::string withSpaces(std::string_view piece) {
  std::string text;
  while (!piece.empty()) {
    const bool isSpace = piece.starts_with(spaceSymbol);
    text += isSpace ? ' ' : piece.front();
    piece.remove_prefix(isSpace ? spaceSymbol.size() : 1);
  }
  return text;
}

/// The byte that a byte piece "<0xE2>" names.
static Result<char> byteOfPiece(std::string_view piece) {
  uint8_t byte = 0;
  if (piece.size() != 6 || !piece.starts_with("<0x") || !piece.ends_with(">") ||
      std::from_chars(piece.data() + 3, piece.data() + 5, byte, 16).ptr != piece.data() + 5)
    return fail("the byte piece '", piece, "' is not of the form <0xNN>");
  return static_cast<char>(byte);
}

Tokenizer::Tokenizer(std::unique_ptr<sentencepiece::SentencePieceProcessor> processor)
    : processor(std::move(processor)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

/// SentencePiece's reason in brackets, unless it only names its own source line.
static std::string reasonOf(std::string_view message) {
  return message.empty() || message.find(".cc(") != message.npos
             ? ""
             : " (" + std::string(message) + ")";
}

static Result<std::unique_ptr<sentencepiece::SentencePieceProcessor>>
loadProcessor(std::string_view model) {
  if (Result<void> checked = checkTokenizerModel(model); !checked)
    return fail(checked.error());
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  try {
    const auto status = processor->LoadFromSerializedProto(model);
    if (!status.ok())
      return fail("its bytes are not a SentencePiece model", reasonOf(status.message()));
  } catch (const std::exception &error) { // by the trie that holds the pieces
    return fail("its bytes are not a SentencePiece model", reasonOf(error.what()));
  }
  return processor;
}

static constexpr const char *recompile = ", compile again with an intact tokenizer.model";

Result<Tokenizer> Tokenizer::load(std::span<const std::byte> model, int64_t vocabSize) {
  if (model.empty())
    return fail("tokenizer, the plan holds none, compile with tokenizer.model in the model folder");
  auto loaded = loadProcessor({reinterpret_cast<const char *>(model.data()), model.size()});
  if (!loaded)
    return fail("tokenizer, ", loaded.error(), recompile);
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor = std::move(*loaded);
  if (processor->GetPieceSize() != vocabSize)
    return fail("tokenizer, it has ", processor->GetPieceSize(),
                " pieces and the model's vocabulary ", vocabSize,
                ", compile again with the tokenizer.model of this model");
  Tokenizer tokenizer(std::move(processor));
  if (Result<void> read = tokenizer.readSurfaces(); !read)
    return fail("tokenizer, ", read.error(), recompile);
  return tokenizer;
}

Result<void> Tokenizer::readSurfaces() {
  const int size = processor->GetPieceSize();
  surfaces.resize(static_cast<size_t>(size));
  for (int id = 0; id < size; ++id) {
    Surface &surface = surfaces[static_cast<size_t>(id)];
    const std::string &piece = processor->IdToPiece(id);
    if (processor->IsControl(id)) {
      surface.kind = Kind::control;
    } else if (processor->IsUnknown(id)) {
      surface.text = processor->DecodeIds({id});
    } else if (processor->IsByte(id)) {
      Result<char> byte = byteOfPiece(piece);
      if (!byte)
        return fail(byte.error());
      surface = {.text = std::string(1, *byte), .kind = Kind::byte};
    } else {
      surface.text = withSpaces(piece);
      surface.startsWithSpace = piece.starts_with(spaceSymbol);
    }
  }
  probeLeadingSpaces();
  return {};
}

/// Finds by trying how decoding treats spaces at the start: SentencePiece keeps
/// the normaliser's settings to itself.
void Tokenizer::probeLeadingSpaces() {
  for (size_t i = 0; i < surfaces.size(); ++i) {
    if (!surfaces[i].startsWithSpace)
      continue;
    const int id = static_cast<int>(i);
    dropsLeadingSpace = processor->DecodeIds({id}) != surfaces[i].text;
    if (surfaces[i].text != " ")
      continue;
    dropsAllLeadingSpaces = processor->DecodeIds({id, id}).empty();
    return;
  }
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text) const {
  if (const size_t broken = findBrokenUtf8(text); broken != std::string_view::npos)
    return fail("text, byte ", broken, " is not UTF-8, convert the text");
  std::vector<int32_t> ids;
  if (const auto status = processor->Encode(text, &ids); !status.ok())
    return fail("text, SentencePiece cannot encode it", reasonOf(status.message()));
  return ids;
}

Result<std::string> Tokenizer::decode(std::span<const int32_t> ids) const {
  TextStream stream(*this);
  std::string text;
  for (int32_t id : ids) {
    if (id < 0 || id >= vocabSize())
      return fail("token ", id, ", outside the vocabulary of ", vocabSize());
    text += stream.push(id);
  }
  return text + stream.finish();
}

} // namespace grok::runtime
