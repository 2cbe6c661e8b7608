// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A folder for intermediate results, gone with its object.
#pragma once

#include "frontends/checkpoint/Checkpoint.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

namespace grok::compiler {

class TemporaryFolder {
public:
  /// Of a name of its own that begins with the path `prefix`.
  static checkpoint::Result<TemporaryFolder> create(const std::string &prefix) {
    std::string name = prefix + "-XXXXXX";
    if (!::mkdtemp(name.data()))
      return tl::unexpected(name + ": cannot create: " + std::strerror(errno));
    return TemporaryFolder(std::move(name));
  }
  /// Beside `target`, where there is room for artifacts.
  static checkpoint::Result<TemporaryFolder> createBeside(const std::string &target) {
    std::filesystem::path base = std::filesystem::path(target).lexically_normal();
    if (!base.has_filename())
      base = base.parent_path();
    return create(base.string() + ".calibration");
  }
  TemporaryFolder(TemporaryFolder &&other) noexcept : folder(std::move(other.folder)) {
    other.folder.clear();
  }
  TemporaryFolder &operator=(TemporaryFolder &&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!folder.empty())
      std::filesystem::remove_all(folder, ignored);
  }

  const std::string &path() const { return folder; }

private:
  explicit TemporaryFolder(std::string folder) : folder(std::move(folder)) {}

  std::string folder;
};

} // namespace grok::compiler
