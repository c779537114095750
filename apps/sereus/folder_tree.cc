#include "apps/sereus/folder_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "apps/sereus/failure.h"
#include "apps/sereus/files.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameSizeMax = 255;  // of one component, on the usual file systems

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

void walk(const fs::path& folder, const std::string& prefix, const fs::path& except, std::vector<FoundFile>* found,
          std::vector<Skipped>* skipped) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) {
    skipped->push_back({folder.string(), error.message()});
    return;
  }
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    if (error) break;
    const fs::directory_entry& entry = *entries;
    const std::string key = prefix + entry.path().filename().string();
    const fs::file_status status = entry.symlink_status(error);
    if (error) {
      skipped->push_back({entry.path().string(), error.message()});
      error.clear();
    } else if (fs::is_directory(status)) {
      std::error_code ignored;
      if (!except.empty() && fs::equivalent(entry.path(), except, ignored)) {
        skipped->push_back({entry.path().string(), "it is the data folder of this node", false});
      } else {
        walk(entry.path(), key + "/", except, found, skipped);
      }
    } else if (fs::is_regular_file(status)) {
      found->push_back({entry.path(), key});
    } else {
      const bool link = fs::is_symlink(status);
      skipped->push_back(
          {entry.path().string(), link ? "symbolic links are not followed" : "it is not a regular file", false});
    }
  }
  if (error) skipped->push_back({folder.string(), error.message()});
}

}  // namespace

std::vector<FoundFile> find_files(const fs::path& folder, const fs::path& except, std::vector<Skipped>* skipped) {
  std::vector<FoundFile> found;
  walk(folder, "", except, &found, skipped);
  std::sort(found.begin(), found.end(), [](const FoundFile& a, const FoundFile& b) { return a.key < b.key; });
  return found;
}

std::string unsafe_path(std::string_view key) {
  if (key.empty()) return "it is empty";
  if (key.find('\0') != key.npos) return "it has a NUL byte";
  if (key.front() == '/') return "it is an absolute path";
  for (;;) {
    const size_t slash = key.find('/');
    const std::string_view part = key.substr(0, slash);
    if (part.empty()) return "a part of it is empty";
    if (part == "." || part == "..") return "'" + std::string(part) + "' is a part of it";
    if (part.size() > kNameSizeMax) return "a part of it is longer than a file name may be";
    if (slash == key.npos) return "";
    key.remove_prefix(slash + 1);
  }
}

TargetFolder::TargetFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw errno_failure("make the folder '" + printable(folder.string()) + "'", error.value());
  fd_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) throw errno_failure("open the folder '" + printable(folder.string()) + "'", errno);
}

TargetFolder::~TargetFolder() { ::close(fd_); }

TargetFolder::Outcome TargetFolder::write(std::string_view key, std::string_view content, bool force,
                                          std::string* reason) {
  const auto refuse = [&](const std::string& why) {
    *reason = why;
    return Outcome::refused;
  };
  // Each step opens one name relative to the folder before it, so that no link planted on the way leads elsewhere.
  Fd folder(::dup(fd_));
  for (size_t slash = key.find('/'); slash != key.npos; slash = key.find('/')) {
    const std::string part(key.substr(0, slash));
    key.remove_prefix(slash + 1);
    if (::mkdirat(folder.get(), part.c_str(), 0777) != 0 && errno != EEXIST) return refuse(std::strerror(errno));
    const int next = ::openat(folder.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) {
      return refuse(errno == ENOTDIR || errno == ELOOP ? "'" + printable(part) + "' on its way is no folder"
                                                       : std::strerror(errno));
    }
    folder.reset(next);
  }
  const std::string name(key);
  struct stat there {};
  if (::fstatat(folder.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISREG(there.st_mode)) return refuse("something that is no file has its name");
    if (static_cast<uint64_t>(there.st_size) == content.size()) {
      Fd file(::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      std::string old;
      if (file.get() >= 0 && read_all(file.get(), content.size(), &old) && old == content) return Outcome::same;
    }
    if (!force) return refuse("a file with other content is there; --force replaces it");
  }
  // Beside it first, then in its place: nobody sees half a file.
  const std::string temporary = ".sereus-" + std::to_string(::getpid()) + ".part";
  Fd file(::openat(folder.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (file.get() < 0) return refuse(std::strerror(errno));
  bool good = write_all(file.get(), content);
  good = good && ::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) == 0;
  if (good) return Outcome::written;
  const int error = errno;
  ::unlinkat(folder.get(), temporary.c_str(), 0);
  return refuse(std::strerror(error));
}

}  // namespace cli
