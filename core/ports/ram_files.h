// Files that live in this process's memory and end with it: for nodes without a data folder. Thread-safe as the port asks,
// and across files.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "core/ports/files.h"

namespace sereus {

class RamFiles : public Files {
 public:
  RamFiles();
  ~RamFiles() override;

  Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) override;
  bool exists(std::string_view path) override;
  Status remove(std::string_view path) override;
  Status remove_tree(std::string_view path) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status make_folder(std::string_view path) override;
  Status sync_folder(std::string_view /*path*/) override { return {}; }
  Result<std::vector<std::string>> list(std::string_view path) override;
  Result<std::unique_ptr<FileLock>> lock(std::string_view path) override;
  uint64_t fingerprint(std::string_view /*path*/) override { return 0; }
  Result<uint64_t> free_bytes() override;

 private:
  struct Content;
  class OpenFile;
  class Lock;
  struct Locks {
    std::mutex mutex;
    std::set<std::string> held;
  };

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Content>, std::less<>> files_;
  std::set<std::string, std::less<>> folders_;
  std::shared_ptr<Locks> locks_;
};

}  // namespace sereus
