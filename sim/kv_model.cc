#include "sim/kv_model.h"

#include <algorithm>

namespace sereus::sim {
namespace {

constexpr size_t kShown = 60;

std::string shown(const std::optional<std::string>& value) {
  if (!value) return "nothing";
  return "\"" + value->substr(0, kShown) + (value->size() > kShown ? "...\"" : "\"");
}

// Those that are certain, or those that may be there.
size_t removals_of(const KvModel& model, const std::string& key, bool certain) {
  size_t count = 0;
  for (const size_t number : model.attempts_of(key)) {
    const KvModel::Attempt& one = model.at(number);
    if (one.value || one.answer == KvModel::Answer::refused) continue;
    count += !certain || one.answer == KvModel::Answer::acknowledged ? 1 : 0;
  }
  return count;
}

}  // namespace

size_t KvModel::attempt(const std::string& key, std::optional<std::string> value, uint64_t group) {
  ++version_;
  const size_t number = attempts_.size();
  attempts_.push_back({key, std::move(value), Answer::none, group});
  by_key_[key].push_back(number);
  groups_[group].push_back(number);
  return number;
}

void KvModel::answered(size_t attempt, Answer answer) {
  ++version_;
  attempts_[attempt].answer = answer;
  if (answer == Answer::acknowledged) ++acknowledged_;
}

const std::vector<size_t>& KvModel::attempts_of(const std::string& key) const {
  static const std::vector<size_t> kNone;
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? kNone : found->second;
}

std::optional<size_t> KvModel::find(const std::string& key, const std::optional<std::string>& value) const {
  for (const size_t number : attempts_of(key)) {
    if (attempts_[number].value == value) return number;
  }
  return std::nullopt;
}

std::string KvModel::complain_of_own(const std::string& key, const std::optional<std::string>& value) const {
  bool fits = !value;  // before the first write that is certain
  std::optional<std::string> certain;
  for (const size_t number : attempts_of(key)) {
    const Attempt& attempt = attempts_[number];
    if (attempt.answer == Answer::refused) continue;
    if (attempt.answer == Answer::acknowledged) {
      fits = false;
      certain = attempt.value;
    }
    fits = fits || attempt.value == value;
  }
  if (fits) return {};
  return key + " is " + shown(value) + ", and " + shown(certain) + " was acknowledged last";
}

std::string KvModel::complain_of_any(const std::string& key, const std::string& value) const {
  const auto number = find(key, value);
  if (!number) return key + " is " + shown(value) + ", which nobody wrote";
  if (attempts_[*number].answer == Answer::refused) return key + " is " + shown(value) + ", which was refused";
  return {};
}

std::string WatchModel::take(const KvModel& model, uint64_t epoch, uint64_t sequence, const std::string& key,
                             const std::optional<std::string>& value) {
  if (sequence_ != 0 && epoch != epoch_) return "the epoch changed though nothing was lost";
  if (sequence <= sequence_) return "a change came twice or out of order: " + key;
  missing_of_ = nullptr;
  epoch_ = epoch;
  sequence_ = sequence;
  if (value) {
    if (std::string wrong = model.complain_of_any(key, *value); !wrong.empty()) return wrong;
  }
  if (!model.own_keys().contains(key)) return {};
  if (!value) {
    const size_t asked = removals_of(model, key, false);
    return ++removals_[key] > asked ? "a removal of " + key + " came twice" : std::string();
  }
  const auto last = last_.find(key);
  for (const size_t number : model.attempts_of(key)) {
    if (last != last_.end() && number <= last->second) continue;
    if (model.at(number).value != value) continue;
    last_[key] = number;
    told_.insert(number);
    return {};
  }
  return "a change of " + key + " came twice or out of order: " + shown(value);
}

const std::string& WatchModel::complain_of_missing(const KvModel& model) const {
  if (missing_of_ == &model && missing_version_ == model.version()) return missing_;
  missing_ = look_for_missing(model);
  missing_of_ = &model;
  missing_version_ = model.version();
  return missing_;
}

std::string WatchModel::look_for_missing(const KvModel& model) const {
  for (const std::string& key : model.own_keys()) {
    const auto removals = removals_.find(key);
    if (removals_of(model, key, true) > (removals == removals_.end() ? 0 : removals->second)) {
      return "the watch missed a removal of " + key;
    }
    for (const size_t number : model.attempts_of(key)) {
      const bool certain = model.at(number).answer == KvModel::Answer::acknowledged;
      if (certain && model.at(number).value && !told_.contains(number))
        return "the watch missed a change of " + key + ": " + shown(model.at(number).value);
    }
  }
  return {};
}

}  // namespace sereus::sim
