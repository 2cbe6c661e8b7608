// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/targets/cpu/KernelCache.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"
#include <array>

namespace grok::compiler {

using namespace llvm;

// An entry is: magic, digest of key and payload, payload = scratch bytes as
// 64-bit little endian, then the object.
static constexpr StringLiteral magic = "grokc-kernel-1\n";
static constexpr size_t digestBytes = 32, countBytes = 8;

using Digest = std::array<uint8_t, digestBytes>;

static Digest digestOf(StringRef key, StringRef payload) {
  SHA256 hash;
  hash.update(key);
  hash.update(StringRef("\0", 1)); // keys are text
  hash.update(payload);
  return hash.final();
}

static StringRef asText(const Digest &digest) {
  return {reinterpret_cast<const char *>(digest.data()), digest.size()};
}

KernelCache::KernelCache(std::string folder) : folder(std::move(folder)) {
  if (this->folder.empty())
    return;
  // Objects are code: nobody else may write here.
  if (sys::fs::create_directories(this->folder, /*IgnoreExisting=*/true, sys::fs::owner_all))
    this->folder.clear();
}

std::string KernelCache::pathOf(StringRef key) const {
  SmallString<128> path(folder);
  sys::path::append(path, toHex(SHA256::hash(arrayRefFromStringRef(key)), /*LowerCase=*/true));
  return path.str().str();
}

std::optional<CompiledKernel> KernelCache::find(StringRef key) const {
  if (folder.empty())
    return std::nullopt;
  auto file = MemoryBuffer::getFile(pathOf(key), /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!file)
    return std::nullopt;
  StringRef bytes = (*file)->getBuffer();
  if (bytes.size() < magic.size() + digestBytes + countBytes || !bytes.consume_front(magic))
    return std::nullopt;
  StringRef digest = bytes.take_front(digestBytes), payload = bytes.drop_front(digestBytes);
  if (digest != asText(digestOf(key, payload)))
    return std::nullopt;
  StringRef object = payload.drop_front(countBytes);
  CompiledKernel kernel;
  kernel.scratchBytes = static_cast<int64_t>(support::endian::read64le(payload.data()));
  kernel.object.assign(object.begin(), object.end());
  return kernel;
}

void KernelCache::insert(StringRef key, const CompiledKernel &kernel) const {
  if (folder.empty())
    return;
  std::string payload(countBytes, '\0');
  support::endian::write64le(payload.data(), static_cast<uint64_t>(kernel.scratchBytes));
  payload.append(kernel.object.begin(), kernel.object.end());
  auto file = sys::fs::TempFile::create(folder + "/new-%%%%%%%%%%%%",
                                        sys::fs::owner_read | sys::fs::owner_write);
  if (!file) {
    consumeError(file.takeError());
    return;
  }
  raw_fd_ostream stream(file->FD, /*shouldClose=*/false);
  stream << magic << asText(digestOf(key, payload)) << payload;
  stream.flush();
  bool isWritten = !stream.has_error();
  stream.clear_error();
  consumeError(isWritten ? file->keep(pathOf(key)) : file->discard());
}

} // namespace grok::compiler
