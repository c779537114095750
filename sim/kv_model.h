// What may be in a shared store, given what was asked and what was answered. Two kinds of keys: those that only one machine
// ever writes, whose last acknowledged write must be there, and contested ones.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sereus::sim {

class KvModel {
 public:
  enum class Answer : uint8_t {
    none,          // no DONE came, or one that leaves it open: it may be there or not
    acknowledged,  // it is there and stays
    refused,       // it is nowhere and never will be
  };

  // In the order of submission. Values must be unique; nothing: a removal. Keys of one transaction share a `group`.
  size_t attempt(const std::string& key, std::optional<std::string> value, uint64_t group);
  void answered(size_t attempt, Answer answer);

  const std::set<std::string>& own_keys() const { return own_; }
  void set_own(const std::string& key) { version_ += own_.insert(key).second ? 1 : 0; }

  // What is wrong with this value (nothing: absent) of a key of one machine's own at the end; empty when it may be.
  std::string complain_of_own(const std::string& key, const std::optional<std::string>& value) const;
  // The same of a value of any key at any time: it must have been written to this key, and not refused.
  std::string complain_of_any(const std::string& key, const std::string& value) const;
  // The number of the attempt that wrote this value to this key.
  std::optional<size_t> find(const std::string& key, const std::optional<std::string>& value) const;
  // The attempts of a key in order, and the keys of each group that has more than one.
  const std::vector<size_t>& attempts_of(const std::string& key) const;
  const std::map<uint64_t, std::vector<size_t>>& groups() const { return groups_; }

  struct Attempt {
    std::string key;
    std::optional<std::string> value;
    Answer answer = Answer::none;
    uint64_t group = 0;
  };
  const Attempt& at(size_t attempt) const { return attempts_[attempt]; }
  size_t size() const { return attempts_.size(); }
  size_t acknowledged() const { return acknowledged_; }
  // Another number after each change.
  uint64_t version() const { return version_; }

 private:
  std::vector<Attempt> attempts_;
  std::map<std::string, std::vector<size_t>> by_key_;
  std::map<uint64_t, std::vector<size_t>> groups_;
  std::set<std::string> own_;
  size_t acknowledged_ = 0;
  uint64_t version_ = 0;
};

// What a watch over a whole store told one machine's application, over restarts.
class WatchModel {
 public:
  // Where to resume: {UINT64_MAX, 0} is from the start.
  uint64_t epoch() const { return sequence_ == 0 ? UINT64_MAX : epoch_; }
  uint64_t sequence() const { return sequence_; }
  // What is wrong with this change coming now; empty when nothing is.
  std::string take(const KvModel& model, uint64_t epoch, uint64_t sequence, const std::string& key,
                   const std::optional<std::string>& value);
  // Events that say that their write is the winner keep a copy of the store up to date: nothing for what was removed.
  void mirror(const std::string& key, const std::optional<std::string>& value) { mirror_[key] = value; }
  std::optional<std::string> mirrored(const std::string& key) const {
    const auto found = mirror_.find(key);
    return found == mirror_.end() ? std::nullopt : found->second;
  }
  // Acknowledged writes of keys of somebody's own that were not told. Asked again and again, it looks when something changed.
  const std::string& complain_of_missing(const KvModel& model) const;

 private:
  std::string look_for_missing(const KvModel& model) const;

  // What complain_of_missing() found, and for which model.
  mutable std::string missing_;
  mutable const KvModel* missing_of_ = nullptr;
  mutable uint64_t missing_version_ = 0;
  uint64_t epoch_ = 0;
  uint64_t sequence_ = 0;
  std::map<std::string, size_t> last_;  // of own keys: the attempt that was told last
  std::set<size_t> told_;
  std::map<std::string, std::optional<std::string>> mirror_;
  std::map<std::string, size_t> removals_;  // of own keys; they look alike, so they are counted
};

}  // namespace sereus::sim
