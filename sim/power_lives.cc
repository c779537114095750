#include "sim/power_lives.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "sim/power_subject.h"

namespace sereus::sim {
namespace {

constexpr uint64_t kThoroughEach = 16;  // reopenings: reading all of it costs more than all else
constexpr int kLastActions = 3;

bool is_of_disks(FaultKind kind) { return kind >= FaultKind::disk_full && kind <= FaultKind::bit_rot; }

Promise promise_of(const Plan& plan) {
  Promise promise;
  for (const Fault& fault : plan.faults) {
    if (fault.kind == FaultKind::bit_rot) promise.rots = true;
    if (fault.kind == FaultKind::bit_rot || fault.kind == FaultKind::disk_lies) promise.keeps = false;
  }
  return promise;
}

class Lives {
 public:
  Lives(const Plan& plan, Chronicle* chronicle)
      : plan_(plan),
        chronicle_(chronicle),
        promise_(promise_of(plan)),
        random_(plan.seed),
        disk_random_(random_.fork("disk")),
        disk_(disk_random_),
        vfs_(disk_, random_) {
    const SubjectPorts ports{disk_, vfs_, random_};
    const auto knob = plan.knobs.find("subject");
    switch (knob == plan.knobs.end() ? SubjectKind::store : static_cast<SubjectKind>(knob->second)) {
      case SubjectKind::keystore:
        subject_ = make_keystore_subject(ports, promise_);
        break;
      case SubjectKind::log:
        subject_ = make_log_subject(ports, promise_);
        break;
      case SubjectKind::database:
        subject_ = make_database_subject(ports, promise_);
        break;
      default:
        subject_ = make_store_subject(ports, promise_);
    }
  }

  Outcome run();

 private:
  // What happens at one time: a fault begins, one ends, an action.
  struct Step {
    uint64_t at_us = 0;
    const Fault* begins = nullptr;
    const Fault* ends = nullptr;
    const Action* action = nullptr;
  };
  std::vector<Step> steps() const;
  void begin(const Fault& fault);
  void set_faults();
  void cut_power(uint64_t after);
  void arm(uint64_t after) {
    disk_.crash_at(disk_.operations() + after);
    armed_ = true;
  }
  void power_is_gone();
  void reboot();
  bool open(bool after_power_cut);
  void check(bool thoroughly);
  void act(uint64_t draws);
  void end();
  void judge(const Status& status, const char* oracle);
  bool violated() const { return !outcome_.violation.empty(); }
  void violate(const std::string& oracle, const std::string& words);
  void note(uint64_t value) { outcome_.trace = (outcome_.trace ^ value) * 0x100000001b3u; }
  void tell(Chronicle::Kind kind, std::string text) {
    if (chronicle_ != nullptr) chronicle_->add({kind, now_us_, now_us_, 0, SIZE_MAX, 0, std::move(text)});
  }

  const Plan& plan_;
  Chronicle* chronicle_;
  Promise promise_;
  SimRandom random_;
  SimRandom disk_random_;
  SimDisk disk_;
  storage::Vfs vfs_;
  std::unique_ptr<Subject> subject_;
  Outcome outcome_;
  uint64_t now_us_ = 0;
  std::vector<const Fault*> active_;
  bool armed_ = false;               // the power will go at a numbered operation
  std::optional<uint64_t> pending_;  // and once more when it is back, in this many
  uint64_t cuts_ = 0;
  uint64_t reopened_ = 0;
  uint64_t errors_ = 0;
  uint64_t given_up_ = 0;
};

std::vector<Lives::Step> Lives::steps() const {
  std::vector<Step> steps;
  steps.reserve(plan_.faults.size() * 2 + plan_.actions.size());
  for (const Fault& fault : plan_.faults) {
    if (fault.machine != 0 || (fault.kind != FaultKind::power_cut && !is_of_disks(fault.kind))) continue;
    steps.push_back({fault.at_us, &fault, nullptr, nullptr});
    if (fault.for_us != 0) steps.push_back({fault.at_us + fault.for_us, nullptr, &fault, nullptr});
  }
  for (const Action& action : plan_.actions) steps.push_back({action.at_us, nullptr, nullptr, &action});
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.at_us < b.at_us; });
  return steps;
}

// ---- Faults -----------------------------------------------------------------------------------------------------------

void Lives::begin(const Fault& fault) {
  tell(Chronicle::Kind::fault, std::string(name_of(fault.kind)));
  if (fault.kind == FaultKind::power_cut) return cut_power(static_cast<uint64_t>(std::max<int64_t>(fault.amount, 0)));
  if (fault.kind == FaultKind::bit_rot) {
    disk_.rot(static_cast<uint64_t>(std::max<int64_t>(fault.amount, 0)));
    return;
  }
  active_.push_back(&fault);
  set_faults();
}

void Lives::set_faults() {
  DiskFaults faults;
  for (const Fault* fault : active_) {
    const auto amount = static_cast<uint64_t>(std::max<int64_t>(fault->amount, 0));
    const auto ppm = static_cast<uint32_t>(std::min<uint64_t>(amount, 1'000'000));
    if (fault->kind == FaultKind::disk_full) faults.full = true;
    if (fault->kind == FaultKind::disk_errors) faults.read_failed_ppm = faults.sync_failed_ppm = ppm;
    if (fault->kind == FaultKind::disk_slow) faults.sync_us = amount;
    if (fault->kind == FaultKind::disk_lies) faults.sync_lost_ppm = ppm;
  }
  disk_.set_faults(faults);
}

// One that comes while another is still to come brings that one about, and happens itself while the machine comes up.
void Lives::cut_power(uint64_t after) {
  if (armed_) {
    pending_ = after;
    disk_.crash();
  } else if (after == 0) {
    disk_.crash();
  } else {
    return arm(after);
  }
  power_is_gone();
  reboot();
}

void Lives::power_is_gone() {
  ++cuts_;
  armed_ = false;
  note(disk_.operations());
  tell(Chronicle::Kind::down, "power cut at disk operation " + std::to_string(disk_.operations()));
}

// ---- Lives ------------------------------------------------------------------------------------------------------------

void Lives::reboot() {
  while (!violated()) {
    subject_->shut();
    disk_.power_on();
    if (pending_) {
      const uint64_t after = *pending_;
      pending_.reset();
      if (after != 0) arm(after);
    }
    if (open(true) && disk_.powered()) check(reopened_ % kThoroughEach == 0);
    if (disk_.powered()) return;
    power_is_gone();
  }
}

bool Lives::open(bool after_power_cut) {
  const Status opened = subject_->open(after_power_cut);
  note(static_cast<uint64_t>(static_cast<int64_t>(opened.code())));
  if (!disk_.powered()) return false;
  if (opened.ok()) {
    ++reopened_;
    tell(Chronicle::Kind::up, {});
    return true;
  }
  judge(opened, "opens again");
  if (violated() || promise_.keeps || !active_.empty()) return false;
  // Damaged: the application gives it up.
  subject_->shut();
  ++given_up_;
  const bool armed = std::exchange(armed_, false);
  disk_.crash_at(0);
  judge(subject_->start_over(), "goes on after damage");
  const Status anew = subject_->open(after_power_cut);
  if (!anew.ok()) violate("goes on after damage", anew.error().detail);
  if (armed) arm(1);
  return anew.ok();
}

void Lives::check(bool thoroughly) {
  const Status checked = subject_->check(thoroughly);
  if (!subject_->violation().empty()) return violate(subject_->oracle(), subject_->violation());
  if (!checked.ok() && disk_.powered()) judge(checked, "reads again");
}

void Lives::act(uint64_t draws) {
  SimRandom random(draws);
  if (!subject_->is_open() && !open(false)) {
    if (violated() || disk_.powered()) return;
  } else {
    const Status acted = subject_->act(random);
    note(static_cast<uint64_t>(static_cast<int64_t>(acted.code())) * 31 + subject_->acknowledged());
    if (!subject_->violation().empty()) return violate(subject_->oracle(), subject_->violation());
    if (disk_.powered()) {
      if (!acted.ok()) judge(acted, "writing goes on");
      return;
    }
  }
  power_is_gone();
  reboot();
}

// An error is the disk's, says so, and comes only while the disk is not good.
void Lives::judge(const Status& status, const char* oracle) {
  if (status.ok() || !disk_.powered()) return;
  ++errors_;
  const Error& error = status.error();
  const std::string words = std::string(code_name(error.code)) + ": " + error.detail;
  tell(Chronicle::Kind::event, words);
  if (error.detail.empty()) return violate("errors have words", words);
  if (promise_.keeps && active_.empty()) return violate(oracle, words);
  switch (error.code) {
    case Code::io:
    case Code::no_space:
      return;
    case Code::corrupt:
    case Code::malformed:
    case Code::not_found:
    case Code::too_new:
    case Code::passphrase:
    case Code::unsupported:
    case Code::wrong_store:
    case Code::no_identity:
      if (!promise_.keeps) return;
      break;
    default:
      break;
  }
  violate("errors are the disk's", words);
}

void Lives::violate(const std::string& oracle, const std::string& words) {
  if (violated()) return;
  outcome_.oracle = oracle;
  outcome_.violation = words + " (after " + std::to_string(cuts_) + " power cuts)";
  outcome_.violated_at_us = now_us_;
  tell(Chronicle::Kind::violation, outcome_.violation);
}

// The disk is good again; the power goes once more, and all of it is looked at.
void Lives::end() {
  active_.clear();
  set_faults();
  pending_.reset();
  disk_.crash();
  power_is_gone();
  reboot();
  for (int i = 0; i < kLastActions && !violated(); ++i) act(plan_.seed + static_cast<uint64_t>(i));
  if (!violated() && subject_->is_open()) check(true);
}

Outcome Lives::run() {
  outcome_.trace = 0xcbf29ce484222325u;
  for (const Step& step : steps()) {
    if (violated()) break;
    now_us_ = step.at_us;
    if (step.begins != nullptr) begin(*step.begins);
    if (step.ends != nullptr) {
      active_.erase(std::remove(active_.begin(), active_.end(), step.ends), active_.end());
      set_faults();
    }
    if (step.action != nullptr) act(step.action->draws);
  }
  if (!violated()) end();
  subject_->shut();
  note(disk_.hash());
  outcome_.virtual_us = now_us_;
  outcome_.counts["power cuts"] = cuts_;
  outcome_.counts["reopened"] = reopened_;
  outcome_.counts["writes acknowledged"] = subject_->acknowledged();
  if (errors_ != 0) outcome_.counts["disk errors told"] = errors_;
  if (given_up_ != 0) outcome_.counts["given up as damaged"] = given_up_;
  return outcome_;
}

}  // namespace

int64_t draw_cut(SimRandom& random, SubjectKind kind) {
  static constexpr uint64_t kUsual[kSubjectKinds] = {30, 9, 5, 16};  // what two operations take, about
  const uint64_t usual = kUsual[static_cast<size_t>(kind) % kSubjectKinds];
  const uint64_t style = random.below(10);
  if (style == 0) return 0;
  if (style == 1) return static_cast<int64_t>(random.between(1, 5));
  if (style == 2) return static_cast<int64_t>(random.between(1, 4 * usual));
  return static_cast<int64_t>(random.between(1, usual));
}

Outcome run_lives(const Plan& plan, Chronicle* chronicle) { return Lives(plan, chronicle).run(); }

}  // namespace sereus::sim
