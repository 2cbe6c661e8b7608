// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Picks the form that the checkpoint most likely has and explains the first
// tensor that departs from it.
#include "frontends/checkpoint/xai/Agreement.h"

#include <algorithm>
#include <tuple>

namespace grok::checkpoint {

TensorInfo describe(const TensorRecord &record, const std::string &name, const std::string &file) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.file = file;
  tensor.dtype = record.weight.dtype;
  tensor.shape = record.weight.shape;
  tensor.quantised = record.scales.has_value();
  if (record.scales) {
    tensor.scaleDtype = record.scales->dtype;
    tensor.scaleShape = record.scales->shape;
  }
  return tensor;
}

/// The list that agrees best. Being quantised or not counts first, so that a
/// float checkpoint of the wrong dtype is not called a bad int8 one.
static const TensorList &likeliestForm(const TensorList &found,
                                       const std::vector<TensorList> &accepted) {
  auto agreement = [&](const TensorList &wanted) {
    std::tuple<size_t, size_t> score;
    for (size_t index = 0; index < found.size(); ++index) {
      std::get<0>(score) += found[index].quantised == wanted[index].quantised;
      std::get<1>(score) += found[index].sameForm(wanted[index]);
    }
    return score;
  };
  return *std::max_element(
      accepted.begin(), accepted.end(),
      [&](const TensorList &a, const TensorList &b) { return agreement(a) < agreement(b); });
}

/// The tensor whose place was taken by the one at `index`, if both were swapped.
static const TensorInfo *swappedWith(const TensorList &found, const TensorList &wanted,
                                     size_t index) {
  for (size_t other = 0; other < found.size(); ++other)
    if (!found[other].sameForm(wanted[other]) && found[index].sameForm(wanted[other]) &&
        found[other].sameForm(wanted[index]))
      return &found[other];
  return nullptr;
}

static std::string reasonFor(const TensorList &found, const TensorList &wanted, size_t index,
                             const std::vector<TensorList> &accepted) {
  const TensorInfo &tensor = found[index];
  if (const TensorInfo *other = swappedWith(found, wanted, index))
    return "it looks swapped with " + other->file + "; exchange the two files";
  if (tensor.quantised != wanted[index].quantised)
    for (const TensorList &form : accepted)
      if (tensor.sameForm(form[index]))
        return "a checkpoint has all matrices in int8 or none; fetch the file again";
  if (tensor.shape == wanted[index].shape && tensor.quantised && wanted[index].quantised &&
      tensor.dtype == wanted[index].dtype)
    return "check model_shards_of_int8_scales, the number of row groups";
  if (tensor.shape == wanted[index].shape && !tensor.quantised && !wanted[index].quantised)
    return "check float_checkpoint_matrix_dtype, or fetch the file again";
  return "check the model's description, or fetch the file again";
}

Result<void> checkAgreement(const TensorList &found, const std::vector<TensorList> &accepted) {
  const TensorList &wanted = likeliestForm(found, accepted);
  for (size_t index = 0; index < found.size(); ++index) {
    if (found[index].sameForm(wanted[index]))
      continue;
    return tl::unexpected(found[index].file + ": " + found[index].name + ": is " +
                          found[index].form() + ", expected " + wanted[index].form() + "; " +
                          reasonFor(found, wanted, index, accepted));
  }
  return {};
}

} // namespace grok::checkpoint
