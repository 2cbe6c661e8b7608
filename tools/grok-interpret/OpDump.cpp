// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The results of every op, as files.
#include "tools/grok-interpret/OpDump.h"

#include "runtime/output/NpyWriter.h"

#include <algorithm>
#include <filesystem>

namespace grok::tools {

using interpreter::Indices;
using interpreter::Tensor;

static runtime::Result<void> writeRows(const std::string &path, int64_t rows,
                                       std::span<const float> values) {
  int64_t columns = rows == 0 ? 0 : static_cast<int64_t>(values.size()) / rows;
  runtime::Result<runtime::NpyWriter> file = runtime::NpyWriter::create(path, columns);
  if (!file)
    return tl::unexpected(file.error());
  for (int64_t row = 0; row < rows; ++row)
    if (auto done = file->append(values.subspan(row * columns, columns)); !done)
      return done;
  return file->commit();
}

runtime::Result<void> OpDump::write(const std::string &place,
                                    const interpreter::Value &value) const {
  const std::string stepFolder = folder + "/" + std::to_string(step);
  std::error_code error;
  std::filesystem::create_directories(stepFolder, error);
  if (error)
    return runtime::fail("--dump, ", stepFolder, ": ", error.message(), ", give another folder");
  std::string path = stepFolder + "/" + place + ".npy";
  if (auto *tensor = std::get_if<Tensor>(&value))
    return writeRows(path, tensor->rows(), tensor->values);
  const auto &indices = std::get<Indices>(value);
  return writeRows(path, indices.shape.front(),
                   std::vector<float>(indices.values.begin(), indices.values.end()));
}

void OpDump::observe(mlir::Operation &op, llvm::ArrayRef<const interpreter::Value *> results) {
  if (!written || !op.getParentOp()) // plain ops of a fused one are in no function
    return;
  if (&op == &op.getBlock()->front())
    ++step;
  auto isDumped = [](const interpreter::Value *value) {
    return std::holds_alternative<Tensor>(*value) || std::holds_alternative<Indices>(*value);
  };
  std::string place = interpreter::placeOf(op);
  std::replace(place.begin(), place.end(), '/', '.');
  const bool isOne = llvm::count_if(results, isDumped) == 1;
  for (size_t index = 0; index < results.size() && written; ++index)
    if (isDumped(results[index]))
      written = write(isOne ? place : place + "." + std::to_string(index), *results[index]);
}

} // namespace grok::tools
