// The names of a simulated disk's files and folders, and what the power leaves of them.

#include <algorithm>
#include <utility>

#include "sim/sim_disk.h"

namespace sereus::sim {
namespace {

Error missing(std::string_view path) {
  return fail(Code::not_found, "simulated disk: no such file: " + std::string(path));
}

std::string parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

bool is_below(std::string_view path, std::string_view folder) {
  return folder.empty() || (path.size() > folder.size() && path[folder.size()] == '/' && path.starts_with(folder));
}

}  // namespace

// A first part of each folder's waiting changes stays.
void SimDisk::crash_names() {
  if (name_changes_.empty()) return;
  std::map<std::string, size_t> waiting;
  for (const NameChange& change : name_changes_) ++waiting[parent_of(change.path)];
  std::map<std::string, size_t> kept;
  for (const auto& [folder, count] : waiting) {
    const uint64_t style = random_.below(3);
    kept[folder] = style == 0 ? 0 : style == 1 ? count : static_cast<size_t>(random_.below(count + 1));
  }
  for (const NameChange& change : name_changes_) {
    size_t& left = kept[parent_of(change.path)];
    if (left == 0) continue;
    --left;
    // What lies in a folder that did not survive does not either.
    if (durable_names_.find(parent_of(change.path)) != durable_names_.end()) apply(durable_names_, change);
  }
  name_changes_.clear();
  names_ = durable_names_;
}

void SimDisk::apply(Names& names, const NameChange& change) {
  if (!change.from.empty()) {
    // A folder takes what is in it along.
    std::vector<std::pair<std::string, NodePtr>> moved;
    for (auto it = names.lower_bound(change.from); it != names.end() && it->first.starts_with(change.from);) {
      if (!is_below(it->first, change.from)) {
        ++it;
        continue;
      }
      moved.emplace_back(change.path + it->first.substr(change.from.size()), it->second);
      it = names.erase(it);
    }
    names.erase(change.from);
    for (auto& [path, node] : moved) names[path] = node;
  }
  if (change.node != nullptr) {
    names[change.path] = change.node;
  } else {
    names.erase(change.path);
  }
}

// ---- Names --------------------------------------------------------------------------------------------------------

SimDisk::NodePtr SimDisk::find(std::string_view path) const {
  const auto it = names_.find(path);
  return it == names_.end() ? nullptr : it->second;
}

Status SimDisk::check_new_name(std::string_view path) const {
  if (path.empty() || path.front() == '/' || path.find("..") != std::string_view::npos) {
    return fail(Code::invalid, "simulated disk: not a path inside the data folder: " + std::string(path));
  }
  const NodePtr folder = find(parent_of(path));
  if (folder == nullptr || !folder->folder) return missing(parent_of(path));
  return {};
}

void SimDisk::change_name(std::string path, NodePtr node, std::string from) {
  const NodePtr replaced = find(path);
  if (replaced != nullptr && replaced != node) used_ -= replaced->now.size();
  NameChange change{std::move(path), std::move(node), std::move(from)};
  apply(names_, change);
  name_changes_.push_back(std::move(change));
}

bool SimDisk::exists(std::string_view path) {
  const std::lock_guard hold(mutex_);
  return powered_ && find(path) != nullptr;
}

Status SimDisk::remove(std::string_view path) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  const NodePtr node = find(path);
  if (node == nullptr) return {};
  if (node->folder) return fail(Code::invalid, "simulated disk: a folder: " + std::string(path));
  bool crash_in_it = false;
  SEREUS_TRY(begin_operation(&crash_in_it));
  change_name(std::string(path), nullptr);
  return finish(crash_in_it);
}

Status SimDisk::remove_tree(std::string_view path) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  if (path.empty()) return fail(Code::invalid, "simulated disk: the data folder itself is not removed");
  std::vector<std::string> doomed;
  for (auto it = names_.lower_bound(path); it != names_.end() && it->first.starts_with(path); ++it) {
    if (it->first == path || is_below(it->first, path)) doomed.push_back(it->first);
  }
  for (auto it = doomed.rbegin(); it != doomed.rend(); ++it) {  // what is inside first
    bool crash_in_it = false;
    SEREUS_TRY(begin_operation(&crash_in_it));
    change_name(*it, nullptr);
    SEREUS_TRY(finish(crash_in_it));
  }
  return {};
}

Status SimDisk::rename(std::string_view from, std::string_view to) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  const NodePtr node = find(from);
  if (node == nullptr || from.empty()) return missing(from);
  SEREUS_TRY(check_new_name(to));
  const NodePtr replaced = find(to);
  if (replaced == node) return {};
  if (is_below(to, from)) return fail(Code::invalid, "simulated disk: a folder cannot move into itself");
  if (replaced != nullptr && (replaced->folder || node->folder)) return fail(Code::exists, "simulated disk: exists");
  bool crash_in_it = false;
  SEREUS_TRY(begin_operation(&crash_in_it));
  change_name(std::string(to), node, std::string(from));
  return finish(crash_in_it);
}

Status SimDisk::make_folder(std::string_view path) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part(path.substr(0, end));
    const NodePtr node = find(part);
    if (node != nullptr && !node->folder) return fail(Code::exists, "simulated disk: a file has that name: " + part);
    if (node == nullptr) {
      SEREUS_TRY(check_new_name(part));
      bool crash_in_it = false;
      SEREUS_TRY(begin_operation(&crash_in_it));
      auto folder = std::make_shared<Node>();
      folder->folder = true;
      folder->print = random_.next_u64() | 1;
      change_name(part, std::move(folder));
      SEREUS_TRY(finish(crash_in_it));
    }
    if (end == std::string_view::npos) return {};
  }
}

Status SimDisk::sync_folder(std::string_view path) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  const NodePtr folder = find(path);
  if (folder == nullptr || !folder->folder) return missing(path);
  bool crash_in_it = false;
  SEREUS_TRY(begin_operation(&crash_in_it));
  SEREUS_TRY(finish(crash_in_it));
  busy_us_ += faults_.sync_us;
  if (faults_.sync_lies || drawn(faults_.sync_lost_ppm)) return {};
  if (drawn(faults_.sync_failed_ppm)) return fail(Code::io, "simulated disk: sync failed");
  // A rename between folders rests on what came before it in the other one: then all up to it becomes durable.
  size_t all_up_to = 0;
  for (size_t i = 0; i < name_changes_.size(); ++i) {
    const NameChange& change = name_changes_[i];
    if (change.from.empty() || parent_of(change.from) == parent_of(change.path)) continue;
    if (parent_of(change.path) == path || parent_of(change.from) == path) all_up_to = i + 1;
  }
  std::vector<NameChange> left;
  for (size_t i = 0; i < name_changes_.size(); ++i) {
    NameChange& change = name_changes_[i];
    if (i < all_up_to || parent_of(change.path) == path) {
      apply(durable_names_, change);
    } else {
      left.push_back(std::move(change));
    }
  }
  name_changes_ = std::move(left);
  return {};
}

Result<std::vector<std::string>> SimDisk::list(std::string_view path) {
  const std::lock_guard hold(mutex_);
  SEREUS_TRY(check_power());
  const NodePtr folder = find(path);
  if (folder == nullptr || !folder->folder) return missing(path);
  std::vector<std::string> names;
  for (const auto& [name, node] : names_) {
    if (!name.empty() && parent_of(name) == path) names.push_back(name.substr(path.empty() ? 0 : path.size() + 1));
  }
  std::sort(names.begin(), names.end());
  return names;
}

uint64_t SimDisk::fingerprint(std::string_view path) {
  const std::lock_guard hold(mutex_);
  const NodePtr node = find(path);
  return node == nullptr ? 0 : node->print;
}

}  // namespace sereus::sim
