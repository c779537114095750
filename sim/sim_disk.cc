#include "sim/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/assert.h"

namespace sereus::sim {
namespace {

// More than that waiting, and the disk writes the older half back by itself: bounds memory, and is what kernels do.
constexpr size_t kChangesMax = 4096;
constexpr uint64_t kChangeBytesMax = 64 * 1024 * 1024;
constexpr uint32_t kMillion = 1'000'000;

Error dead() { return fail(Code::io, "simulated disk: the power is off"); }
Error missing(std::string_view path) {
  return fail(Code::not_found, "simulated disk: no such file: " + std::string(path));
}

void write(Bytes& content, uint64_t offset, ByteView data) {
  if (data.empty()) return;
  const size_t end = static_cast<size_t>(offset) + data.size();
  if (content.size() < end) content.resize(end);
  std::memcpy(content.data() + offset, data.data(), data.size());
}

uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

uint64_t mix(uint64_t hash, ByteView bytes) {
  const size_t whole = bytes.size() / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) hash = mix(hash, load_le<uint64_t>(bytes.data() + i));
  uint64_t rest = 0;
  for (size_t i = whole; i < bytes.size(); ++i) rest = rest << 8 | bytes[i];
  return mix(mix(hash, rest), bytes.size());
}

}  // namespace

// ---- Handles ------------------------------------------------------------------------------------------------------

class SimDisk::OpenFile : public File {
 public:
  OpenFile(SimDisk& disk, NodePtr node, bool writable)
      : disk_(disk), node_(std::move(node)), life_(disk.life_), writable_(writable) {}

  Result<size_t> read_at(uint64_t offset, ByteSpan out) override {
    const std::lock_guard hold(disk_.mutex_);
    SEREUS_TRY(check());
    if (disk_.drawn(disk_.faults_.read_failed_ppm)) return fail(Code::io, "simulated disk: read failed");
    const Bytes& now = node_->now;
    if (offset >= now.size()) return size_t{0};
    const size_t size = std::min<size_t>(out.size(), now.size() - static_cast<size_t>(offset));
    if (size != 0) std::memcpy(out.data(), now.data() + offset, size);
    return size;
  }

  Status write_at(uint64_t offset, ByteView data) override { return change(offset, data, false, offset + data.size()); }

  Status truncate(uint64_t size) override { return change(size, {}, true, size); }

  Result<uint64_t> size() override {
    const std::lock_guard hold(disk_.mutex_);
    SEREUS_TRY(check());
    return static_cast<uint64_t>(node_->now.size());
  }

  Status sync() override {
    const std::lock_guard hold(disk_.mutex_);
    SEREUS_TRY(check());
    bool crash_in_it = false;
    Status begun = disk_.begin_operation(&crash_in_it);
    disk_.busy_us_ += disk_.faults_.sync_us;
    if (!begun.ok()) {
      disk_.forget_some(*node_);
      return begun;
    }
    if (crash_in_it) return disk_.finish(true);
    return disk_.sync_node(*node_);
  }

 private:
  Status check() const {
    if (!disk_.powered_ || life_ != disk_.life_) return dead();
    return {};
  }

  Status change(uint64_t offset, ByteView data, bool truncate, uint64_t end) {
    const std::lock_guard hold(disk_.mutex_);
    SEREUS_TRY(check());
    if (!writable_) return fail(Code::invalid, "simulated disk: opened for reading");
    bool crash_in_it = false;
    SEREUS_TRY(disk_.begin_operation(&crash_in_it));
    if (disk_.no_room(*node_, end)) {
      if (crash_in_it) return disk_.finish(true);
      return fail(Code::no_space, "simulated disk: full");
    }
    disk_.add_change(*node_, offset, data, truncate);
    return disk_.finish(crash_in_it);
  }

  SimDisk& disk_;
  NodePtr node_;
  uint64_t life_;
  bool writable_;
};

class SimDisk::HeldLock : public FileLock {
 public:
  HeldLock(SimDisk& disk, std::string path) : disk_(disk), path_(std::move(path)), life_(disk.life_) {}
  ~HeldLock() override {
    const std::lock_guard hold(disk_.mutex_);
    if (life_ == disk_.life_) disk_.locks_.erase(path_);
  }

 private:
  SimDisk& disk_;
  std::string path_;
  uint64_t life_;
};

// ---- Files ------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<File>> SimDisk::open(std::string_view path, OpenMode mode) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  NodePtr node = find(path);
  if (node != nullptr && node->folder) return fail(Code::invalid, "simulated disk: a folder: " + std::string(path));
  if (node != nullptr && mode == OpenMode::create_new) return fail(Code::exists, "simulated disk: file exists");
  if (node == nullptr) {
    if (mode == OpenMode::read || mode == OpenMode::read_write) return missing(path);
    SEREUS_TRY(check_new_name(path));
    bool crash_in_it = false;
    SEREUS_TRY(begin_operation(&crash_in_it));
    node = std::make_shared<Node>();
    change_name(std::string(path), node);
    SEREUS_TRY(finish(crash_in_it));
  }
  return std::unique_ptr<File>(std::make_unique<OpenFile>(*this, std::move(node), mode != OpenMode::read));
}

Result<std::unique_ptr<FileLock>> SimDisk::lock(std::string_view path) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  if (!locks_.emplace(std::string(path), true).second) {
    return fail(Code::busy, "another process (pid 1) has this data folder open");
  }
  return std::unique_ptr<FileLock>(std::make_unique<HeldLock>(*this, std::string(path)));
}

Result<uint64_t> SimDisk::free_bytes() {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  return faults_.capacity > used_ ? faults_.capacity - used_ : 0;
}

// ---- Power --------------------------------------------------------------------------------------------------------

SimDisk::SimDisk(Random& random) : random_(random) {
  auto root = std::make_shared<Node>();
  root->folder = true;
  root->print = random_.next_u64() | 1;
  names_.emplace("", root);
  durable_names_ = names_;
}

SimDisk::~SimDisk() = default;

void SimDisk::crash() {
  const std::lock_guard hold(mutex_);
  lose_power();
}

void SimDisk::power_on() {
  const std::lock_guard hold(mutex_);
  powered_ = true;
}

void SimDisk::kill() {
  const std::lock_guard hold(mutex_);
  locks_.clear();
  ++life_;
}

bool SimDisk::powered() const {
  const std::lock_guard hold(mutex_);
  return powered_;
}

uint64_t SimDisk::operations() const {
  const std::lock_guard hold(mutex_);
  return operations_;
}

void SimDisk::crash_at(uint64_t operation) {
  const std::lock_guard hold(mutex_);
  crash_at_ = operation;
}

void SimDisk::fail_at(uint64_t operation, Code code) {
  const std::lock_guard hold(mutex_);
  fail_at_ = operation;
  fail_code_ = code;
}

void SimDisk::set_faults(const DiskFaults& faults) {
  const std::lock_guard hold(mutex_);
  faults_ = faults;
}

void SimDisk::lose_power() {
  if (!powered_) return;
  crash_names();
  ++life_;
  used_ = 0;
  for (auto& [path, node] : names_) {  // the order of drawing is by name; a node that had two comes once
    if (std::exchange(node->life, life_) == life_) continue;
    crash_node(*node);
    used_ += node->now.size();
  }
  locks_.clear();
  powered_ = false;
  crash_at_ = 0;
  fail_at_ = 0;
}

// Each sector of each waiting write is kept or dropped; how likely is drawn for the file.
void SimDisk::crash_node(Node& node) {
  if (node.folder || (node.changes.empty() && !node.apart)) return;
  const uint64_t style = node.changes.empty() ? 0 : random_.below(4);
  const size_t whole = style == 3 ? static_cast<size_t>(random_.below(node.changes.size() + 1)) : 0;
  for (size_t i = 0; i < node.changes.size(); ++i) {
    const Change& change = node.changes[i];
    if (style == 1 || (style == 3 && i < whole)) {
      apply(node, node.durable, change);
      continue;
    }
    // Style 3: what comes after the kept part is dropped, but the write at the seam may be torn.
    if (style == 0 || (style == 3 && i > whole)) continue;
    if (!change.truncate) {
      crash_write(node, change);
    } else if (random_.below(2) == 0) {
      apply(node, node.durable, change);
    }
  }
  settle(node);
}

void SimDisk::crash_write(Node& node, const Change& change) {
  const ByteView data = node.data(change);
  const uint64_t end = node.end(change);
  uint64_t draws = 0;
  int draws_left = 0;
  for (uint64_t at = change.offset; at < end;) {
    const uint64_t next = std::min(end, (at / kSector + 1) * kSector);
    if (draws_left == 0) {
      draws = random_.next_u64();
      draws_left = 64;
    }
    const auto from = static_cast<size_t>(at - change.offset);
    if ((draws & 1) == 0) write(node.durable, at, data.subspan(from, static_cast<size_t>(next - at)));
    draws >>= 1;
    --draws_left;
    at = next;
  }
  // The size may have arrived without the data.
  if (node.durable.size() < end && random_.below(4) == 0) node.durable.resize(static_cast<size_t>(end));
}

// Reads see what is durable, and nothing waits. Only what changed since it was last so can differ.
void SimDisk::settle(Node& node) {
  const size_t size = node.durable.size();
  size_t all_from = node.apart ? 0 : node.now.size();
  for (const Change& change : node.changes) {
    if (change.truncate) all_from = std::min(all_from, static_cast<size_t>(change.offset));
  }
  node.now.resize(size);
  const auto copy = [&](size_t from, size_t end) {
    end = std::min(end, size);
    if (from < end) std::memcpy(node.now.data() + from, node.durable.data() + from, end - from);
  };
  for (const Change& change : node.changes) {
    if (!change.truncate) copy(static_cast<size_t>(change.offset), static_cast<size_t>(node.end(change)));
  }
  copy(all_from, size);
  node.changes.clear();
  node.waiting.clear();
  node.apart = false;
  node.sum_known = false;
}

// ---- Changes ------------------------------------------------------------------------------------------------------

Status SimDisk::check_power() const {
  if (!powered_) return dead();
  return {};
}

// Counts the operation. Fails when it is to fail; says when the power is to be cut in it.
Status SimDisk::begin_operation(bool* crash_in_it) {
  SEREUS_TRY(check_power());
  ++operations_;
  *crash_in_it = crash_at_ != 0 && operations_ >= crash_at_;
  if (!*crash_in_it && fail_at_ != 0 && operations_ == fail_at_)
    return fail(fail_code_, "simulated disk: told to fail");
  return {};
}

Status SimDisk::finish(bool crash_in_it) {
  if (!crash_in_it) return {};
  lose_power();
  return dead();
}

bool SimDisk::drawn(uint32_t ppm) { return ppm != 0 && random_.below(kMillion) < ppm; }

void SimDisk::apply(const Node& node, Bytes& content, const Change& change) {
  if (change.truncate) {
    content.resize(static_cast<size_t>(change.offset));
  } else {
    write(content, change.offset, node.data(change));
  }
}

bool SimDisk::no_room(const Node& node, uint64_t end) const {
  const uint64_t size = node.now.size();
  const uint64_t grown = end > size ? end - size : 0;
  if (grown == 0) return false;
  return faults_.full || grown > faults_.capacity || used_ > faults_.capacity - grown;
}

void SimDisk::add_change(Node& node, uint64_t offset, ByteView data, bool truncate) {
  const Change change{offset, node.waiting.size(), data.size(), truncate};
  append(node.waiting, data);
  node.changes.push_back(change);
  used_ -= node.now.size();
  apply(node, node.now, change);
  used_ += node.now.size();
  node.sum_known = false;
  if (node.changes.size() > kChangesMax || node.waiting.size() > kChangeBytesMax) write_back_some(node);
}

void SimDisk::forget_changes(Node& node) {
  node.changes.clear();
  node.waiting.clear();
}

void SimDisk::write_back_some(Node& node) {
  const size_t half = (node.changes.size() + 1) / 2;
  for (size_t i = 0; i < half; ++i) apply(node, node.durable, node.changes[i]);
  node.changes.erase(node.changes.begin(), node.changes.begin() + static_cast<ptrdiff_t>(half));
  const size_t gone = node.changes.empty() ? node.waiting.size() : node.changes.front().at;
  node.waiting.erase(node.waiting.begin(), node.waiting.begin() + static_cast<ptrdiff_t>(gone));
  for (Change& change : node.changes) change.at -= gone;
}

// A failed write-back: the system forgets what it had to write, some of it done.
void SimDisk::forget_some(Node& node) {
  if (node.changes.empty()) return;
  for (const Change& change : node.changes) {
    if (random_.below(2) == 0) apply(node, node.durable, change);
  }
  forget_changes(node);
  node.apart = true;
}

Status SimDisk::sync_node(Node& node) {
  if (faults_.sync_lies || drawn(faults_.sync_lost_ppm)) return {};
  if (drawn(faults_.sync_failed_ppm)) {
    forget_some(node);
    return fail(Code::io, "simulated disk: sync failed");
  }
  for (const Change& change : node.changes) apply(node, node.durable, change);
  forget_changes(node);
  return {};
}

// ---- Looking inside -----------------------------------------------------------------------------------------------

void SimDisk::flip_bit(std::string_view path, uint64_t offset, unsigned bit) {
  const std::lock_guard hold(mutex_);
  const NodePtr node = find(path);
  SEREUS_ASSERT(node != nullptr && offset < node->now.size());
  const auto mask = static_cast<uint8_t>(1u << (bit % 8));
  node->now[static_cast<size_t>(offset)] ^= mask;
  if (offset < node->durable.size()) node->durable[static_cast<size_t>(offset)] ^= mask;
  if (!node->changes.empty()) node->apart = true;
  node->sum_known = false;
}

uint64_t SimDisk::rot(uint64_t bits) {
  const std::lock_guard hold(mutex_);
  uint64_t bytes = 0;
  for (const auto& [path, node] : durable_names_) bytes += node->durable.size();
  if (bytes == 0) return 0;
  for (uint64_t i = 0; i < bits; ++i) {
    uint64_t at = random_.below(bytes);
    const auto mask = static_cast<uint8_t>(1u << random_.below(8));
    for (const auto& [path, node] : durable_names_) {
      if (at >= node->durable.size()) {
        at -= node->durable.size();
        continue;
      }
      const auto offset = static_cast<size_t>(at);
      // In memory it lies as it lies on the disk, unless it was written since.
      const bool same = offset < node->now.size() && node->now[offset] == node->durable[offset];
      node->durable[offset] ^= mask;
      if (same) node->now[offset] ^= mask;
      if (!node->changes.empty()) node->apart = true;
      node->sum_known = false;
      break;
    }
  }
  return bits;
}

uint64_t SimDisk::take_us() {
  const std::lock_guard hold(mutex_);
  return std::exchange(busy_us_, 0);
}

Bytes SimDisk::contents(std::string_view path) const {
  const std::lock_guard hold(mutex_);
  const NodePtr node = find(path);
  return node == nullptr ? Bytes{} : node->now;
}

void SimDisk::set_contents(std::string_view path, ByteView bytes) {
  const std::lock_guard hold(mutex_);
  NodePtr node = find(path);
  if (node == nullptr) node = std::make_shared<Node>();
  used_ -= node->now.size();
  used_ += bytes.size();
  node->now = node->durable = to_bytes(bytes);
  forget_changes(*node);
  node->apart = false;
  node->sum_known = false;
  names_[std::string(path)] = node;
  durable_names_[std::string(path)] = node;
}

uint64_t SimDisk::unsynced_bytes() const {
  const std::lock_guard hold(mutex_);
  uint64_t bytes = 0;
  for (const auto& [path, node] : names_) bytes += node->waiting.size();
  return bytes;
}

uint64_t SimDisk::hash() const {
  const std::lock_guard hold(mutex_);
  uint64_t hash = 0xcbf29ce484222325;
  for (const auto& [path, node] : names_) {
    if (!std::exchange(node->sum_known, true)) node->sum = node->now.empty() ? 0 : mix(1, node->now);
    hash = mix(mix(hash, as_bytes(path)), node->sum);
  }
  return hash;
}

void SimDisk::for_each_file(const std::function<void(std::string_view path, ByteView bytes)>& visit) const {
  const std::lock_guard hold(mutex_);
  const auto visit_node = [&](const std::string& path, const Node& node) {
    visit(path, node.now);
    if (node.changes.empty() && !node.apart) return;
    visit(path, node.durable);
    for (const Change& change : node.changes) {
      if (!change.truncate) visit(path, node.data(change));
    }
  };
  for (const auto& [path, node] : names_) visit_node(path, *node);
  for (const auto& [path, node] : durable_names_) {
    const auto seen = names_.find(path);
    if (seen == names_.end() || seen->second != node) visit_node(path, *node);
  }
}

}  // namespace sereus::sim
