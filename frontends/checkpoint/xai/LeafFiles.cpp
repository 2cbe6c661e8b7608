// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Lists a checkpoint folder and explains what is wrong with it.
#include "frontends/checkpoint/xai/LeafFiles.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <optional>
#include <set>

namespace grok::checkpoint {

static constexpr std::string_view stem = "tensor";
static constexpr std::string_view checkpointFolder = "ckpt-0";
static constexpr size_t leafDigits = 5;
static constexpr size_t hostDigits = 3;

/// Hosts of every leaf that has a file.
using Leaves = std::map<int, std::set<int>>;

std::vector<size_t> leafOrder(const TensorList &tensors) {
  // Haiku keeps {module path: {leaf: array}}, both sorted as strings.
  auto keyOf = [&](size_t index) {
    const std::string &name = tensors[index].name;
    size_t slash = name.rfind('/');
    return std::pair(name.substr(0, slash), name.substr(slash + 1));
  };
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keyOf(a) < keyOf(b); });
  return order;
}

static std::string fileName(int leaf, int host) {
  char text[32];
  std::snprintf(text, sizeof text, "tensor%05d_%03d", leaf, host);
  return text;
}

static std::optional<int> digits(std::string_view text) {
  int value = 0;
  for (char character : text) {
    if (character < '0' || character > '9')
      return std::nullopt;
    value = value * 10 + (character - '0');
  }
  return value;
}

/// (leaf, host) of a file name of exactly that spelling.
static std::optional<std::pair<int, int>> parseFileName(std::string_view name) {
  if (name.size() != stem.size() + leafDigits + 1 + hostDigits ||
      name[stem.size() + leafDigits] != '_')
    return std::nullopt;
  std::optional<int> leaf = digits(name.substr(stem.size(), leafDigits));
  std::optional<int> host = digits(name.substr(stem.size() + leafDigits + 1));
  if (!leaf || !host)
    return std::nullopt;
  return std::pair(*leaf, *host);
}

static Result<Leaves> listLeaves(const std::string &folder) {
  Leaves leaves;
  std::error_code code;
  std::filesystem::directory_iterator entry(folder, code);
  // Names that do not begin like a tensor are the downloader's affair.
  for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
    std::string name = entry->path().filename().string();
    if (!name.starts_with(stem))
      continue;
    std::optional<std::pair<int, int>> parsed = parseFileName(name);
    if (!parsed)
      return tl::unexpected(folder + "/" + printable(name) +
                            ": not a name of the form tensorNNNNN_MMM; is it part of an "
                            "unfinished download? Finish or remove it");
    leaves[parsed->first].insert(parsed->second);
  }
  if (code)
    return tl::unexpected(folder + ": cannot be listed: " + code.message());
  return leaves;
}

/// The folder of the files, given either it or its parent.
static Result<std::string> findFolder(const std::string &folder) {
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code))
    return tl::unexpected(folder + ": no such folder; name the one that holds " +
                          std::string(checkpointFolder) + "/");
  std::string inner = (std::filesystem::path(folder) / checkpointFolder).string();
  if (std::filesystem::is_directory(inner, code))
    return inner;
  Result<Leaves> leaves = listLeaves(folder);
  if (!leaves)
    return tl::unexpected(leaves.error());
  if (leaves->empty())
    return tl::unexpected(folder + ": holds neither " + std::string(checkpointFolder) +
                          "/ nor files tensorNNNNN_000; name the folder of the checkpoint");
  return folder;
}

/// Every leaf must come from host 0 alone.
static Result<void> checkHosts(const std::string &folder, const Leaves &leaves) {
  for (const auto &[leaf, hosts] : leaves) {
    if (hosts.size() > 1)
      return tl::unexpected(folder + "/" + fileName(leaf, *hosts.rbegin()) +
                            ": the checkpoint is sharded over hosts (" +
                            std::to_string(hosts.size()) +
                            " files for this tensor); gather it on one host and save it again");
    if (!hosts.contains(0))
      return tl::unexpected(folder + "/" + fileName(leaf, *hosts.begin()) + ": is a file of host " +
                            std::to_string(*hosts.begin()) + ", expected " + fileName(leaf, 0) +
                            "; copy the files of host 0");
  }
  return {};
}

static Result<void> checkLeaves(const std::string &folder, const Leaves &leaves,
                                const std::vector<std::string> &names) {
  int count = static_cast<int>(names.size());
  std::string model = "the model has " + std::to_string(count) + " tensors, the folder " +
                      std::to_string(leaves.size());
  int missing = 0;
  while (missing < count && leaves.contains(missing))
    ++missing;
  if (missing < count)
    return tl::unexpected(folder + "/" + fileName(missing, 0) + ": missing; it holds " +
                          names[static_cast<size_t>(missing)] + " (" + model +
                          "); finish the download or check num_layers");
  auto extra = leaves.lower_bound(count);
  if (extra == leaves.end())
    return {};
  return tl::unexpected(folder + "/" + fileName(extra->first, 0) + ": one file too many (" + model +
                        "); check num_layers or remove it");
}

Result<std::vector<std::string>> findLeafFiles(const std::string &folder,
                                               const std::vector<std::string> &names) {
  Result<std::string> found = findFolder(folder);
  if (!found)
    return tl::unexpected(found.error());
  Result<Leaves> leaves = listLeaves(*found);
  if (!leaves)
    return tl::unexpected(leaves.error());
  Result<void> checked =
      checkHosts(*found, *leaves).and_then([&] { return checkLeaves(*found, *leaves, names); });
  if (!checked)
    return tl::unexpected(checked.error());
  std::vector<std::string> paths;
  paths.reserve(names.size());
  for (size_t leaf = 0; leaf < names.size(); ++leaf)
    paths.push_back(*found + "/" + fileName(static_cast<int>(leaf), 0));
  return paths;
}

} // namespace grok::checkpoint
