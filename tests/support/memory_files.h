// Files in memory that can lose power, for tests of single components. The simulator has the full model of a disk; this
// one knows what is written, what is durable, and stops at a chosen operation.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/ports/files.h"

namespace sereus::test {

// What a crash leaves of things that were not synced.
enum class Unsynced { lost, kept, torn };  // torn: the first half of the unsynced content, and the old rest

class MemoryFiles : public Files {
 public:
  struct Node {
    Bytes content;
    Bytes durable;
  };

  // The operation that has this number (from 1) and all later ones fail with Code::io, as if the power were gone.
  void crash_at(size_t operation) { crash_at_ = operation; }
  // One operation fails with `code`; later ones work.
  void fail_at(size_t operation, Code code) {
    fail_at_ = operation;
    fail_code_ = code;
  }
  size_t operations() const { return operations_; }
  void count_from_zero() { operations_ = 0; }

  // The power comes back: files and names are what was durable, and of the rest what the arguments say.
  void reboot(Unsynced content, bool names_kept) {
    crash_at_ = 0;
    fail_at_ = 0;
    operations_ = 0;
    if (!names_kept) names_ = durable_names_;
    durable_names_ = names_;
    for (auto& [name, node] : names_) {
      if (content == Unsynced::lost) node->content = node->durable;
      if (content == Unsynced::torn && node->content != node->durable) {
        Bytes torn = node->durable;
        const size_t half = node->content.size() / 2;
        torn.resize(std::max(torn.size(), half));
        std::copy_n(node->content.begin(), half, torn.begin());
        node->content = torn;
      }
      node->durable = node->content;
    }
  }

  // What lies on the disk now, bypassing everything.
  std::optional<Bytes> content(const std::string& path) const {
    const auto found = names_.find(path);
    return found == names_.end() ? std::nullopt : std::optional(found->second->content);
  }
  void put(const std::string& path, Bytes bytes) {
    auto node = std::make_shared<Node>(Node{bytes, bytes});
    names_[path] = node;
    durable_names_[path] = node;
  }
  size_t file_count() const { return names_.size(); }
  // Every content that was ever in a file that is now nameless: what remove() and rename() left unwiped.
  const std::vector<std::shared_ptr<Node>>& removed() const { return removed_; }

  Result<std::unique_ptr<File>> open(std::string_view path, OpenMode mode) override {
    SEREUS_TRY(operation());
    const std::string name(path);
    auto found = names_.find(name);
    if (found == names_.end()) {
      if (mode == OpenMode::read || mode == OpenMode::read_write) return fail(Code::not_found, name);
      found = names_.emplace(name, std::make_shared<Node>()).first;
    } else if (mode == OpenMode::create_new) {
      return fail(Code::exists, name);
    }
    return std::unique_ptr<File>(new MemoryFile(*this, found->second));
  }
  bool exists(std::string_view path) override { return names_.count(std::string(path)) > 0; }
  Status remove(std::string_view path) override {
    SEREUS_TRY(operation());
    const auto found = names_.find(std::string(path));
    if (found == names_.end()) return {};
    removed_.push_back(found->second);
    names_.erase(found);
    return {};
  }
  Status remove_tree(std::string_view) override { return fail(Code::unsupported); }
  Status rename(std::string_view from, std::string_view to) override {
    SEREUS_TRY(operation());
    const auto found = names_.find(std::string(from));
    if (found == names_.end()) return fail(Code::not_found, std::string(from));
    auto& target = names_[std::string(to)];
    if (target) removed_.push_back(target);
    target = found->second;
    names_.erase(std::string(from));
    return {};
  }
  Status make_folder(std::string_view) override { return operation(); }
  Status sync_folder(std::string_view) override {
    SEREUS_TRY(operation());
    durable_names_ = names_;
    return {};
  }
  Result<std::vector<std::string>> list(std::string_view) override {
    SEREUS_TRY(operation());
    std::vector<std::string> found;
    for (const auto& [name, node] : names_) found.push_back(name);
    return found;
  }
  Result<std::unique_ptr<FileLock>> lock(std::string_view) override { return fail(Code::unsupported); }
  uint64_t fingerprint(std::string_view) override { return 1; }
  Result<uint64_t> free_bytes() override { return uint64_t{1} << 30; }

 private:
  class MemoryFile : public File {
   public:
    MemoryFile(MemoryFiles& files, std::shared_ptr<Node> node) : files_(files), node_(std::move(node)) {}
    Result<size_t> read_at(uint64_t offset, ByteSpan out) override {
      SEREUS_TRY(files_.operation());
      const Bytes& from = node_->content;
      if (offset >= from.size()) return size_t{0};
      const size_t count = std::min<size_t>(out.size(), from.size() - static_cast<size_t>(offset));
      std::copy_n(from.begin() + static_cast<long>(offset), count, out.begin());
      return count;
    }
    Status write_at(uint64_t offset, ByteView data) override {
      SEREUS_TRY(files_.operation());
      const size_t at = static_cast<size_t>(offset);
      if (node_->content.size() < at + data.size()) node_->content.resize(at + data.size());
      std::copy(data.begin(), data.end(), node_->content.begin() + static_cast<long>(at));
      return {};
    }
    Status truncate(uint64_t size) override {
      SEREUS_TRY(files_.operation());
      node_->content.resize(static_cast<size_t>(size));
      return {};
    }
    Result<uint64_t> size() override { return uint64_t{node_->content.size()}; }
    Status sync() override {
      SEREUS_TRY(files_.operation());
      node_->durable = node_->content;
      return {};
    }

   private:
    MemoryFiles& files_;
    std::shared_ptr<Node> node_;
  };

  Status operation() {
    ++operations_;
    if (crash_at_ != 0 && operations_ >= crash_at_) return fail(Code::io, "the power is gone");
    if (fail_at_ != 0 && operations_ == fail_at_) return fail(fail_code_, "a fault of the test");
    return {};
  }

  std::map<std::string, std::shared_ptr<Node>> names_;
  std::map<std::string, std::shared_ptr<Node>> durable_names_;
  std::vector<std::shared_ptr<Node>> removed_;
  size_t operations_ = 0;
  size_t crash_at_ = 0;
  size_t fail_at_ = 0;
  Code fail_code_ = Code::io;
};

}  // namespace sereus::test
