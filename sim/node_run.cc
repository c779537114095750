#include "sim/node_run.h"

#include <malloc.h>
#include <string.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/store/sync_session.h"
#include "sim/fault_mix.h"
#include "sim/phase.h"

namespace sereus::sim {
namespace {

using node::Request;
using node::RequestKind;

constexpr uint64_t kSecondUs = 1'000'000;
// After healing: the longest back-offs are a minute, and all has its turn within some of them. What clocks were moved by comes
// on top: entries from the future wait for their time.
constexpr uint64_t kPatienceUs = 15 * 60 * kSecondUs;
constexpr int kTries = 20;
// Bounds of memory, about three times what runs take: a node's queues and caches, and what the simulator itself holds.
constexpr uint64_t kHeapBase = 32 << 20;
constexpr uint64_t kHeapPerMachine = 24 << 20;
constexpr uint64_t kMemoryEveryUs = 5 * kSecondUs;
// Steps of one node in one virtual second. What is busy has a reason for each; a loop has none.
constexpr uint64_t kStepsPerSecondMax = 200'000;
// Failed dials of one machine to one peer in half a minute. Delays double from half a second on: eight or nine where the peer's
// system refuses at once, and some more where the application goes offline and online again, which begins anew.
constexpr size_t kFailedDialsMax = 40;
// Sync streams that one machine opens to another in ten seconds: one for each store and connection, and some again where they
// were refused. Those wait longer each time.
constexpr size_t kSyncStreamsMax = 200;

}  // namespace

NodeRun::NodeRun(const Plan& plan, Chronicle* chronicle, NodeWorkload& workload)
    : plan_(plan),
      chronicle_(chronicle),
      workload_(workload),
      world_(plan.seed, plan.nodes, plan.transport),
      faults_(plan, world_, chronicle),
      places_(plan.nodes) {
  for (auto& m : world_.machines) m->set_chronicle(chronicle);
  world_.network.set_chronicle(chronicle);
}

NodeRun::~NodeRun() = default;

Outcome NodeRun::run() {
  phase("set-up");
  if (set_up()) {
    disturb();
    if (holds() && settle()) check();
  }
  finish();
  return outcome_;
}

void NodeRun::finish() {
  outcome_.trace = world_.trace();
  outcome_.virtual_us = now_us();
  outcome_.counts["faults"] += faults_.happened();
  if (const uint64_t failed = faults_.allocations_failed(); failed > 0) outcome_.counts["failed allocations"] = failed;
}

bool NodeRun::violated(std::string_view oracle, std::string what) {
  if (!holds()) return false;
  outcome_.oracle = std::string(oracle);
  outcome_.violation = std::move(what);
  outcome_.violated_at_us = now_us();
  if (chronicle_ != nullptr) {
    chronicle_->add(
        {Chronicle::Kind::violation, now_us(), 0, SIZE_MAX, SIZE_MAX, 0, outcome_.oracle + ": " + outcome_.violation});
  }
  return false;
}

void NodeRun::phase(const char* name) {
  tell_phase(name, now_us());
  if (chronicle_ != nullptr) chronicle_->add({Chronicle::Kind::phase, now_us(), 0, SIZE_MAX, SIZE_MAX, 0, name});
}

void NodeRun::note(size_t machine, std::string text) {
  if (chronicle_ != nullptr) {
    chronicle_->add({Chronicle::Kind::action, now_us(), 0, machine, SIZE_MAX, 0, std::move(text)});
  }
}

int64_t NodeRun::knob(const std::string& name, int64_t fallback) const {
  const auto found = plan_.knobs.find(name);
  return found == plan_.knobs.end() ? fallback : found->second;
}

// ---- Before anything goes wrong -----------------------------------------------------------------------------------------

bool NodeRun::set_up() {
  watch_for_canaries();
  faults_.apply_conditions();
  faults_.on_application_fault = [this](const Fault& fault, bool begin) {
    if (!up(fault.machine)) return;
    Request request;
    if (fault.kind == FaultKind::offline) {
      request.kind = RequestKind::set_online;
      request.a = begin ? 0 : 1;
    } else {
      request.kind = begin ? RequestKind::suspend : RequestKind::resume;
    }
    submit(fault.machine, std::move(request));
  };
  return start_machines() && workload_.set_up(*this) && holds();
}

bool NodeRun::start_machines() {
  // Families of addresses: IPv4, IPv6, both.
  const int64_t families = knob("families");
  for (auto& m : world_.machines) {
    m->listen_v4 = families != 1;
    m->listen_v6 = families != 0;
    if (const Status started = m->start(); !started.ok()) return violated("start", started.error().detail);
    places_[m->index()].was_up = true;
  }
  for (size_t i = 0; i < nodes(); ++i) {
    Request create;
    create.kind = RequestKind::identity_create;
    create.x = to_bytes("machine " + std::to_string(i));
    if (!expect_ok(call(i, create), "identity_create")) return false;
  }
  for (size_t i = 0; i < nodes(); ++i) workload_.on_up(*this, i);
  return true;
}

// ---- What goes wrong ------------------------------------------------------------------------------------------------------

void NodeRun::disturb() {
  phase("disturbed");
  const uint64_t begin_us = now_us();
  const uint64_t end_us = begin_us + plan_.duration_us;
  faults_.schedule();
  for (const Action& action : plan_.actions) {
    world_.scheduler.at(begin_us + action.at_us, [this, &action, end_us] {
      if (now_us() > end_us || !holds()) return;
      look_after(action.machine);
      if (holds()) workload_.act(*this, action);
    });
  }
  const auto look_us = static_cast<uint64_t>(knob("look_us", 50'000));
  uint64_t memory_at_us = begin_us;
  while (now_us() < end_us && holds()) {
    world_.run_for(std::min(look_us, end_us - now_us()));
    look_after_all();
    if (now_us() >= memory_at_us) {
      check_memory();
      memory_at_us = now_us() + kMemoryEveryUs;
    }
  }
}

// ---- What applications do -------------------------------------------------------------------------------------------------

uint64_t NodeRun::submit(size_t i, Request request, Then then) {
  const uint64_t op = machine(i).submit(std::move(request));
  places_[i].pending.emplace(op, std::move(then));
  return op;
}

uint64_t NodeRun::submit_watch(size_t i, Request request, std::function<void(uint64_t)> ended) {
  const uint64_t op = machine(i).submit(std::move(request));
  places_[i].watches.emplace(op, std::move(ended));
  return op;
}

void NodeRun::take_done(size_t i) {
  auto& pending = places_[i].pending;
  for (auto at = pending.begin(); at != pending.end();) {
    const node::Event* done = machine(i).done(at->first);
    if (done == nullptr) {
      ++at;
      continue;
    }
    const uint64_t op = at->first;
    const Then then = std::move(at->second);
    pending.erase(at);
    if (then) then(done);
    at = pending.upper_bound(op);  // `then` may have submitted more
  }
  auto& watches = places_[i].watches;
  for (auto at = watches.begin(); at != watches.end();) {
    if (machine(i).done(at->first) == nullptr) {
      ++at;
      continue;
    }
    const auto [op, ended] = *at;
    watches.erase(at);
    ended(op);
    at = watches.upper_bound(op);
  }
}

void NodeRun::look_after_all() {
  for (size_t i = 0; i < nodes() && holds(); ++i) look_after(i);
}

void NodeRun::look_after(size_t i) {
  Place& place = places_[i];
  for (const node::Event& event : machine(i).take_events()) {
    if (event.kind == node::EventKind::fork) violated("fork", "an author forked");
    workload_.on_event(*this, i, event);
  }
  take_done(i);
  if (up(i)) return workload_.tend(*this, i);
  if (!machine(i).stopped()) return;  // it is closing: its last operations are still answered
  if (std::exchange(place.was_up, false)) {
    for (auto& [op, then] : std::exchange(place.pending, {})) {
      if (then) then(nullptr);
    }
    place.watches.clear();
    workload_.on_down(*this, i);
    place.up_at_us = now_us() + faults_.downtime_us(i);
  }
  if (now_us() >= place.up_at_us) start(i);
}

void NodeRun::start(size_t i) {
  if (const Status started = machine(i).start(); !started.ok()) {
    places_[i].up_at_us = now_us() + kSecondUs;
    if (!machine(i).disk().powered()) return count("power cuts while starting");
    if (faults_.disk_fails(i)) return count("starts that failed on a failing disk");
    if (started.code() == Code::no_memory && faults_.allocations_failed() > 0) {
      return count("starts that failed for want of memory");
    }
    violated("start", "machine " + std::to_string(i) + " does not start: " + std::string(code_name(started.code())) +
                          " " + started.error().detail);
    return;
  }
  places_[i].was_up = true;
  count("starts");
  workload_.on_up(*this, i);
}

bool NodeRun::run_until(const std::function<bool()>& done, uint64_t timeout_us) {
  const uint64_t end_us = now_us() + timeout_us;
  while (!done()) {
    if (now_us() >= end_us || !holds()) return false;
    world_.run_for(std::min<uint64_t>(end_us - now_us(), 20'000));
    look_after_all();
  }
  return true;
}

node::Event NodeRun::call(size_t i, const Request& request, uint64_t timeout_us) {
  for (int tries = kTries;; --tries) {
    // Shared with the operation, which may be answered after this has stopped waiting.
    auto answer = std::make_shared<std::optional<node::Event>>();
    submit(i, request, [answer](const node::Event* done) {
      *answer = node::Event{};
      (*answer)->status = Code::closed;
      if (done != nullptr) *answer = *done;
    });
    if (!run_until([&] { return answer->has_value(); }, timeout_us)) {
      *answer = node::Event{};
      (*answer)->status = Code::timeout;
      (*answer)->detail = "no DONE came";
    }
    if ((*answer)->status != Code::unreachable || tries == 0) return **answer;
    world_.run_for(kSecondUs);
  }
}

void NodeRun::add_canary(std::string name, Bytes bytes, bool on_disk) {
  for (const Canary& known : canaries_) {
    if (known.bytes == bytes) return;
  }
  std::string hex = to_hex(bytes);
  canaries_.push_back({std::move(name), std::move(bytes), std::move(hex), on_disk});
}

bool NodeRun::may_fail(size_t i, Code code) const {
  return code == Code::suspended || code == Code::closed || (code == Code::no_memory && faults_.memory_fails()) ||
         (faults_.disk_fails(i) && (code == Code::io || code == Code::no_space));
}

bool NodeRun::expect_ok(const node::Event& done, std::string_view what) {
  if (done.status == Code::ok) return true;
  return violated("answer", std::string(what) + " failed: " + std::string(code_name(done.status)) + " " + done.detail);
}

// ---- Afterwards -------------------------------------------------------------------------------------------------------------

bool NodeRun::close_all() {
  for (size_t i = 0; i < nodes(); ++i) {
    if (up(i)) machine(i).stop();
  }
  for (size_t i = 0; i < nodes(); ++i) {
    if (!world_.run_until([&] { return machine(i).stopped(); }, 60 * kSecondUs)) {
      return violated("close", "the node on machine " + std::to_string(i) + " does not close");
    }
  }
  return true;
}

// Whatever its application had told it: not suspended, and online. A suspension may still be under way.
bool NodeRun::resume(size_t i) {
  node::Event online;
  for (int tries = kTries; tries > 0; --tries) {
    Request request;
    request.kind = RequestKind::resume;
    (void)call(i, request);
    request.kind = RequestKind::set_online;
    request.a = 1;
    online = call(i, request);
    if (online.status != Code::suspended) break;
    world_.run_for(kSecondUs);
  }
  return expect_ok(online, "set_online");
}

bool NodeRun::settle() {
  phase("healing");
  faults_.heal();
  for (size_t i = 0; i < nodes(); ++i) {
    // After a disk error a store may refuse to write until it was opened anew.
    if (faults_.had_disk_faults(i) && up(i)) machine(i).stop();
    places_[i].up_at_us = 0;
  }
  const bool all_up = run_until(
      [&] {
        for (size_t i = 0; i < nodes(); ++i) {
          if (!up(i)) return false;
        }
        return true;
      },
      60 * kSecondUs);
  if (!all_up) return violated("start", "not every machine came up again");
  for (size_t i = 0; i < nodes(); ++i) {
    if (!resume(i)) return false;
  }
  const uint64_t end_us = now_us() + kPatienceUs + faults_.clock_jumps_us();
  uint64_t wait_us = 50'000;
  while (now_us() < end_us && holds()) {
    world_.run_for(wait_us);
    wait_us = std::min(wait_us * 2, kSecondUs);
    look_after_all();
    if (!holds()) return false;
    const bool idle = std::all_of(places_.begin(), places_.end(), [](const Place& p) { return p.pending.empty(); });
    if (workload_.settled(*this) && idle) return holds();
  }
  return violated("converge", "not settled in time: " + workload_.states(*this));
}

void NodeRun::check() {
  phase("checks");
  check_memory();
  workload_.check(*this);
  if (!holds() || !close_all()) return;
  for (size_t i = 0; i < nodes(); ++i) check_rest(i);
  check_patience();
}

// What is tried again and again waits longer and longer.
void NodeRun::check_patience() {
  const StreamNetwork& network = world_.network.stream;
  if (network.busiest_dialing() > kFailedDialsMax + workload_.dials()) {
    violated("dialing", std::to_string(network.busiest_dialing()) +
                            " dials of one machine to a peer that does not answer, in half a minute");
  }
  if (const size_t opened = network.busiest_opening(store::kSyncProtocol); opened > kSyncStreamsMax) {
    violated("dialing", std::to_string(opened) + " sync streams of one machine to another, in ten seconds");
  }
}

// All there is, in the heap of this process. Under sanitizers and other C libraries it cannot be asked.
void NodeRun::check_memory() {
#ifdef __GLIBC__
  uint64_t disks = 0;
  for (auto& m : world_.machines) {
    m->disk().for_each_file([&](std::string_view, ByteView bytes) { disks += bytes.size(); });
  }
  const uint64_t most = kHeapBase + nodes() * kHeapPerMachine + 3 * disks + workload_.memory();
  if (mallinfo2().uordblks > most) {
    violated("memory", std::to_string(mallinfo2().uordblks >> 20) + " MiB are in use, and " +
                           std::to_string(most >> 20) + " MiB are enough");
  }
#endif
}

// What is left of a machine's node when it has closed.
void NodeRun::check_rest(size_t i) {
  const std::string of = " on machine " + std::to_string(i);
  if (machine(i).done_violations() != 0) violated("done", "an operation" + of + " got no DONE, or two");
  if (machine(i).queue_violations() != 0) {
    violated("queue", "something that must not be lost was told" + of + " when the queue was full");
  }
  if (machine(i).busiest_second() > kStepsPerSecondMax) {
    violated("busy",
             "the node" + of + " was stepped " + std::to_string(machine(i).busiest_second()) + " times in one second");
  }
  machine(i).disk().for_each_file(
      [&](std::string_view path, ByteView bytes) { look_for_canaries(bytes, Seen::disk, path); });
}

// ---- Canaries -----------------------------------------------------------------------------------------------------------

// The streams of the cheap network are not encrypted; real hosts' packets are.
void NodeRun::watch_for_canaries() {
  if (plan_.transport != Transport::stream) {
    world_.network.set_tap([this](ByteView bytes) { look_for_canaries(bytes, Seen::wire, "a wire"); });
  }
  for (auto& m : world_.machines) {
    m->on_log = [this](std::string_view line) { look_for_canaries(as_bytes(line), Seen::log, "a log"); };
    m->on_device_seed = [this](ByteView seed) { add_canary("the secret key of a device", to_bytes(seed), true); };
  }
}

void NodeRun::look_for_canaries(ByteView bytes, Seen seen, std::string_view where) {
  for (const Canary& canary : canaries_) {
    if (canary.bytes.size() > bytes.size() || (seen == Seen::disk && !canary.on_disk)) continue;
    const bool in_hex = seen == Seen::log && as_text(bytes).find(canary.hex) != std::string_view::npos;
    if (in_hex || memmem(bytes.data(), bytes.size(), canary.bytes.data(), canary.bytes.size()) != nullptr) {
      violated("canary", canary.name + " is to be read in " + std::string(where));
    }
  }
}

}  // namespace sereus::sim
