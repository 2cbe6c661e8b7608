// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folders that appear whole or not at all, and outlive their run if need be.
#include "compiler/artifact/OutputFolder.h"

#include "runtime/plan/Sha256.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace grok;
using namespace grok::compiler;
namespace fs = std::filesystem;

/// Digits of the identity in the folder's name, and of mkdtemp.
static constexpr size_t identityDigits = 16, randomDigits = 6;

static tl::unexpected<std::string> failure(const std::string &path, const std::string &what,
                                           int error) {
  return tl::unexpected(path + ": " + what + ": " + std::strerror(error));
}

/// A descriptor that holds the folder's lock, or -1 if the folder is not there
/// (any more) or another process works in it.
static int lockFolder(const std::string &path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -1;
  // A file system without locks is used by one process, we hope.
  bool isBusy = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  // Between open and lock it may have been removed or put in place.
  struct stat opened{}, named{};
  if (!isBusy && ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
      opened.st_ino == named.st_ino && opened.st_dev == named.st_dev)
    return fd;
  ::close(fd);
  return -1;
}

static bool isWorkName(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix))
    return false;
  name.remove_prefix(prefix.size());
  return (name.size() == identityDigits || name.size() == randomDigits) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); });
}

/// Removes what other runs for the same target left behind.
static void removeAbandoned(const fs::path &parent, const std::string &prefix,
                            const fs::path &kept) {
  std::error_code error;
  for (const fs::directory_entry &entry : fs::directory_iterator(parent, error)) {
    if (entry.path() == kept || !isWorkName(entry.path().filename().string(), prefix))
      continue;
    int lock = lockFolder(entry.path());
    if (lock < 0)
      continue;
    fs::remove_all(entry.path(), error);
    ::close(lock);
  }
}

static bool isReplaceable(const fs::path &place) {
  std::error_code error;
  return !fs::exists(place, error) ||
         (fs::is_directory(place, error) &&
          (fs::exists(place / "model.plan", error) || fs::is_empty(place, error)));
}

Result<OutputFolder> OutputFolder::create(const std::string &target, std::string_view identity) {
  std::error_code error;
  fs::path place = fs::path(target).lexically_normal();
  if (!place.has_filename())
    place = place.parent_path();
  if (!isReplaceable(place))
    return tl::unexpected(place.string() +
                          ": exists and is not an artifact; remove it or name another output");
  fs::path parent = place.has_parent_path() ? place.parent_path() : fs::path(".");
  fs::create_directories(parent, error);
  const std::string prefix = "." + place.filename().string() + ".partial-";
  const std::string digest = runtime::hex(runtime::sha256(std::as_bytes(std::span(identity))));
  const fs::path known = parent / (prefix + digest.substr(0, identityDigits));
  removeAbandoned(parent, prefix, identity.empty() ? fs::path() : known);
  if (!identity.empty()) {
    ::mkdir(known.c_str(), 0755);
    if (int lock = lockFolder(known); lock >= 0) {
      // The plan was written last: the run was killed between it and the commit.
      fs::remove(known / "model.plan", error);
      return OutputFolder(place.string(), known.string(), lock);
    }
  }
  // Somebody compiles the same at this moment, or nothing is to be found again.
  std::string pattern = (parent / (prefix + "XXXXXX")).string();
  if (!::mkdtemp(pattern.data()))
    return failure(parent.string(), "cannot create a folder", errno);
  ::chmod(pattern.c_str(), 0755);
  return OutputFolder(place.string(), pattern, lockFolder(pattern));
}

OutputFolder::OutputFolder(OutputFolder &&other) noexcept
    : target(std::move(other.target)), temporary(std::exchange(other.temporary, {})),
      lock(std::exchange(other.lock, -1)) {}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!temporary.empty())
    fs::remove_all(temporary, ignored);
  if (lock >= 0)
    ::close(lock);
}

void OutputFolder::keep() { temporary.clear(); }

Result<void> OutputFolder::commit() {
  // An older artifact is exchanged in one step: there is always a whole one.
  std::error_code ignored;
  bool replaces = fs::exists(target, ignored);
  unsigned flags = replaces ? RENAME_EXCHANGE : 0;
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), flags) != 0)
    return failure(target, "cannot put the artifact in place", errno);
  if (replaces)
    fs::remove_all(temporary, ignored);
  temporary.clear();
  return {};
}
