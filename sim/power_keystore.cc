// A keystore under power cuts: made, changed, given another passphrase, backed up, erased and restored.

#include <map>
#include <optional>
#include <vector>

#include "core/crypto/keystore.h"
#include "sim/power_subject.h"

namespace sereus::sim {
namespace {

using namespace crypto;

constexpr uint64_t kNow = 1'800'000'000;

KeystoreOptions weak_options() {
  KeystoreOptions options;
  options.kdf = Argon2Params::weak_for_tests();
  options.floor = Argon2Floor::tests;
  return options;
}

// What somebody who opens it finds. What is drawn inside of the keystore is nothing until it was seen.
struct State {
  std::string passphrase;
  std::optional<PartyKey> party;
  std::optional<Incarnation> incarnation;
  std::optional<Incarnation> not_incarnation;  // a new one was asked for
  uint64_t fingerprint = 0;
  std::map<std::string, std::string> secrets;
};

State state_of(const Keystore& keystore, std::string passphrase) {
  State state;
  state.passphrase = std::move(passphrase);
  state.party = keystore.party_key();
  state.incarnation = keystore.incarnation();
  state.fingerprint = keystore.folder_fingerprint();
  for (const std::string& name : keystore.extra_names()) state.secrets[name] = to_string(*keystore.extra(name));
  return state;
}

// In words, how what was found differs from what was expected; nothing when it does not.
std::string difference(const State& expected, const State& found) {
  if (expected.party && *expected.party != *found.party) return "it is another identity";
  if (expected.incarnation && *expected.incarnation != *found.incarnation) return "its incarnation is another one";
  if (expected.not_incarnation && *expected.not_incarnation == *found.incarnation)
    return "its incarnation is the old one";
  if (expected.fingerprint != found.fingerprint) return "it is bound to another folder";
  for (const auto& [name, value] : expected.secrets) {
    const auto there = found.secrets.find(name);
    if (there == found.secrets.end()) return "the secret " + name + " is gone";
    if (there->second != value) return "the secret " + name + " has another value";
  }
  if (found.secrets.size() != expected.secrets.size()) return "it holds a secret that was removed";
  return {};
}

class KeystoreSubject : public Subject {
 public:
  using Subject::Subject;

  Status open(bool after_power_cut) override;
  void shut() override {
    keystore_.reset();
    open_ = false;
  }
  // Also when there is no keystore.
  bool is_open() const override { return open_; }
  Status act(SimRandom& draws) override;
  Status check(bool thoroughly) override;
  Status start_over() override;

 private:
  // One of the things that may be there: a keystore, or none.
  using Maybe = std::optional<State>;
  Status settle_on_none(bool after_power_cut);
  void refuses(const std::string& passphrase);
  Status settle_on(Keystore keystore, const std::string& passphrase);
  bool fits(const Maybe& candidate, const State& found, std::string* why) const;
  Status create(SimRandom& draws);
  Status restore(SimRandom& draws);
  Status erase();
  Status change(SimRandom& draws);
  Status change_passphrase(SimRandom& draws);
  void begun(State next);
  Status ended(const Status& status);
  void check_nothing_left();
  static std::string drawn_passphrase(SimRandom& draws) {
    return draws.below(3) == 0 ? "" : "passphrase " + std::to_string(draws.below(1000));
  }

  KeystoreOptions options_ = weak_options();
  std::optional<Keystore> keystore_;
  bool open_ = false;
  Maybe now_;                     // acknowledged, or left by a power cut
  std::vector<Maybe> under_way_;  // what operations make of it that are not acknowledged
  State seen_;                    // of those, what keystore_ holds
  bool failed_ = false;           // the last operation: keystore_ may not be what is on the disk
  bool erasing_ = false;          // one of them overwrites the file: half of it may be there
  bool erased_ = false;           // acknowledged, and nothing was made since
  Bytes backup_;                  // and what it holds
  State in_backup_;
  std::vector<State> ever_;  // for disks that lose what was acknowledged: all states there were
};

bool KeystoreSubject::fits(const Maybe& candidate, const State& found, std::string* why) const {
  if (!candidate) {
    *why = "there was none";
    return false;
  }
  *why = difference(*candidate, found);
  return why->empty();
}

Status KeystoreSubject::open(bool after_power_cut) {
  std::vector<std::string> passphrases;
  if (now_) passphrases.push_back(now_->passphrase);
  for (const Maybe& next : under_way_) {
    if (next) passphrases.push_back(next->passphrase);
  }
  for (const State& state : ever_) passphrases.push_back(state.passphrase);
  passphrases.emplace_back();
  Error failed;
  for (const std::string& passphrase : passphrases) {
    auto opened = Keystore::open(ports_.disk, as_bytes(passphrase), options_);
    if (opened.ok()) {
      if (!passphrase.empty()) refuses(passphrase + "?");
      return settle_on(std::move(opened).value(), passphrase);
    }
    if (opened.code() == Code::no_identity) return settle_on_none(after_power_cut);
    failed = opened.error();
    if (failed.code != Code::passphrase) break;
  }
  if (erasing_ && (failed.code == Code::corrupt || failed.code == Code::malformed)) {
    // Somebody wanted it gone, and half of it is. Erasing is what is left to do.
    failed_ = open_ = true;
    return {};
  }
  if (failed.code == Code::passphrase && promise_.keeps) {
    violate("opens with the old or the new passphrase", "it opens with none of " + std::to_string(passphrases.size()));
  }
  return failed;
}

void KeystoreSubject::refuses(const std::string& passphrase) {
  const auto opened = Keystore::open(ports_.disk, as_bytes(passphrase), options_);
  // One that is not protected, as after a change to no passphrase that was under way, takes any.
  if (opened.ok() && opened->has_passphrase()) violate("a wrong passphrase opens nothing", "it opened");
}

Status KeystoreSubject::settle_on_none(bool after_power_cut) {
  bool expected = !now_;
  for (const Maybe& next : under_way_) expected = expected || !next;
  if (promise_.keeps && !expected) {
    violate("acknowledged data survives", "the keystore is gone, and nobody erased it");
  }
  failed_ = false;
  open_ = true;
  if (!after_power_cut) return {};
  now_.reset();
  under_way_.clear();
  erasing_ = false;
  return {};
}

Status KeystoreSubject::settle_on(Keystore keystore, const std::string& passphrase) {
  seen_ = state_of(keystore, passphrase);
  std::string why;
  bool expected = fits(now_, seen_, &why);
  for (const Maybe& next : under_way_) {
    std::string why_not;
    expected = expected || fits(next, seen_, &why_not);
    why += "; " + why_not;
  }
  if (promise_.keeps && !expected) {
    const bool back = !now_ && under_way_.empty();
    violate(back ? "what is erased stays erased" : "acknowledged data survives", back ? "a keystore is there" : why);
  }
  if (!promise_.keeps && !expected) {
    for (const State& state : ever_) expected = expected || difference(state, seen_).empty();
    if (!expected) violate("what nobody wrote", why);
  }
  if (!promise_.keeps) ever_.push_back(seen_);
  keystore_ = std::move(keystore);
  failed_ = false;
  open_ = true;
  now_ = seen_;  // what opening finds is durable
  under_way_.clear();
  erasing_ = false;
  return {};
}

void KeystoreSubject::begun(State next) {
  if (!promise_.keeps) ever_.push_back(next);
  under_way_.emplace_back(std::move(next));
  failed_ = true;  // until it ended
  erased_ = false;
}

Status KeystoreSubject::ended(const Status& status) {
  if (!status.ok()) return status;
  ++acknowledged_;
  erasing_ = failed_ = false;
  const State next = *under_way_.back();
  seen_ = state_of(*keystore_, next.passphrase);
  const std::string why = difference(next, seen_);
  if (!why.empty()) violate("does what it says", why);
  if (!promise_.keeps) ever_.push_back(seen_);
  now_ = seen_;
  under_way_.clear();
  return {};
}

Status KeystoreSubject::act(SimRandom& draws) {
  // After a failure nobody knows which of two it is, until it was opened again.
  if (failed_) {
    keystore_.reset();
    if (erasing_) return erase();
    SEREUS_TRY(open(false));
  }
  if (!keystore_) return backup_.empty() || draws.below(2) == 0 ? create(draws) : restore(draws);
  switch (draws.below(16)) {
    case 0:
      return erase();
    case 1: {
      SEREUS_ASSIGN(backup_, keystore_->export_backup(ports_.random, as_bytes("backup")));
      in_backup_ = seen_;
      return {};
    }
    case 2:
    case 3:
      return change_passphrase(draws);
    case 4:
      shut();
      return open(false);
    default:
      return change(draws);
  }
}

Status KeystoreSubject::create(SimRandom& draws) {
  State next;
  next.passphrase = drawn_passphrase(draws);
  begun(next);
  auto made = Keystore::create(ports_.disk, ports_.random, as_bytes(next.passphrase), kNow, options_);
  if (!made.ok()) return made.error();
  keystore_ = std::move(made).value();
  return ended({});
}

Status KeystoreSubject::restore(SimRandom& draws) {
  State next;
  next.passphrase = drawn_passphrase(draws);
  next.party = in_backup_.party;
  next.not_incarnation = in_backup_.incarnation;
  next.secrets = in_backup_.secrets;
  begun(next);
  auto made = Keystore::import_backup(ports_.disk, ports_.random, backup_, as_bytes("backup"),
                                      as_bytes(next.passphrase), nullptr, options_);
  if (!made.ok()) return made.error();
  keystore_ = std::move(made).value();
  return ended({});
}

Status KeystoreSubject::erase() {
  under_way_.emplace_back();
  erasing_ = failed_ = true;
  keystore_.reset();
  SEREUS_TRY(Keystore::erase(ports_.disk, options_));
  ++acknowledged_;
  now_.reset();
  under_way_.clear();
  erasing_ = failed_ = false;
  erased_ = true;
  return {};
}

Status KeystoreSubject::change_passphrase(SimRandom& draws) {
  State next = seen_;
  next.passphrase = drawn_passphrase(draws);
  begun(next);
  return ended(keystore_->change_passphrase(ports_.random, as_bytes(seen_.passphrase), as_bytes(next.passphrase)));
}

Status KeystoreSubject::change(SimRandom& draws) {
  State next = seen_;
  const std::string name = "secret " + std::to_string(draws.below(6));
  switch (draws.below(6)) {
    case 0:
      next.secrets.erase(name);
      begun(next);
      return ended(keystore_->remove_extra(ports_.random, name));
    case 1:
      next.not_incarnation = next.incarnation;
      next.incarnation.reset();
      next.fingerprint = draws.next_u64();
      begun(next);
      return ended(keystore_->new_incarnation(ports_.random, next.fingerprint));
    case 2:
      next.fingerprint = draws.next_u64();
      begun(next);
      return ended(keystore_->bind_folder(ports_.random, next.fingerprint));
    default: {
      std::string value(1 + draws.below(draws.below(4) == 0 ? 2000 : 40), 's');
      value += std::to_string(draws.below(1'000'000));
      next.secrets[name] = value;
      begun(next);
      return ended(keystore_->set_extra(ports_.random, name, as_bytes(value)));
    }
  }
}

// All was compared when it was opened.
Status KeystoreSubject::check(bool thoroughly) {
  if (erased_) check_nothing_left();
  if (!thoroughly || !keystore_) return {};
  SEREUS_ASSIGN(const Bytes backup, keystore_->export_backup(ports_.random, as_bytes("another")));
  return backup.empty() ? Status(fail(Code::internal, "an empty backup")) : Status();
}

// An erased keystore was overwritten before it was removed.
void KeystoreSubject::check_nothing_left() {
  if (!promise_.keeps) return;
  ports_.disk.for_each_file([this](std::string_view path, ByteView bytes) {
    for (const uint8_t byte : bytes) {
      if (byte != 0) return violate("what is erased stays erased", std::string(path) + " still holds bytes of it");
    }
  });
}

Status KeystoreSubject::start_over() {
  SEREUS_TRY(Keystore::erase(ports_.disk, options_));
  now_.reset();
  under_way_.clear();
  erasing_ = failed_ = false;
  return {};
}

}  // namespace

std::unique_ptr<Subject> make_keystore_subject(const SubjectPorts& ports, const Promise& promise) {
  return std::make_unique<KeystoreSubject>(ports, promise);
}

}  // namespace sereus::sim
