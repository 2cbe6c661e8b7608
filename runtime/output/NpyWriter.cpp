// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/output/NpyWriter.h"

#include <bit>

namespace grok::runtime {

static_assert(std::endian::native == std::endian::little,
              "'<f4' is written as it stands in memory");

/// Room for any 64-bit shape; a multiple of 64, as the format asks.
static constexpr size_t headerBytes = 128;

/// The format: magic, version 1.0, length of what follows as uint16, a Python
/// dictionary padded with spaces, a newline.
static std::string makeHeader(int64_t rows, int64_t columns) {
  std::string header("\x93NUMPY\x01\x00", 8);
  const size_t rest = headerBytes - header.size() - 2;
  header += static_cast<char>(rest & 0xff);
  header += static_cast<char>(rest >> 8);
  header += "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
            std::to_string(columns) + "), }";
  header.resize(headerBytes - 1, ' ');
  return header + '\n';
}

Result<NpyWriter> NpyWriter::create(const std::string &path, int64_t columns) {
  return PendingFile::create(path).and_then([&](PendingFile file) -> Result<NpyWriter> {
    if (Result<void> written = file.append(makeHeader(0, columns)); !written)
      return fail(written.error());
    return NpyWriter(std::move(file), columns);
  });
}

Result<void> NpyWriter::append(std::span<const float> row) {
  ++rows;
  return file.append(std::as_bytes(row));
}

Result<void> NpyWriter::commit() {
  const std::string header = makeHeader(rows, columns);
  return file.writeAt(0, std::as_bytes(std::span(header))).and_then([&] { return file.commit(); });
}

} // namespace grok::runtime
