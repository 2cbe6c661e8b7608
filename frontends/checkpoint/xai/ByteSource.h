// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where the pickle machine gets bytes: a file read piece by piece, so that
// gigabytes of payload are stepped over untouched, or memory in tests.
#pragma once

#include "frontends/checkpoint/RegularFile.h"

#include <array>
#include <cstring>

namespace grok::checkpoint {

class ByteSource {
public:
  virtual ~ByteSource() = default;
  virtual int64_t size() const = 0;
  /// Fills `out` from `offset`; the caller keeps inside `size()`. False if the
  /// bytes are gone.
  virtual bool read(int64_t offset, std::span<std::byte> out) const = 0;
};

class FileSource final : public ByteSource {
public:
  explicit FileSource(const RegularFile &file) : file(file) {}
  int64_t size() const override { return file.size(); }
  bool read(int64_t offset, std::span<std::byte> out) const override {
    return file.readAt(offset, out);
  }

private:
  const RegularFile &file;
};

class MemorySource final : public ByteSource {
public:
  explicit MemorySource(std::span<const std::byte> bytes) : bytes(bytes) {}
  int64_t size() const override { return static_cast<int64_t>(bytes.size()); }
  bool read(int64_t offset, std::span<std::byte> out) const override {
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return true;
  }

private:
  std::span<const std::byte> bytes;
};

/// A position in a source. Every read is checked against the end first; reads
/// go through a small window because opcodes are a few bytes each.
class ByteCursor {
public:
  explicit ByteCursor(const ByteSource &source) : source(source), end(source.size()) {}

  int64_t offset() const { return position; }
  int64_t remaining() const { return end - position; }
  /// False if fewer bytes remain or they cannot be read.
  bool read(std::span<std::byte> out);
  /// Unsigned little-endian integer of `width` <= 8 bytes.
  bool readInteger(int width, uint64_t &value);
  bool readText(int64_t length, std::string &text);
  /// Steps over bytes without reading them.
  bool skip(uint64_t count);

private:
  const ByteSource &source;
  int64_t end;
  int64_t position = 0;
  std::array<std::byte, 2048> window;
  int64_t windowBegin = 0;
  int64_t windowEnd = 0;
};

} // namespace grok::checkpoint
