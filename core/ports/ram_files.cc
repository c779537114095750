#include "core/ports/ram_files.h"

#include <algorithm>
#include <utility>

namespace sereus {
namespace {

// What memory is called free: logs stop in order before a device's memory is exhausted.
constexpr uint64_t kBytesMax = uint64_t{1} << 30;

bool lies_in(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

}  // namespace

// Open files go on with theirs when a name is removed or replaced, as on a disk.
struct RamFiles::Content {
  std::mutex mutex;
  Bytes bytes;
};

class RamFiles::OpenFile final : public File {
 public:
  explicit OpenFile(std::shared_ptr<Content> content) : content_(std::move(content)) {}

  Result<size_t> read_at(uint64_t offset, ByteSpan out) override {
    const std::lock_guard lock(content_->mutex);
    const Bytes& from = content_->bytes;
    if (offset >= from.size()) return size_t{0};
    const size_t count = std::min<size_t>(out.size(), from.size() - static_cast<size_t>(offset));
    std::copy_n(from.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
    return count;
  }
  Status write_at(uint64_t offset, ByteView data) override {
    if (offset > kBytesMax || data.size() > kBytesMax - offset) return fail(Code::no_space, "a file in memory is full");
    const std::lock_guard lock(content_->mutex);
    const auto at = static_cast<size_t>(offset);
    if (content_->bytes.size() < at + data.size()) content_->bytes.resize(at + data.size());
    std::copy(data.begin(), data.end(), content_->bytes.begin() + static_cast<ptrdiff_t>(at));
    return {};
  }
  Status truncate(uint64_t size) override {
    if (size > kBytesMax) return fail(Code::no_space, "a file in memory is full");
    const std::lock_guard lock(content_->mutex);
    content_->bytes.resize(static_cast<size_t>(size));
    return {};
  }
  Result<uint64_t> size() override {
    const std::lock_guard lock(content_->mutex);
    return uint64_t{content_->bytes.size()};
  }
  Status sync() override { return {}; }

 private:
  std::shared_ptr<Content> content_;
};

class RamFiles::Lock final : public FileLock {
 public:
  Lock(std::shared_ptr<Locks> locks, std::string name) : locks_(std::move(locks)), name_(std::move(name)) {}
  ~Lock() override {
    const std::lock_guard lock(locks_->mutex);
    locks_->held.erase(name_);
  }

 private:
  std::shared_ptr<Locks> locks_;
  std::string name_;
};

RamFiles::RamFiles() : locks_(std::make_shared<Locks>()) {}
RamFiles::~RamFiles() = default;

Result<std::unique_ptr<File>> RamFiles::open(std::string_view path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  auto found = files_.find(path);
  if (found == files_.end()) {
    if (mode == OpenMode::read || mode == OpenMode::read_write) return fail(Code::not_found, std::string(path));
    found = files_.emplace(std::string(path), std::make_shared<Content>()).first;
  } else if (mode == OpenMode::create_new) {
    return fail(Code::exists, std::string(path));
  }
  return std::unique_ptr<File>(std::make_unique<OpenFile>(found->second));
}

bool RamFiles::exists(std::string_view path) {
  const std::lock_guard lock(mutex_);
  return files_.contains(path) || folders_.contains(path);
}

Status RamFiles::remove(std::string_view path) {
  const std::lock_guard lock(mutex_);
  if (const auto found = files_.find(path); found != files_.end()) files_.erase(found);
  return {};
}

Status RamFiles::remove_tree(std::string_view path) {
  const std::lock_guard lock(mutex_);
  std::erase_if(files_, [path](const auto& file) { return file.first == path || lies_in(file.first, path); });
  std::erase_if(folders_, [path](const auto& folder) { return folder == path || lies_in(folder, path); });
  return {};
}

Status RamFiles::rename(std::string_view from, std::string_view to) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(from);
  if (found == files_.end()) return fail(Code::not_found, std::string(from));
  std::shared_ptr<Content> content = std::move(found->second);
  files_.erase(found);
  files_[std::string(to)] = std::move(content);
  return {};
}

Status RamFiles::make_folder(std::string_view path) {
  const std::lock_guard lock(mutex_);
  for (size_t end = path.find('/'); end != std::string_view::npos; end = path.find('/', end + 1)) {
    folders_.emplace(path.substr(0, end));
  }
  folders_.emplace(path);
  return {};
}

Result<std::vector<std::string>> RamFiles::list(std::string_view path) {
  const std::lock_guard lock(mutex_);
  const bool top = path.empty() || path == ".";
  std::set<std::string> names;
  const auto take = [&](const std::string& each) {
    if (!top && !lies_in(each, path)) return;
    const std::string_view rest = top ? std::string_view(each) : std::string_view(each).substr(path.size() + 1);
    names.emplace(rest.substr(0, rest.find('/')));
  };
  for (const auto& [name, content] : files_) take(name);
  for (const std::string& folder : folders_) take(folder);
  if (names.empty() && !top && !folders_.contains(path)) return fail(Code::not_found, std::string(path));
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::unique_ptr<FileLock>> RamFiles::lock(std::string_view path) {
  const std::lock_guard lock(locks_->mutex);
  if (!locks_->held.emplace(path).second) return fail(Code::busy, std::string(path));
  return std::unique_ptr<FileLock>(std::make_unique<Lock>(locks_, std::string(path)));
}

Result<uint64_t> RamFiles::free_bytes() {
  const std::lock_guard lock(mutex_);
  uint64_t used = 0;
  for (const auto& [name, content] : files_) {
    const std::lock_guard content_lock(content->mutex);
    used += content->bytes.size();
  }
  return used >= kBytesMax ? 0 : kBytesMax - used;
}

}  // namespace sereus
