#include "sim/workload_store.h"

#include <algorithm>

#include "sim/fault_mix.h"
#include "sim/kv_model.h"
#include "sim/node_run.h"
#include "sim/shared_store.h"

namespace sereus::sim {
namespace {

using node::Request;
using node::RequestKind;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr const char* kStoreName = "shared";
constexpr int64_t kAheadMs = 5 * 60 * 1'000 + 2'000;

enum ActionKind : uint32_t { kWrite, kRead, kSync, kRewatch, kVerify, kBurst, kRefused };

class StoreRun : public NodeWorkload {
 public:
  bool set_up(NodeRun& run) override;
  void act(NodeRun& run, const Action& action) override;
  void on_up(NodeRun& run, size_t i) override;
  void on_down(NodeRun& run, size_t i) override;
  void on_event(NodeRun& run, size_t i, const node::Event& event) override;
  void tend(NodeRun& run, size_t i) override;
  bool settled(NodeRun& run) override;
  std::string states(NodeRun& run) override;
  void check(NodeRun& run) override;

 private:
  // What an application remembers; the watch in a notebook that outlives processes.
  struct Application {
    uint64_t store = 0;  // handle in the present process
    uint64_t watch = 0;  // operation in the present process
    std::string peer;    // its own peer id
    WatchModel watched;
  };

  bool join(NodeRun& run, size_t i);
  bool find_store(NodeRun& run, size_t i);
  void watch(NodeRun& run, size_t i);
  void write(NodeRun& run, size_t i, SimRandom& draws);
  store::WriteOp draw_op(NodeRun& run, size_t i, SimRandom& draws, std::vector<size_t>& attempts, uint64_t group);
  void read(NodeRun& run, size_t i, SimRandom& draws);
  bool check_heads(NodeRun& run, size_t i, const std::string& key);
  bool check_groups(NodeRun& run, size_t i);
  void check_group_of(NodeRun& run, size_t i, const std::string& key, const std::string& value);
  std::string unmirrored(NodeRun& run, size_t i);
  void refused(NodeRun& run, size_t i);
  void sync(NodeRun& run, size_t i, SimRandom& draws);
  void check_synced(NodeRun& run, size_t i, const std::map<std::string, size_t>& promised);
  void check_superseded(NodeRun& run, size_t i, const std::vector<store::Head>& seen, const std::string& key,
                        const std::string& value);

  std::vector<Application> apps_;
  KvModel model_;
  uint64_t writes_ = 0;
  uint64_t groups_ = 0;
};

// ---- Before anything goes wrong -------------------------------------------------------------------------------------

bool StoreRun::set_up(NodeRun& run) {
  apps_.resize(run.nodes());
  for (size_t i = 0; i < run.nodes(); ++i) apps_[i].peer = info_of(run.machine(i)).peer;
  Request create;
  create.kind = RequestKind::store_create;
  create.x = to_bytes(kStoreName);
  if (!run.expect_ok(run.call(0, create), "store_create")) return false;
  if (run.knob("mesh") != 0 && !introduce_all(run)) return false;
  for (size_t i = 1; i < run.nodes(); ++i) {
    if (!join_through_invite(run, 0, i)) return false;
  }
  for (size_t i = 0; i < run.nodes(); ++i) {
    if (!run.run_until([&] { return find_store(run, i); }, 120 * kSecondUs)) {
      return run.violated("join", "the store did not arrive at machine " + std::to_string(i));
    }
  }
  return true;
}

bool StoreRun::find_store(NodeRun& run, size_t i) {
  if (apps_.empty()) return false;
  Application& app = apps_[i];
  if (app.store != 0) return true;
  app.store = store_handle(run.machine(i), kStoreName);
  if (app.store == 0) return false;
  watch(run, i);
  return true;
}

void StoreRun::watch(NodeRun& run, size_t i) {
  Application& app = apps_[i];
  Request watch;
  watch.kind = RequestKind::store_watch;
  watch.store = app.store;
  watch.a = app.watched.epoch();
  watch.b = app.watched.sequence();
  app.watch = run.submit_watch(i, std::move(watch), [this, i](uint64_t op) {
    if (apps_[i].watch == op) apps_[i].watch = 0;
  });
}

// ---- While things go wrong --------------------------------------------------------------------------------------------

void StoreRun::tend(NodeRun& run, size_t i) {
  if (apps_.empty()) return;
  Application& app = apps_[i];
  if (!find_store(run, i) || app.watch != 0) return;
  // The watch ended when the node was suspended. What the application holds stays good.
  const uint64_t now = store_handle(run.machine(i), kStoreName);
  if (now != 0 && now != app.store) {
    run.violated("handle", "machine " + std::to_string(i) + "'s store has another number than before it was suspended");
  }
  watch(run, i);
}

void StoreRun::on_up(NodeRun& run, size_t i) { find_store(run, i); }

void StoreRun::on_down(NodeRun&, size_t i) {
  if (apps_.empty()) return;
  apps_[i].store = 0;
  apps_[i].watch = 0;
}

void StoreRun::on_event(NodeRun& run, size_t i, const node::Event& event) {
  if (apps_.empty()) return;
  Application& app = apps_[i];
  if (event.kind == node::EventKind::watch_reset && event.op == app.watch) {
    run.violated("watch", "a watch was reset though nothing was lost");
  }
  if (event.kind != node::EventKind::store_change || event.op != app.watch) return;
  const std::string key = to_string(ByteView(event.key));
  std::optional<std::string> value;
  if (!event.deleted) value = to_string(ByteView(event.data));
  const std::string wrong = app.watched.take(model_, event.epoch, event.sequence, key, value);
  if (!wrong.empty()) run.violated("watch", "machine " + std::to_string(i) + ": " + wrong);
  if (event.winner) app.watched.mirror(key, value);
  // What is further ahead than five minutes waits (core/store/hlc.h); its own machine may be ahead of itself.
  if (!key.starts_with("own/" + std::to_string(i)) && value && value->starts_with("machine ") &&
      !value->starts_with("machine " + std::to_string(i)) &&
      static_cast<int64_t>(event.hlc_wall_ms) > run.machine(i).wall_max_us() / 1'000 + kAheadMs) {
    run.violated("clock", "machine " + std::to_string(i) + " applied a write from the future: " + key);
  }
  if (value) check_group_of(run, i, key, *value);
}

// A change that is told is there with all that was written with it.
void StoreRun::check_group_of(NodeRun& run, size_t i, const std::string& key, const std::string& value) {
  const auto attempt = model_.find(key, value);
  if (!attempt || apps_[i].store == 0 || !run.up(i)) return;
  const std::vector<size_t>& together = model_.groups().at(model_.at(*attempt).group);
  // Once for each transaction: with the first of its changes.
  if (together.size() < 2 || *attempt != together.front()) return;
  for (const size_t number : together) {
    const KvModel::Attempt& one = model_.at(number);
    if (one.answer == KvModel::Answer::refused || !one.value || model_.attempts_of(one.key).size() != 1) continue;
    const auto there = value_of(run.machine(i), apps_[i].store, one.key);
    if (there.ok() && !there->has_value()) {
      run.violated("transaction", "machine " + std::to_string(i) + " was told of " + key + " and has not " + one.key);
    }
  }
}

void StoreRun::act(NodeRun& run, const Action& action) {
  const size_t i = action.machine;
  if (!run.up(i) || apps_[i].store == 0) return;
  SimRandom draws(action.draws);
  Request request;
  request.store = apps_[i].store;
  switch (action.kind) {
    case kRead:
      return read(run, i, draws);
    case kSync:
      return sync(run, i, draws);
    case kRefused:
      return refused(run, i);
    case kBurst:
      // An application that ends with its hands full: every write is answered all the same.
      for (int n = 0; n < 4; ++n) write(run, i, draws);
      return run.machine(i).stop();
    case kRewatch:
      // Ends the watch; another goes on where it was.
      if (apps_[i].watch != 0) run.machine(i).cancel(apps_[i].watch);
      apps_[i].watch = 0;
      return watch(run, i);
    case kVerify:
      request.kind = RequestKind::store_verify;
      run.submit(i, std::move(request));
      return;
    default:
      return write(run, i, draws);
  }
}

// What is no write is refused, and does not keep others from being written.
void StoreRun::refused(NodeRun& run, size_t i) {
  Request request;
  request.kind = RequestKind::store_write;
  request.store = apps_[i].store;
  request.writes.emplace_back();  // without a key
  run.submit(i, std::move(request), [&run](const node::Event* done) {
    if (done != nullptr && done->status == Code::ok) run.violated("answer", "a write without a key was taken");
  });
}

// With one peer: afterwards everything is here that it had acknowledged before.
void StoreRun::sync(NodeRun& run, size_t i, SimRandom& draws) {
  const size_t with = (i + 1 + draws.below(run.nodes() - 1)) % run.nodes();
  const std::string prefix = "own/" + std::to_string(with) + "/";
  std::map<std::string, size_t> promised;
  for (const std::string& key : model_.own_keys()) {
    if (!key.starts_with(prefix)) continue;
    for (const size_t number : model_.attempts_of(key)) {
      if (model_.at(number).answer == KvModel::Answer::acknowledged && model_.at(number).value) promised[key] = number;
    }
  }
  Request request;
  request.kind = RequestKind::sync;
  request.store = apps_[i].store;
  request.x = to_bytes(apps_[with].peer);
  run.count("syncs asked for");
  run.submit(i, std::move(request), [this, &run, i, promised](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok || !run.up(i)) return;
    run.count("syncs");
    check_synced(run, i, promised);
  });
}

void StoreRun::check_synced(NodeRun& run, size_t i, const std::map<std::string, size_t>& promised) {
  if (apps_[i].store == 0) return;
  // On a failing disk nobody can tell; entries that wait for their time are here as well, and not to be read.
  const node::StoreRow row = store_row(run.machine(i), kStoreName);
  if (row.state != node::StoreState::active || row.stats.held != 0) return;
  for (const auto& [key, least] : promised) {
    const auto value = value_of(run.machine(i), apps_[i].store, key);
    if (!value.ok()) return;
    const auto number = model_.find(key, *value);
    if (!number || (*value && *number < least)) {
      run.violated("sync",
                   "machine " + std::to_string(i) + " had synced, and has not what was acknowledged before: " + key);
    }
    if (!*value && model_.attempts_of(key).back() == least) {
      run.violated("sync", "machine " + std::to_string(i) + " had synced, and has not " + key);
    }
  }
}

// Every value is unique, so that who wrote it is known.
store::WriteOp StoreRun::draw_op(NodeRun& run, size_t i, SimRandom& draws, std::vector<size_t>& attempts,
                                 uint64_t group) {
  store::WriteOp op;
  std::string key = "own/" + std::to_string(i) + "/" + std::to_string(++writes_);
  if (draws.chance(static_cast<uint32_t>(run.knob("contested", 40)))) {
    key = "contested/" + std::to_string(draws.below(static_cast<uint64_t>(run.knob("contested_keys", 5))));
  } else if (draws.chance(30)) {
    key = "own/" + std::to_string(i) + "/again/" + std::to_string(draws.below(4));
  }
  if (key.starts_with("own")) model_.set_own(key);
  std::optional<std::string> value;
  if (draws.chance(15) && !model_.attempts_of(key).empty()) {
    op.kind = store::OpKind::remove;
  } else {
    value = "machine " + std::to_string(i) + " writes number " + std::to_string(++writes_) + " ";
    const size_t more =
        draws.chance(3) ? draws.below(static_cast<uint64_t>(run.knob("value_max", 200'000))) : draws.below(300);
    value->resize(value->size() + more, static_cast<char>('a' + writes_ % 26));
    op.value = to_bytes(*value);
  }
  op.key = to_bytes(key);
  attempts.push_back(model_.attempt(key, std::move(value), group));
  return op;
}

void StoreRun::write(NodeRun& run, size_t i, SimRandom& draws) {
  Request request;
  request.kind = RequestKind::store_write;
  request.store = apps_[i].store;
  std::vector<size_t> attempts;
  std::map<Bytes, size_t> used;  // and the attempt
  const uint64_t ops = draws.chance(static_cast<uint32_t>(run.knob("transactions", 20))) ? draws.between(2, 20) : 1;
  const uint64_t group = ++groups_;
  for (uint64_t n = 0; n < ops; ++n) {
    store::WriteOp op = draw_op(run, i, draws, attempts, group);
    // Of several operations on one key the last one counts: nothing can ever see the others.
    const auto [earlier, fresh] = used.try_emplace(op.key, attempts.back());
    if (!fresh) {
      model_.answered(earlier->second, KvModel::Answer::refused);
      std::erase(attempts, earlier->second);
      earlier->second = attempts.back();
    }
    request.writes.push_back(std::move(op));
  }
  // What this machine sees of the key now must be gone once the write is there.
  const std::string key = model_.at(attempts.front()).key;
  if (request.writes.size() < 2) run.note(i, "writes " + key);
  const std::string value = model_.at(attempts.front()).value.value_or("");
  std::vector<store::Head> seen;
  if (auto heads = heads_of(run.machine(i), apps_[i].store, key); heads.ok()) seen = std::move(*heads);
  if (request.writes.size() > 1) run.note(i, "writes " + key + " and others");
  run.submit(i, std::move(request), [this, &run, i, attempts, seen, key, value](const node::Event* done) {
    for (const size_t attempt : attempts) model_.answered(attempt, answer_of(done));
    if (done != nullptr && done->status == Code::denied) run.violated("answer", "a write was denied: " + done->detail);
    if (done == nullptr || done->status != Code::ok) return;
    run.count("writes acknowledged", attempts.size());
    if (run.up(i)) check_superseded(run, i, seen, key, value);
  });
}

// A write follows what its author had seen: in the clock and in place.
void StoreRun::check_superseded(NodeRun& run, size_t i, const std::vector<store::Head>& seen, const std::string& key,
                                const std::string& value) {
  if (apps_[i].store == 0) return;
  const auto heads = heads_of(run.machine(i), apps_[i].store, key);
  if (!heads.ok()) return;
  for (const store::Head& head : *heads) {
    for (const store::Head& before : seen) {
      if (before.hash == head.hash) {
        run.violated("heads", key + " still has a head that its author had seen before it wrote");
      }
      if (!head.tombstone && to_string(ByteView(head.value)) == value && head.hlc <= before.hlc) {
        run.violated("clock", "a write of " + key + " is not later than what its author had seen");
      }
    }
  }
}

void StoreRun::read(NodeRun& run, size_t i, SimRandom& draws) {
  if (model_.size() == 0) return;
  const std::string key = model_.at(draws.below(model_.size())).key;
  check_heads(run, i, key);
}

// The heads of a key, by rules of their own: docs/formats/entry.md.
bool StoreRun::check_heads(NodeRun& run, size_t i, const std::string& key) {
  const std::string where = "machine " + std::to_string(i) + ": ";
  const auto heads = heads_of(run.machine(i), apps_[i].store, key);
  const auto got = value_of(run.machine(i), apps_[i].store, key);
  if (!heads.ok() || !got.ok()) {
    const Error& error = heads.ok() ? got.error() : heads.error();
    if (run.may_fail(i, error.code)) return true;
    return run.violated("read", where + "reading " + key + " failed: " + error.detail);
  }
  const store::Head* winner = nullptr;
  for (const store::Head& head : *heads) {
    if (!head.tombstone) {
      const std::string wrong = model_.complain_of_any(key, to_string(ByteView(head.value)));
      if (!wrong.empty()) return run.violated("values", where + wrong);
    }
    for (const store::Head& other : *heads) {
      if (&other != &head && other.author == head.author)
        return run.violated("heads", where + key + " has two heads of one author");
    }
    const bool later =
        winner == nullptr || head.hlc > winner->hlc || (head.hlc == winner->hlc && head.author > winner->author);
    if (later) winner = &head;
  }
  std::optional<std::string> expected;
  if (winner != nullptr && !winner->tombstone) expected = to_string(ByteView(winner->value));
  if (*got != expected) return run.violated("winner", where + "a read of " + key + " is not the write that wins");
  return true;
}

// ---- Afterwards -----------------------------------------------------------------------------------------------------

// A key of which the winners that the watch told of are not what is read; empty: none.
std::string StoreRun::unmirrored(NodeRun& run, size_t i) {
  for (int64_t n = 0; n < run.knob("contested_keys", 5); ++n) {
    std::string key = "contested/" + std::to_string(n);
    const auto value = value_of(run.machine(i), apps_[i].store, key);
    if (value.ok() && *value != apps_[i].watched.mirrored(key)) return key;
  }
  return {};
}

bool StoreRun::settled(NodeRun& run) {
  for (Application& app : apps_) {
    if (app.store == 0) return false;
  }
  const node::StoreRow first = store_row(run.machine(0), kStoreName);
  for (size_t i = 0; i < run.nodes(); ++i) {
    const node::StoreRow row = store_row(run.machine(i), kStoreName);
    if (row.stats.digest != first.stats.digest || row.stats.held != 0) return false;
    // The last records may be some that change nothing a watch tells of (who an author is).
    if (!apps_[i].watched.complain_of_missing(model_).empty()) return false;
  }
  for (size_t i = 0; i < run.nodes(); ++i) {
    if (!unmirrored(run, i).empty()) return false;
  }
  const Bytes state = state_digest(run.machine(0), apps_[0].store);
  for (size_t i = 1; i < run.nodes(); ++i) {
    if (state_digest(run.machine(i), apps_[i].store) != state) {
      return run.violated("state", "equal logs gave different states: " + states(run));
    }
  }
  return true;
}

std::string StoreRun::states(NodeRun& run) {
  std::string text;
  for (size_t i = 0; i < run.nodes(); ++i) {
    const node::StoreRow row = store_row(run.machine(i), kStoreName);
    text += " [" + std::to_string(i) + ": " + (run.up(i) ? "up" : "down") + ", entries " +
            std::to_string(row.stats.entries) + ", held " + std::to_string(row.stats.held) + ", digest " +
            brief(row.stats.digest.view()) + ", sequence " + std::to_string(row.stats.sequence) + ", watched to " +
            std::to_string(apps_[i].watched.sequence()) + ", pending " + std::to_string(run.pending(i)) + "]";
    if (const std::string missing = apps_[i].watched.complain_of_missing(model_); !missing.empty())
      text += " " + missing;
    if (const std::string key = unmirrored(run, i); !key.empty()) {
      text += " who follows the winners of its watch has another value of " + key;
    }
  }
  return text;
}

// All of a transaction or nothing. Its keys may have been written again, so only those that were written once tell.
bool StoreRun::check_groups(NodeRun& run, size_t i) {
  for (const auto& [group, attempts] : model_.groups()) {
    size_t there = 0;
    size_t told = 0;
    for (const size_t attempt : attempts) {
      const KvModel::Attempt& one = model_.at(attempt);
      if (one.answer == KvModel::Answer::refused || !one.value || model_.attempts_of(one.key).size() != 1) continue;
      ++told;
      const auto value = value_of(run.machine(i), apps_[i].store, one.key);
      if (!value.ok()) return run.violated("read", "reading " + one.key + " failed: " + value.error().detail);
      there += value->has_value() ? 1 : 0;
    }
    if (there != 0 && there != told) {
      return run.violated("transaction", "machine " + std::to_string(i) + " has " + std::to_string(there) + " of " +
                                             std::to_string(told) + " keys of a transaction");
    }
  }
  return true;
}

void StoreRun::check(NodeRun& run) {
  std::set<std::string> keys;
  for (size_t attempt = 0; attempt < model_.size(); ++attempt) keys.insert(model_.at(attempt).key);
  for (size_t i = 0; i < run.nodes() && run.holds(); ++i) {
    const std::string where = "machine " + std::to_string(i) + ": ";
    for (const std::string& key : model_.own_keys()) {
      const auto value = value_of(run.machine(i), apps_[i].store, key);
      if (!value.ok()) {
        std::string problem = where;
        problem.append("reading ").append(key).append(" failed: ").append(value.error().detail);
        return (void)run.violated("read", std::move(problem));
      }
      const std::string wrong = model_.complain_of_own(key, *value);
      if (!wrong.empty()) return (void)run.violated("acknowledged", where + wrong);
    }
    if (const std::string missing = apps_[i].watched.complain_of_missing(model_); !missing.empty()) {
      return (void)run.violated("watch", where + missing);
    }
    for (const std::string& key : keys) {
      if (!check_heads(run, i, key)) return;
    }
    if (!check_groups(run, i)) return;
    if (store_row(run.machine(i), kStoreName).stats.forks != 0) return (void)run.violated("fork", "an author forked");
    Request verify;
    verify.kind = RequestKind::store_verify;
    verify.store = apps_[i].store;
    if (!run.expect_ok(run.call(i, verify), "store_verify")) return;
  }
}

// ---- What is drawn --------------------------------------------------------------------------------------------------

void draw_actions(SimRandom& random, Plan& plan, uint64_t count) {
  SimRandom own = random.fork("actions");
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t dice = own.below(100);
    const uint32_t kind = dice < 80   ? kWrite
                          : dice < 90 ? kRead
                          : dice < 95 ? kSync
                          : dice < 97 ? kRewatch
                          : dice < 98 ? kVerify
                          : dice < 99 ? kBurst
                                      : kRefused;
    plan.actions.push_back({own.below(plan.duration_us), own.below(plan.nodes), kind, own.next_u64()});
  }
}

void draw_knobs(SimRandom& random, Plan& plan) {
  SimRandom own = random.fork("knobs");
  plan.knobs["families"] = static_cast<int64_t>(own.below(3));
  plan.knobs["look_us"] = static_cast<int64_t>(draw_scale(own, 1'000, 500'000));
  plan.knobs["contested"] = static_cast<int64_t>(own.below(90));
  plan.knobs["contested_keys"] = static_cast<int64_t>(own.between(1, 8));
  plan.knobs["transactions"] = static_cast<int64_t>(own.below(50));
  plan.knobs["value_max"] = static_cast<int64_t>(draw_scale(own, 1'000, 300'000));
}

void draw_store(SimRandom& random, Plan& plan) {
  SimRandom own = random.fork("store");
  if (plan.duration_us == 0) plan.duration_us = own.between(3 * kSecondUs, 30 * kSecondUs);
  // Some runs are long enough for what waits and backs off.
  if (own.chance(5)) plan.duration_us = std::max(plan.duration_us, own.between(60 * kSecondUs, 120 * kSecondUs));
  draw_knobs(random, plan);
  draw_actions(random, plan, std::max<uint64_t>(1, plan.duration_us * own.between(1, 8) / kSecondUs));
  plan.knobs["mesh"] = own.chance(50) ? 1 : 0;
  SimRandom faults = random.fork("faults");
  draw_faults(faults, plan, all_survivable_faults());
}

void draw_crowd(SimRandom& random, Plan& plan) {
  SimRandom own = random.fork("crowd");
  plan.transport = Transport::stream;
  if (plan.duration_us == 0) plan.duration_us = own.between(30 * kSecondUs, 90 * kSecondUs);
  draw_knobs(random, plan);
  draw_actions(random, plan, own.between(50, 200));
  SimRandom faults = random.fork("faults");
  draw_faults(faults, plan, all_survivable_faults());
}

}  // namespace

const Workload kStoreWorkload = {"store",
                                 "machines share a store, write the same keys and their own, read and watch",
                                 30,
                                 2,
                                 5,
                                 draw_store,
                                 run_nodes<StoreRun>};
const Workload kCrowdWorkload = {
    "crowd", "twenty machines share a store, on streams", 1, 20, 20, draw_crowd, run_nodes<StoreRun>};

}  // namespace sereus::sim
