// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Reads headers, and hands out mapped tensors after looking at their values.
#include "frontends/checkpoint/xai/XaiCheckpoint.h"

#include "frontends/checkpoint/FileMapping.h"
#include "frontends/checkpoint/ValueChecks.h"
#include "frontends/checkpoint/xai/Agreement.h"
#include "frontends/checkpoint/xai/LeafFiles.h"
#include "frontends/checkpoint/xai/PickleMachine.h"

#include <algorithm>
#include <cassert>
#include <unordered_map>

namespace grok::checkpoint {

/// Bytes of float data looked at before they are dropped from memory again.
static constexpr int64_t checkBytes = int64_t(4) << 20;

/// What is remembered of a file between opening the checkpoint and reading.
struct Leaf {
  TensorRecord record;
  FileIdentity identity;
};

class XaiTensorData final : public TensorData {
public:
  XaiTensorData(RegularFile file, FileMapping mapping, const Leaf &leaf)
      : file(std::move(file)), mapping(std::move(mapping)), leaf(leaf) {}

  std::span<const std::byte> weight() const override { return bytesOf(leaf.record.weight); }
  std::span<const std::byte> scales() const override {
    return leaf.record.scales ? bytesOf(*leaf.record.scales) : std::span<const std::byte>();
  }
  void release(int64_t begin, int64_t end) const override {
    mapping.release(leaf.record.weight.offset + begin, leaf.record.weight.offset + end);
  }
  Result<void> checkUnchanged() const override {
    if (Result<void> same = file.checkUnchanged(leaf.identity); !same || !mapping.isTorn())
      return same;
    return tl::unexpected(file.path() + ": cannot be read to its end; check the disk");
  }

private:
  std::span<const std::byte> bytesOf(const ArrayRecord &array) const {
    return mapping.bytes().subspan(static_cast<size_t>(array.offset),
                                   static_cast<size_t>(array.bytes));
  }

  RegularFile file;
  FileMapping mapping;
  Leaf leaf; // a copy: data may outlive its checkpoint
};

class XaiCheckpoint final : public Checkpoint {
public:
  XaiCheckpoint(TensorList tensors, std::vector<Leaf> leaves)
      : list(std::move(tensors)), leaves(std::move(leaves)) {
    for (size_t index = 0; index < list.size(); ++index)
      indices.emplace(list[index].name, index);
  }

  const TensorList &tensors() const override { return list; }
  Result<std::unique_ptr<TensorData>> read(std::string_view name) const override;

private:
  TensorList list;
  std::vector<Leaf> leaves; // [index in list]
  std::unordered_map<std::string, size_t> indices;
};

/// "file: tensor: what".
static tl::unexpected<std::string> errorIn(const TensorInfo &tensor, const std::string &what) {
  return tl::unexpected(tensor.file + ": " + tensor.name + ": " + what);
}

/// "[3, 0, 17]": where element `index` stands in an array of `shape`.
static std::string placeOf(int64_t index, const std::vector<int64_t> &shape) {
  std::vector<int64_t> place(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    place[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return shapeText(place);
}

static Result<void> checkValues(const TensorInfo &tensor, const TensorData &data) {
  if (std::optional<int64_t> bad = findBadScale(data.scales(), tensor.scaleDtype))
    return errorIn(tensor, "scale " + placeOf(*bad, tensor.scaleShape) +
                               " is negative or not a finite number; the file is damaged");
  if (tensor.dtype == DType::i8)
    return {};
  std::span<const std::byte> weight = data.weight();
  int64_t size = static_cast<int64_t>(weight.size());
  for (int64_t begin = 0; begin < size; begin += checkBytes) {
    int64_t length = std::min(checkBytes, size - begin);
    std::span<const std::byte> block =
        weight.subspan(static_cast<size_t>(begin), static_cast<size_t>(length));
    if (std::optional<int64_t> bad = findNonFinite(block, tensor.dtype))
      return errorIn(tensor, "element " +
                                 placeOf(begin / sizeOf(tensor.dtype) + *bad, tensor.shape) +
                                 " is not a finite number; the file is damaged");
    data.release(begin, begin + length);
  }
  return {};
}

Result<std::unique_ptr<TensorData>> XaiCheckpoint::read(std::string_view name) const {
  auto found = indices.find(std::string(name));
  if (found == indices.end())
    return tl::unexpected("the checkpoint has no tensor '" + printable(name) + "'");
  const TensorInfo &tensor = list[found->second];
  const Leaf &leaf = leaves[found->second];
  Result<RegularFile> file = RegularFile::open(tensor.file);
  if (!file)
    return tl::unexpected(file.error());
  // The recorded places of the arrays hold for that very file only.
  if (Result<void> same = file->checkUnchanged(leaf.identity); !same)
    return tl::unexpected(same.error());
  Result<FileMapping> mapping = FileMapping::map(*file);
  if (!mapping)
    return tl::unexpected(mapping.error());
  auto data = std::make_unique<XaiTensorData>(std::move(*file), std::move(*mapping), leaf);
  Result<void> checked =
      checkValues(tensor, *data).and_then([&] { return data->checkUnchanged(); });
  if (!checked)
    return tl::unexpected(checked.error());
  return data;
}

static Result<Leaf> readLeaf(const std::string &path, const std::string &name) {
  Result<RegularFile> file = RegularFile::open(path);
  if (!file)
    return tl::unexpected(file.error());
  Result<TensorRecord> record = readTensorPickle(FileSource(*file));
  if (!record)
    return tl::unexpected(path + ": " + name + ": " + record.error());
  return Leaf{std::move(*record), file->identity()};
}

Result<std::unique_ptr<Checkpoint>> openXai(const std::string &folder,
                                            const std::vector<TensorList> &accepted) {
  assert(!accepted.empty() && "a model is stored in some form");
  std::vector<size_t> order = leafOrder(accepted.front());
  std::vector<std::string> names;
  names.reserve(order.size());
  for (size_t index : order)
    names.push_back(accepted.front()[index].name);
  Result<std::vector<std::string>> paths = findLeafFiles(folder, names);
  if (!paths)
    return tl::unexpected(paths.error());

  TensorList tensors(order.size());
  std::vector<Leaf> leaves(order.size());
  for (size_t position = 0; position < order.size(); ++position) {
    Result<Leaf> leaf = readLeaf((*paths)[position], names[position]);
    if (!leaf)
      return tl::unexpected(leaf.error());
    size_t index = order[position];
    tensors[index] = describe(leaf->record, names[position], (*paths)[position]);
    leaves[index] = std::move(*leaf);
  }
  if (Result<void> agreed = checkAgreement(tensors, accepted); !agreed)
    return tl::unexpected(agreed.error());
  return std::make_unique<XaiCheckpoint>(std::move(tensors), std::move(leaves));
}

} // namespace grok::checkpoint
