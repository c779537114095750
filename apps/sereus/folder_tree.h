// A folder as keys: path -> content. The two directions share what a path may be.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

struct FoundFile {
  std::filesystem::path path;
  std::string key;  // relative, with '/'
};

struct Skipped {
  std::string path;
  std::string reason;
  bool is_failure = true;  // false: expected (a symbolic link), no reason for a non-zero exit
};

// Every regular file below `folder`, in byte order of the keys. Symbolic links and special files are not followed, and
// what lies in `except` (the data folder) is left out; both are told in `skipped`.
std::vector<FoundFile> find_files(const std::filesystem::path& folder, const std::filesystem::path& except,
                                  std::vector<Skipped>* skipped);

// Why a key cannot be a path below a folder; "" when it can.
std::string unsafe_path(std::string_view key);

// A folder that files are written into, never through a symbolic link and never outside.
class TargetFolder {
 public:
  explicit TargetFolder(const std::filesystem::path& folder);  // made when missing; throws
  ~TargetFolder();
  TargetFolder(const TargetFolder&) = delete;
  TargetFolder& operator=(const TargetFolder&) = delete;

  enum class Outcome { written, same, refused };
  // `key` has passed unsafe_path(). An existing file with other content is only replaced with `force`.
  Outcome write(std::string_view key, std::string_view content, bool force, std::string* reason);

 private:
  int fd_;
};

}  // namespace cli
