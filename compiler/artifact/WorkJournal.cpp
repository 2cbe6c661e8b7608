// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The journal's lines and the identity of a piece of work.
#include "compiler/artifact/WorkJournal.h"

#include "frontends/checkpoint/RegularFile.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sstream>
#include <unistd.h>

using namespace grok;
using namespace grok::compiler;

static constexpr size_t digestDigits = 2 * sizeof(runtime::Digest);

template <typename Numbers> static std::string listOf(const Numbers &numbers) {
  std::string text = "[";
  for (int64_t number : numbers)
    text += std::to_string(number) + " ";
  return text + "]";
}

static void describe(std::ostream &out, const PackedTensor &tensor) {
  out << tensor.name << '\t' << tensor.source << '\t' << tensor.packingText << '\t'
      << checkpoint::nameOf(tensor.dtype) << listOf(tensor.shape) << listOf(tensor.logical)
      << listOf(tensor.experts) << tensor.columnGroup << ' ' << tensor.transposed << ' '
      << tensor.rowGroups << ' ' << std::hexfloat << tensor.ropeBase << ' ' << tensor.offset << ' '
      << tensor.bytes << listOf(tensor.begin) << listOf(tensor.part) << '\n';
}

static void describeFiles(std::ostream &out, const checkpoint::TensorList &tensors) {
  std::set<std::string> files;
  for (const checkpoint::TensorInfo &info : tensors) {
    out << info.name << '\t' << info.form() << '\n';
    if (!info.file.empty())
      files.insert(info.file);
  }
  for (const std::string &path : files) {
    // What cannot be opened fails when it is read, with a better message.
    auto file = checkpoint::RegularFile::open(path);
    if (!file)
      continue;
    const checkpoint::FileIdentity &identity = file->identity();
    out << path << '\t' << identity.device << ' ' << identity.inode << ' ' << identity.size << ' '
        << identity.modifiedSeconds << ' ' << identity.modifiedNanoseconds << '\n';
  }
}

std::string compiler::identityOf(std::span<const PackedTensor> tensors, const PackingSource &source,
                                 std::string_view origin) {
  std::ostringstream out;
  out << "grokc " GROKC_VERSION "\n" << origin << '\n';
  out << (source.encoder ? source.encoder->identity() : "as stored") << '\n';
  for (const PackedTensor &tensor : tensors)
    describe(out, tensor);
  describeFiles(out, source.checkpoint.tensors());
  return out.str();
}

static std::optional<runtime::Digest> readDigest(std::string_view digits) {
  runtime::Digest digest;
  for (size_t i = 0; i < digest.size(); ++i) {
    const char *pair = digits.data() + 2 * i;
    auto [end, error] = std::from_chars(pair, pair + 2, digest[i], 16);
    if (error != std::errc() || end != pair + 2)
      return std::nullopt;
  }
  return digest;
}

static tl::unexpected<std::string> failure(const std::string &path, const std::string &what) {
  return tl::unexpected(path + ": " + what + ": " + std::strerror(errno));
}

Result<WorkJournal> WorkJournal::open(const std::string &directory) {
  std::string path = directory + "/finished-tensors";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0)
    return failure(path, "cannot create");
  WorkJournal journal(std::move(path), fd);
  if (auto read = journal.readLines(); !read)
    return tl::unexpected(read.error());
  return journal;
}

Result<void> WorkJournal::readLines() {
  std::string text;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = ::read(fd, buffer, sizeof buffer)) > 0)
    text.append(buffer, count);
  if (count < 0)
    return failure(path, "cannot read");
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (line.size() < digestDigits + 2 || line[digestDigits] != ' ')
      break;
    std::optional<runtime::Digest> digest = readDigest(line);
    if (!digest)
      break;
    finished[std::string(line.substr(digestDigits + 1))] = *digest;
  }
  // New lines follow the last whole one.
  if (::ftruncate(fd, static_cast<off_t>(begin)) != 0 ||
      ::lseek(fd, static_cast<off_t>(begin), SEEK_SET) < 0)
    return failure(path, "cannot write");
  return {};
}

WorkJournal::WorkJournal(WorkJournal &&other) noexcept
    : path(std::move(other.path)), fd(std::exchange(other.fd, -1)),
      finished(std::move(other.finished)) {}

WorkJournal::~WorkJournal() {
  if (fd >= 0)
    ::close(fd);
}

std::optional<runtime::Digest> WorkJournal::find(std::string_view tensor) const {
  auto found = finished.find(tensor);
  return found == finished.end() ? std::nullopt : std::optional(found->second);
}

Result<void> WorkJournal::add(std::string_view tensor, const runtime::Digest &digest) {
  const std::string line = runtime::hex(digest) + " " + std::string(tensor) + "\n";
  if (::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return failure(path, "cannot write");
  return {};
}

Result<void> WorkJournal::finish() {
  if (::unlink(path.c_str()) != 0)
    return failure(path, "cannot remove");
  return {};
}
