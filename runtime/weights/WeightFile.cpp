// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/weights/WeightFile.h"
#include "runtime/device/cpu/ThreadPool.h"
#include "runtime/plan/File.h"
#include "runtime/plan/Sha256.h"
#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace grok::runtime {

WeightFile::WeightFile(const plan::Layout &layout, std::string path)
    : tensors(layout.tensors()->begin(), layout.tensors()->end()), path(std::move(path)),
      size(layout.file_bytes()) {}

WeightFile::WeightFile(WeightFile &&other) noexcept
    : tensors(std::move(other.tensors)), path(std::move(other.path)),
      mapping(std::exchange(other.mapping, nullptr)), zeroMemory(std::move(other.zeroMemory)),
      size(other.size) {}

WeightFile::~WeightFile() {
  if (mapping)
    munmap(const_cast<std::byte *>(mapping), size);
}

static bool hashMatches(std::span<const std::byte> bytes,
                        const flatbuffers::Vector<uint8_t> &expected) {
  Digest found = sha256(bytes);
  return expected.size() == found.size() &&
         std::memcmp(expected.data(), found.data(), found.size()) == 0;
}

Result<WeightFile> WeightFile::map(const std::string &directory, const plan::Layout &layout) {
  if (!layout.file() || layout.file()->size() == 0)
    return fail(directory,
                ": the plan has no weights (compiled with --weights-from=none); compile the model "
                "with its checkpoint to run it");
  WeightFile file(layout, directory + "/" + layout.file()->str());
  uint64_t fileBytes = 0;
  auto handle = openFile(file.path, fileBytes);
  if (!handle)
    return fail(handle.error());
  if (fileBytes != file.size)
    return fail(file.path, ": ", fileBytes, " bytes, the plan expects ", file.size,
                "; the file is damaged or belongs to another plan");
  // The plan's check has shown that header and tensors fill exactly file.size.
  const void *address = mmap(nullptr, file.size, PROT_READ, MAP_SHARED, handle->get(), 0);
  if (address == MAP_FAILED)
    return fail(file.path, ": cannot map ", file.size, " bytes: ", std::strerror(errno));
  file.mapping = static_cast<const std::byte *>(address);
  if (!hashMatches({file.mapping, layout.header_bytes()}, *layout.header_sha256()))
    return fail(file.path,
                ": the header's SHA-256 differs from the plan's; the file is damaged or belongs to "
                "another plan");
  return file;
}

Result<WeightFile> WeightFile::zeros(const plan::Layout &layout) {
  WeightFile file(layout, "zero weights");
  auto memory = Memory::allocate(file.size, file.path);
  if (!memory)
    return fail(memory.error());
  file.zeroMemory = std::move(*memory);
  return file;
}

std::span<const std::byte> WeightFile::contents() const {
  return {mapping ? mapping : zeroMemory.data(), size};
}

const std::byte *WeightFile::tensor(uint32_t index) const {
  return contents().data() + tensors[index]->offset();
}

namespace {

struct HashJob {
  const WeightFile *file;
  std::span<const plan::WeightTensor *const> tensors;
  std::atomic<uint32_t> firstBad;
};

} // namespace

static void hashTensors(void *context, int64_t begin, int64_t end, int) {
  auto &job = *static_cast<HashJob *>(context);
  for (auto index = static_cast<uint32_t>(begin); index < static_cast<uint32_t>(end); ++index) {
    const plan::WeightTensor &tensor = *job.tensors[index];
    if (hashMatches({job.file->tensor(index), tensor.bytes()}, *tensor.sha256()))
      continue;
    uint32_t seen = job.firstBad.load();
    while (index < seen && !job.firstBad.compare_exchange_weak(seen, index))
      ;
  }
}

Result<void> WeightFile::checkAll(ThreadPool &pool) const {
  if (!mapping)
    return {};
  HashJob job{this, tensors, UINT32_MAX};
  pool.run({hashTensors, &job, static_cast<int64_t>(tensors.size()), 1});
  if (uint32_t bad = job.firstBad.load(); bad != UINT32_MAX)
    return fail(path, ": tensor '", tensors[bad]->name()->string_view(),
                "' does not match its SHA-256; copy or pack the weights again");
  return {};
}

} // namespace grok::runtime
