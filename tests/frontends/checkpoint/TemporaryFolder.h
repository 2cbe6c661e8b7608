// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A folder for the files of one test, gone afterwards.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace grok::checkpoint {

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string text = (std::filesystem::temp_directory_path() / "grokc-test-XXXXXX").string();
    path = ::mkdtemp(text.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string operator/(const std::string &name) const { return (path / name).string(); }
  std::string string() const { return path.string(); }
  void makeFolder(const std::string &name) const {
    std::filesystem::create_directories(path / name);
  }
  void write(const std::string &name, const std::string &bytes) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << bytes;
  }
  std::string read(const std::string &name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

private:
  std::filesystem::path path;
};

} // namespace grok::checkpoint
