#include <algorithm>
#include <set>

#include "sim/world.h"

namespace sereus::sim {
namespace {

using node::Query;
using node::QueryKind;
using node::Request;
using node::RequestKind;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr size_t kContestedKeys = 5;
constexpr int kPatience = 20;

// Rates of a run, drawn first, so that some runs are calm and some are not.
struct Rates {
  uint64_t actions = 0;
  uint32_t cut = 0;  // per cent of actions
  uint32_t crash = 0;
  uint32_t stop = 0;
  uint32_t offline = 0;
  uint32_t clock_jump = 0;
  bool narrow_queue = false;
  // Only where there are packets and links.
  uint32_t rebind = 0;
  uint32_t reset = 0;

  static Rates draw(SimRandom& random) {
    Rates rates;
    rates.actions = random.between(20, 150);
    rates.cut = static_cast<uint32_t>(random.below(12));
    rates.crash = static_cast<uint32_t>(random.below(8));
    rates.stop = static_cast<uint32_t>(random.below(4));
    rates.offline = static_cast<uint32_t>(random.below(4));
    rates.clock_jump = random.chance(20) ? 3 : 0;
    rates.narrow_queue = random.chance(20);
    return rates;
  }
};

// What the application on a machine remembers, in a notebook that survives everything.
struct Application {
  uint64_t store = 0;  // handle in the present process
  uint64_t watch = 0;  // operation in the present process
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  std::map<std::string, uint64_t> seen;  // how often a change of a key of somebody's own was delivered
  std::map<uint64_t, std::map<std::string, std::string>> pending;  // puts without DONE
  bool down_until_told = false;
  uint64_t up_at = 0;
};

class Story {
 public:
  Story(uint64_t seed, Transport transport)
      : draws_(seed ^ 0x5707),
        path_draws_(seed ^ 0x9a7b5),
        rates_(Rates::draw(draws_)),
        world_(seed, draws_.between(2, 4), transport),
        apps_(world_.machines.size()) {
    if (transport != Transport::stream) draw_paths();
  }

  Outcome run() {
    (void)(set_up() && go_through() && settle() && check());
    Outcome outcome;
    outcome.violation = violation_;
    outcome.trace = world_.trace();
    outcome.virtual_us = world_.scheduler.now_us();
    outcome.writes_acknowledged = acknowledged_.size();
    outcome.crashes = crashes_;
    outcome.datagrams = world_.network.datagrams.stats();
    outcome.links = world_.network.links.stats();
    return outcome;
  }

 private:
  bool fail_with(std::string what) {
    if (violation_.empty()) violation_ = std::move(what);
    return false;
  }
  SimMachine& machine(size_t i) { return *world_.machines[i]; }

  bool expect_ok(const node::Event& done, std::string_view what) {
    if (done.status == Code::ok) return true;
    return fail_with(std::string(what) + " failed: " + std::string(code_name(done.status)) + " " + done.detail);
  }

  // What lies between the machines, and how they are addressed. Of a stream of its own, so that a seed's story is the same
  // with every transport.
  void draw_paths() {
    world_.network.datagrams.set_conditions(DatagramConditions::draw(path_draws_));
    world_.network.links.set_conditions(LinkConditions::draw(path_draws_));
    const uint64_t families = path_draws_.below(4);
    for (auto& m : world_.machines) {
      m->listen_v4 = families != 1;
      m->listen_v6 = families == 1 || families == 2;
    }
    rates_.rebind = static_cast<uint32_t>(path_draws_.below(6));
    rates_.reset = static_cast<uint32_t>(path_draws_.below(6));
  }

  // ---- Before anything goes wrong -----------------------------------------------------------------------------------
  bool set_up() {
    for (auto& m : world_.machines) {
      m->wall_offset_us = static_cast<int64_t>(draws_.below(240)) * 1'000'000 - 120'000'000;
      m->drift_ppm = static_cast<int32_t>(draws_.below(400)) - 200;
      if (rates_.narrow_queue) m->queue_room = 8;
      if (const Status started = m->start(); !started.ok()) return fail_with("start: " + started.error().detail);
      Request create;
      create.kind = RequestKind::identity_create;
      create.x = to_bytes("machine " + std::to_string(m->index()));
      if (!expect_ok(world_.call(*m, create), "identity")) return false;
    }
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("shared");
    const node::Event made = world_.call(machine(0), create);
    if (!expect_ok(made, "store_create")) return false;
    for (size_t i = 1; i < world_.machines.size(); ++i) {
      if (!invite_and_join(i)) return false;
    }
    for (size_t i = 0; i < world_.machines.size(); ++i) {
      if (!world_.run_until([&] { return find_store(i); }, 60 * kSecondUs))
        return fail_with("the store did not arrive");
    }
    return true;
  }

  bool invite_and_join(size_t i) {
    Request invite;
    invite.kind = RequestKind::invite_create;
    const node::Event text = world_.call(machine(0), invite);
    if (!expect_ok(text, "invite")) return false;
    Request join;
    join.kind = RequestKind::join;
    join.x = text.data;
    if (!expect_ok(call_patiently(i, join), "join")) return false;
    if (draws_.chance(20)) {
      // A single-use invite is spent: another device must be refused.
      const size_t other = i + 1;
      if (other < world_.machines.size()) {
        const node::Event again = call_patiently(other, join);
        if (again.status != Code::denied) return fail_with("a spent invite was not refused");
      }
    }
    return true;
  }

  // On a bad path a connection is refused or breaks now and then, and whoever joins tries again.
  node::Event call_patiently(size_t i, const Request& request) {
    node::Event done = world_.call(machine(i), request, 120 * kSecondUs);
    for (int more = kPatience; more > 0 && done.status == Code::unreachable; --more) {
      world_.run_for(kSecondUs);
      done = world_.call(machine(i), request, 120 * kSecondUs);
    }
    return done;
  }

  // The store's handle in the present process, and the watch on it.
  bool find_store(size_t i) {
    Application& app = apps_[i];
    if (app.store != 0) return true;
    Query query;
    query.kind = QueryKind::store_open;
    query.x = to_bytes("shared");
    const auto rows = machine(i).query(query);
    if (!rows.ok()) return false;
    const auto* stores = std::get_if<std::vector<node::StoreRow>>(&*rows);
    if (stores == nullptr || stores->empty()) return false;
    app.store = stores->front().store;
    Request watch;
    watch.kind = RequestKind::store_watch;
    watch.store = app.store;
    watch.a = app.epoch == 0 ? UINT64_MAX : app.epoch;
    watch.b = app.epoch == 0 ? 0 : app.sequence;
    app.watch = machine(i).submit(std::move(watch));
    return true;
  }

  // ---- What goes wrong ------------------------------------------------------------------------------------------------
  bool go_through() {
    for (uint64_t n = 0; n < rates_.actions && violation_.empty(); ++n) {
      world_.run_for(draws_.between(1'000, 400'000));
      look_after_all();
      const auto i = static_cast<size_t>(draws_.below(world_.machines.size()));
      disturb_paths();
      const uint64_t dice = draws_.below(100);
      uint64_t edge = rates_.cut;
      if (dice < edge) {
        cut_or_heal(i);
      } else if (dice < (edge += rates_.crash)) {
        crash(i);
      } else if (dice < (edge += rates_.stop)) {
        stop(i);
      } else if (dice < (edge += rates_.offline)) {
        toggle_online(i);
      } else if (dice < (edge += rates_.clock_jump)) {
        machine(i).wall_offset_us += (static_cast<int64_t>(draws_.below(40)) - 20) * 60'000'000;
      } else {
        write(i);
      }
    }
    return violation_.empty();
  }

  void cut_or_heal(size_t i) {
    const auto j = static_cast<size_t>(draws_.below(world_.machines.size()));
    if (i != j) world_.network.cut(i, j, draws_.chance(60));
  }

  // Beside the actions: what only packets and links know.
  void disturb_paths() {
    if (path_draws_.chance(rates_.rebind)) {
      world_.network.datagrams.rebind(path_draws_.below(apps_.size()), path_draws_.chance(50));
    }
    if (path_draws_.chance(rates_.reset)) {
      world_.network.links.break_links(path_draws_.below(apps_.size()), path_draws_.below(apps_.size()));
    }
    if (rates_.rebind == 0 || !path_draws_.chance(rates_.cut)) return;
    // One direction only, or one machine and all others.
    const size_t from = path_draws_.below(apps_.size());
    const size_t to = path_draws_.below(apps_.size());
    if (path_draws_.chance(70)) {
      world_.network.topology.cut_one_way(from, to, path_draws_.chance(60));
    } else {
      world_.network.topology.partition({from}, apps_.size());
    }
  }

  void crash(size_t i) {
    if (!machine(i).running()) return;
    ++crashes_;
    if (draws_.chance(50)) {
      machine(i).lose_power();
    } else {
      machine(i).disk().crash_at(machine(i).disk().operations() + draws_.between(1, 30));
    }
  }

  void stop(size_t i) {
    if (machine(i).running()) machine(i).stop();
  }

  void toggle_online(size_t i) {
    if (!machine(i).running()) return;
    Request online;
    online.kind = RequestKind::set_online;
    online.a = draws_.chance(50) ? 0 : 1;
    machine(i).submit(std::move(online));
  }

  std::string value_of(size_t i) {
    std::string value = "machine " + std::to_string(i) + " writes number " + std::to_string(++writes_) + " ";
    const size_t size = draws_.chance(3) ? draws_.below(200'000) : draws_.below(300);
    value.resize(value.size() + size, static_cast<char>('a' + writes_ % 26));
    return value;
  }

  void write(size_t i) {
    Application& app = apps_[i];
    if (!machine(i).running() || app.store == 0) return;
    Request request;
    request.kind = RequestKind::store_write;
    request.store = app.store;
    std::map<std::string, std::string> own;
    const uint64_t ops = draws_.chance(20) ? draws_.between(2, 20) : 1;
    std::set<std::string> used;
    for (uint64_t n = 0; n < ops; ++n) {
      store::WriteOp op;
      std::string key = "own/" + std::to_string(i) + "/" + std::to_string(writes_);
      if (draws_.chance(40)) key = "contested/" + std::to_string(draws_.below(kContestedKeys));
      if (!used.insert(key).second) continue;
      op.key = to_bytes(key);
      const std::string value = value_of(i);
      if (key.starts_with("contested") && draws_.chance(20)) {
        op.kind = store::OpKind::remove;
      } else {
        op.value = to_bytes(value);
      }
      if (key.starts_with("own")) own[key] = value;
      request.writes.push_back(std::move(op));
    }
    const uint64_t op = machine(i).submit(std::move(request));
    app.pending[op] = std::move(own);
  }

  // ---- What the applications do ------------------------------------------------------------------------------------------
  void look_after_all() {
    for (size_t i = 0; i < world_.machines.size(); ++i) look_after(i);
  }

  void look_after(size_t i) {
    Application& app = apps_[i];
    SimMachine& m = machine(i);
    take_events(i);
    if (m.running()) {
      for (auto pending = app.pending.begin(); pending != app.pending.end();) {
        const node::Event* done = m.done(pending->first);
        if (done == nullptr) {
          ++pending;
          continue;
        }
        if (done->status == Code::ok) {
          for (const auto& [key, value] : pending->second) acknowledged_[key] = value;
        }
        pending = app.pending.erase(pending);
      }
      (void)find_store(i);
      return;
    }
    // A DONE may have come before the power went.
    for (const auto& [op, own] : app.pending) {
      const node::Event* done = m.done(op);
      if (done != nullptr && done->status == Code::ok) {
        for (const auto& [key, value] : own) acknowledged_[key] = value;
      }
    }
    app.store = 0;
    if (!m.stopped()) return;  // it is closing: its last operations are still answered
    app.pending.clear();
    app.watch = 0;
    if (app.up_at == 0) app.up_at = world_.scheduler.now_us() + draws_.below(5 * kSecondUs);
    if (world_.scheduler.now_us() < app.up_at) return;
    app.up_at = 0;
    start(i);
  }

  void start(size_t i) {
    if (const Status started = machine(i).start(); !started.ok()) {
      fail_with("machine " + std::to_string(i) + " does not start: " + std::string(code_name(started.code())) + " " +
                started.error().detail);
    }
  }

  void take_events(size_t i) {
    Application& app = apps_[i];
    for (const node::Event& event : machine(i).take_events()) {
      if (event.kind == node::EventKind::watch_reset && event.op == app.watch) {
        fail_with("a watch was reset though nothing was lost");
      }
      if (event.kind == node::EventKind::fork) fail_with("an author forked");
      if (event.kind != node::EventKind::store_change || event.op != app.watch) continue;
      if (app.epoch != 0 && event.epoch != app.epoch) fail_with("the epoch changed though nothing was lost");
      if (event.sequence <= app.sequence) fail_with("a watch delivered a change twice or out of order");
      app.epoch = event.epoch;
      app.sequence = event.sequence;
      const std::string key = to_string(ByteView(event.key));
      if (key.starts_with("own") && ++app.seen[key] > 1) fail_with("a watch delivered " + key + " twice");
    }
  }

  // ---- Afterwards ----------------------------------------------------------------------------------------------------------
  bool settle() {
    world_.network.heal_all();
    for (size_t i = 0; i < world_.machines.size(); ++i) {
      machine(i).disk().crash_at(0);
      if (machine(i).stopped()) apps_[i].up_at = 1;
    }
    const bool up = world_.run_until(
        [&] {
          look_after_all();
          return !violation_.empty() ||
                 std::all_of(apps_.begin(), apps_.end(), [](const Application& a) { return a.store != 0; });
        },
        60 * kSecondUs);
    if (!up) return fail_with("not every machine came up again");
    for (auto& m : world_.machines) {
      Request online;
      online.kind = RequestKind::set_online;
      online.a = 1;
      if (!expect_ok(world_.call(*m, online), "set_online")) return false;
    }
    // Held entries wait for their time, so hours pass if they must: clocks jump by up to twenty minutes, several times.
    const uint64_t end = world_.scheduler.now_us() + 4 * 3600 * kSecondUs;
    while (world_.scheduler.now_us() < end && violation_.empty()) {
      world_.run_for(kSecondUs);
      look_after_all();
      if (converged()) return violation_.empty();
    }
    return fail_with("replicas did not converge: " + states());
  }

  Bytes state_of(size_t i) {
    Query query;
    query.kind = QueryKind::state_digest;
    query.store = apps_[i].store;
    const auto rows = machine(i).query(query);
    if (!rows.ok()) return {};
    return std::get<std::vector<store::Head>>(*rows).front().value;
  }

  node::StoreRow row_of(size_t i) {
    Query query;
    query.kind = QueryKind::store_open;
    query.x = to_bytes("shared");
    const auto rows = machine(i).query(query);
    return rows.ok() ? std::get<std::vector<node::StoreRow>>(*rows).front() : node::StoreRow{};
  }

  bool converged() {
    for (const Application& app : apps_) {
      if (!app.pending.empty()) return false;
    }
    const node::StoreRow first = row_of(0);
    for (size_t i = 0; i < world_.machines.size(); ++i) {
      const node::StoreRow row = row_of(i);
      if (row.stats.digest != first.stats.digest || row.stats.held != 0) return false;
      if (row.stats.sequence != 0 && apps_[i].sequence != row.stats.sequence && !watch_is_at_end(i, row)) return false;
    }
    const Bytes state = state_of(0);
    for (size_t i = 1; i < world_.machines.size(); ++i) {
      if (state_of(i) != state) return fail_with("equal logs gave different states: " + states());
    }
    return true;
  }

  // The last record may be one that changes nothing a watch tells of (who an author is).
  bool watch_is_at_end(size_t i, const node::StoreRow& row) {
    std::set<std::string> missing;
    for (const auto& [key, value] : acknowledged_) {
      if (!apps_[i].seen.contains(key)) missing.insert(key);
    }
    return missing.empty() && row.stats.sequence > 0;
  }

  std::string states() {
    std::string text;
    for (size_t i = 0; i < world_.machines.size(); ++i) {
      const node::StoreRow row = row_of(i);
      text += " [" + std::to_string(i) + ": " + (machine(i).running() ? "up" : "down") + ", entries " +
              std::to_string(row.stats.entries) + ", held " + std::to_string(row.stats.held) + ", digest " +
              brief(row.stats.digest.view()) + ", sequence " + std::to_string(row.stats.sequence) + ", watched to " +
              std::to_string(apps_[i].sequence) + ", pending " + std::to_string(apps_[i].pending.size()) + "]";
    }
    return text;
  }

  bool check() {
    for (size_t i = 0; i < world_.machines.size(); ++i) {
      for (const auto& [key, value] : acknowledged_) {
        Query get;
        get.kind = QueryKind::get;
        get.store = apps_[i].store;
        get.x = to_bytes(key);
        const auto rows = machine(i).query(get);
        if (!rows.ok()) return fail_with("machine " + std::to_string(i) + " lost the acknowledged " + key);
        if (to_string(ByteView(std::get<std::vector<store::Head>>(*rows).front().value)) != value) {
          return fail_with("machine " + std::to_string(i) + " holds another value of " + key);
        }
        if (apps_[i].seen[key] != 1) return fail_with("a watch missed " + key);
      }
      if (row_of(i).stats.forks != 0) return fail_with("an author forked");
      Request verify;
      verify.kind = RequestKind::store_verify;
      verify.store = apps_[i].store;
      if (!expect_ok(world_.call(machine(i), verify), "verify")) return false;
    }
    for (auto& m : world_.machines) {
      m->stop();
      if (!world_.run_until([&] { return m->stopped(); }, 60 * kSecondUs)) return fail_with("a node does not close");
      if (m->done_violations() != 0) return fail_with("an operation got no DONE, or two");
    }
    return true;
  }

  SimRandom draws_;
  SimRandom path_draws_;
  Rates rates_;
  World world_;
  std::vector<Application> apps_;
  std::map<std::string, std::string> acknowledged_;  // keys only one machine ever writes, once
  uint64_t writes_ = 0;
  uint64_t crashes_ = 0;
  std::string violation_;
};

}  // namespace

Outcome run_story(uint64_t seed, Transport transport) { return Story(seed, transport).run(); }

}  // namespace sereus::sim
