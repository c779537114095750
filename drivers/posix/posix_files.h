// The Files port on a POSIX system: a data folder held open by descriptor, everything below it reached with openat.
//
// Files are made 0600 and folders 0700, never inherited by a child process, and a symbolic link in place of a file is
// refused. Absolute paths, "..", empty parts and NUL are Code::invalid. Thread-safe; see core/ports/files.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ports/files.h"

namespace sereus::posix {

class PosixFiles : public Files {
 public:
  // Opens the data folder `root` (any path the process may use), making it when `create`. Code::not_found without it.
  static Result<std::unique_ptr<PosixFiles>> open(const std::string& root, bool create);
  ~PosixFiles() override;
  PosixFiles(const PosixFiles&) = delete;
  PosixFiles& operator=(const PosixFiles&) = delete;

  Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) override;
  bool exists(std::string_view path) override;
  Status remove(std::string_view path) override;
  Status remove_tree(std::string_view path) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status make_folder(std::string_view path) override;
  Status sync_folder(std::string_view path) override;
  Result<std::vector<std::string>> list(std::string_view path) override;
  // flock(2) on the file, which then holds this process's number as text. A lock held elsewhere, also by another
  // PosixFiles of this process, is Code::busy. The file stays when the lock is released; the number is removed.
  Result<std::unique_ptr<FileLock>> lock(std::string_view path) override;
  uint64_t fingerprint(std::string_view path) override;
  Result<uint64_t> free_bytes() override;

 private:
  explicit PosixFiles(int root) : root_(root) {}
  int root_;
};

}  // namespace sereus::posix
