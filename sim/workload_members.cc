#include "sim/workload_members.h"

#include <algorithm>
#include <set>

#include "core/node/invite.h"
#include "core/node/root_state.h"
#include "sim/fault_mix.h"
#include "sim/node_run.h"
#include "sim/shared_store.h"

namespace sereus::sim {
namespace {

using node::Query;
using node::QueryKind;
using node::Request;
using node::RequestKind;
using node::Role;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr const char* kStoreName = "shared";
constexpr size_t kAdmin = 0;

enum ActionKind : uint32_t { kInvite, kJoin, kRevoke, kRemove, kWrite, kCreate, kRemoveThis, kInviteAll, kJoinAll };

// What the application on the first machine, which is the only admin, knows of an invite.
struct Issued {
  Bytes text;
  bool for_all = false;
  Role role = Role::write;
  uint32_t uses = 1;
  uint64_t expires_s = 3600;
  int64_t expires_wall_us = 0;
  std::optional<size_t> bound_to;
  std::optional<uint64_t> revoked_us;  // when the DONE of the revocation was there
  std::set<size_t> redeemed;
};

struct Device {
  std::string peer;
  uint64_t store = 0;                  // handle in the present process
  bool joined = false;                 // a join said ok
  bool asked_to_read = false;          // it ever tried an invite that gives less
  bool asked_to_write = false;         // it ever tried an invite that gives the right to write
  std::optional<uint64_t> removed_us;  // the DONE of the last removal
  bool removal_asked = false;          // one was asked for: what it writes may or may not count from then on
  uint64_t joining = 0;                // joins under way
  uint64_t rejoined = 0;               // joins that were under way when a removal was asked for, or submitted after it
  std::vector<Role> roles;             // of joins that said ok
};

class MembersRun : public NodeWorkload {
 public:
  bool set_up(NodeRun& run) override;
  void act(NodeRun& run, const Action& action) override;
  void on_up(NodeRun& run, size_t i) override { tend(run, i); }
  void on_down(NodeRun&, size_t i) override {
    if (!devices_.empty()) devices_[i].store = 0;
  }
  void tend(NodeRun& run, size_t i) override {
    if (!devices_.empty() && devices_[i].store == 0) devices_[i].store = store_handle(run.machine(i), kStoreName);
  }
  bool settled(NodeRun& run) override;
  std::string states(NodeRun& run) override;
  size_t dials() const override { return joins_; }
  void check(NodeRun& run) override;

 private:
  // A write of a key that only its machine writes, once.
  struct Write {
    std::string key;
    std::string value;
    size_t machine = 0;
    bool acknowledged = false;
    bool after_removal = false;  // submitted when its machine's removal had been answered
    bool at_removal = false;     // the admin had it when it removed the machine
    std::set<size_t> removed;    // machines whose removal had been answered when this was submitted
  };

  static Issued draw_invite(NodeRun& run, SimRandom& draws);
  static Issued for_all(NodeRun& run);
  void invite(NodeRun& run, Issued issued);
  void join(NodeRun& run, size_t i, size_t number);
  void joined(NodeRun& run, size_t i, size_t number, uint64_t asked_us, int64_t asked_wall_us);
  void revoke(NodeRun& run, SimRandom& draws);
  void remove(NodeRun& run, size_t i);
  bool all_know_of_removal(NodeRun& run, size_t gone);
  void write(NodeRun& run, size_t i);
  void create(NodeRun& run, size_t i, const std::string& name);
  bool everywhere(NodeRun& run, const Write& write);
  // Every steady member is to have it at the end.
  bool is_owed(const Write& write) const {
    // What a device wrote is judged by what it may do now: one that came back to read only has written nothing for who joins later.
    const Device& device = devices_[write.machine];
    const bool lost_rights = device.rejoined != 0 || (device.asked_to_read && device.asked_to_write);
    return (write.at_removal && !lost_rights) || (write.acknowledged && is_steady(write.machine));
  }
  void check_outsiders(NodeRun& run);
  // Members whose writes count without question.
  // Nobody took a right from them: who loses one while it writes keeps what it wrote before it heard of it, and others do
  // not take it.
  bool is_steady(size_t i) const {
    const Device& device = devices_[i];
    return i == kAdmin || (device.joined && !device.removal_asked && !(device.asked_to_read && device.asked_to_write));
  }

  // Its removal was answered, and it has not tried to come back.
  bool is_out(size_t i) const { return devices_[i].removed_us.has_value() && devices_[i].rejoined == 0; }

  std::vector<Device> devices_;
  std::vector<Issued> invites_;
  std::optional<size_t> for_all_;  // the number of an invite that lets everybody in
  std::vector<Write> writes_;
  size_t joins_ = 0;
  bool clocks_are_whole_ = true;
};

// ---- Before anything goes wrong -------------------------------------------------------------------------------------

bool MembersRun::set_up(NodeRun& run) {
  devices_.resize(run.nodes());
  for (const Fault& fault : run.plan().faults) {
    if (fault.kind == FaultKind::clock_jump || fault.kind == FaultKind::sleep) clocks_are_whole_ = false;
  }
  for (size_t i = 0; i < run.nodes(); ++i) devices_[i].peer = info_of(run.machine(i)).peer;
  if (run.knob("mesh") != 0 && !introduce_all(run)) return false;
  Request create;
  create.kind = RequestKind::store_create;
  create.x = to_bytes(kStoreName);
  return run.expect_ok(run.call(kAdmin, create), "store_create");
}

// ---- While things go wrong ------------------------------------------------------------------------------------------

void MembersRun::act(NodeRun& run, const Action& action) {
  SimRandom draws(action.draws);
  const bool of_anybody =
      action.kind == kJoin || action.kind == kWrite || action.kind == kCreate || action.kind == kJoinAll;
  const size_t i = of_anybody ? action.machine : kAdmin;
  if (!run.up(i)) return;
  switch (action.kind) {
    case kInvite:
      return invite(run, draw_invite(run, draws));
    case kInviteAll:
      return invite(run, for_all(run));
    case kJoin:
      return invites_.empty() ? void() : join(run, i, draws.below(invites_.size()));
    case kJoinAll:
      return for_all_.has_value() ? join(run, i, *for_all_) : void();
    case kRevoke:
      return revoke(run, draws);
    case kRemove:
      return remove(run, draws.between(1, run.nodes() - 1));
    case kRemoveThis:
      return remove(run, action.machine);
    case kCreate:
      return create(run, i, "made by " + std::to_string(i));
    default:
      return write(run, i);
  }
}

// A store in the machine's own root, which begins with the first of them.
void MembersRun::create(NodeRun& run, size_t i, const std::string& name) {
  Request request;
  request.kind = RequestKind::store_create;
  request.x = to_bytes(name);
  run.submit(i, std::move(request), [&run](const node::Event* done) {
    if (done != nullptr && done->status == Code::ok) run.count("stores made");
  });
}

Issued MembersRun::draw_invite(NodeRun& run, SimRandom& draws) {
  Issued issued;
  issued.role = draws.chance(25) ? Role::read : Role::write;
  issued.uses = draws.chance(70) ? 1 : static_cast<uint32_t>(draws.between(2, 3));
  issued.expires_s = draws.chance(30) ? draws.between(1, 20) : 3600;
  if (draws.chance(20)) issued.bound_to = draws.below(run.nodes());
  return issued;
}

Issued MembersRun::for_all(NodeRun& run) {
  Issued issued;
  issued.for_all = true;
  issued.uses = static_cast<uint32_t>(run.nodes());
  return issued;
}

void MembersRun::invite(NodeRun& run, Issued issued) {
  Request request;
  request.kind = RequestKind::invite_create;
  request.a = static_cast<uint64_t>(issued.role);
  request.b = issued.uses;
  request.c = issued.expires_s;
  if (issued.bound_to) request.x = to_bytes(devices_[*issued.bound_to].peer);
  run.submit(kAdmin, std::move(request), [this, &run, issued](const node::Event* done) mutable {
    if (done == nullptr || done->status != Code::ok) return;
    issued.text = done->data;
    // At the latest: the request may have waited where a process stood still.
    issued.expires_wall_us = run.machine(kAdmin).times().wall_us + static_cast<int64_t>(issued.expires_s * kSecondUs);
    if (const auto invite = node::invite_from_text(as_text(issued.text)); invite.ok()) {
      run.add_canary("the token of an invite", Bytes(invite->token.begin(), invite->token.end()), true);
    }
    if (issued.for_all) for_all_ = invites_.size();
    invites_.push_back(std::move(issued));
    run.count("invites");
  });
}

void MembersRun::join(NodeRun& run, size_t i, size_t number) {
  if (i == kAdmin) return;
  Request request;
  request.kind = RequestKind::join;
  request.x = invites_[number].text;
  (invites_[number].role == Role::read ? devices_[i].asked_to_read : devices_[i].asked_to_write) = true;
  ++devices_[i].joining;
  if (devices_[i].removal_asked) ++devices_[i].rejoined;
  run.note(i, "joins with invite " + std::to_string(number));
  run.count("joins asked for");
  ++joins_;
  run.submit(i, std::move(request),
             [this, &run, i, number, asked_us = run.now_us(),
              asked_wall_us = run.machine(kAdmin).times().wall_us](const node::Event* done) {
               --devices_[i].joining;
               if (done != nullptr && done->status == Code::ok) joined(run, i, number, asked_us, asked_wall_us);
             });
}

// A join was let in: was that right?
void MembersRun::joined(NodeRun& run, size_t i, size_t number, uint64_t asked_us, int64_t asked_wall_us) {
  Issued& issued = invites_[number];
  const std::string what =
      "machine " + std::to_string(i) + " joined with invite " + std::to_string(number) + ", which ";
  run.count("joins");
  devices_[i].joined = true;
  devices_[i].roles.push_back(issued.role);
  issued.redeemed.insert(i);
  if (issued.redeemed.size() > issued.uses) {
    run.violated("invite", what + "was for " + std::to_string(issued.uses) + " and had been used up");
  }
  if (issued.bound_to && *issued.bound_to != i) run.violated("invite", what + "was for another device");
  // Its clock counts whole seconds.
  if (clocks_are_whole_ && asked_wall_us > issued.expires_wall_us + 2 * static_cast<int64_t>(kSecondUs)) {
    run.violated("invite", what + "had expired");
  }
  if (issued.revoked_us && asked_us > *issued.revoked_us) run.violated("invite", what + "had been revoked");
}

void MembersRun::revoke(NodeRun& run, SimRandom& draws) {
  if (invites_.empty()) return;
  const size_t number = draws.below(invites_.size());
  Request request;
  request.kind = RequestKind::invite_revoke;
  request.x = invites_[number].text;
  run.submit(kAdmin, std::move(request), [this, &run, number](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok || invites_[number].revoked_us) return;
    invites_[number].revoked_us = run.now_us();
    run.count("revocations");
  });
}

void MembersRun::remove(NodeRun& run, size_t i) {
  if (i == kAdmin) return;
  Request request;
  request.kind = RequestKind::peer_remove;
  request.x = to_bytes(devices_[i].peer);
  devices_[i].removal_asked = true;
  devices_[i].rejoined += devices_[i].joining;  // those may be let in after it
  run.note(kAdmin, "removes machine " + std::to_string(i));
  // What counts of the removed device is what the admin has by now, for everybody.
  for (Write& write : writes_) {
    if (write.machine != i) continue;
    const auto value = value_of(run.machine(kAdmin), devices_[kAdmin].store, write.key);
    write.at_removal = write.at_removal || (value.ok() && value->has_value());
  }
  run.submit(kAdmin, std::move(request), [this, &run, i](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok) return;
    devices_[i].removed_us = run.now_us();
    run.count("removals");
  });
}

// Who has not heard of it goes on syncing with the one who was removed.
bool MembersRun::all_know_of_removal(NodeRun& run, size_t gone) {
  Query query;
  query.kind = QueryKind::peers;
  for (size_t i = 0; i < run.nodes(); ++i) {
    if (i == gone || (i != kAdmin && !devices_[i].joined)) continue;
    if (!run.up(i)) return false;
    const auto rows = run.machine(i).query(query);
    if (!rows.ok()) return false;
    const auto& peers = std::get<std::vector<node::PeerRow>>(*rows);
    const bool knows = std::any_of(peers.begin(), peers.end(), [&](const node::PeerRow& row) {
      return row.removed && row.peer == devices_[gone].peer;
    });
    if (!knows) return false;
  }
  return true;
}

void MembersRun::write(NodeRun& run, size_t i) {
  if (devices_[i].store == 0) return;
  Write write;
  write.machine = i;
  write.key = "own/" + std::to_string(i) + "/" + std::to_string(writes_.size());
  write.value = "machine " + std::to_string(i) + " writes number " + std::to_string(writes_.size());
  write.after_removal = is_out(i);
  for (size_t other = 0; other < run.nodes(); ++other) {
    if (is_out(other) && all_know_of_removal(run, other)) write.removed.insert(other);
  }
  Request request;
  request.kind = RequestKind::store_write;
  request.store = devices_[i].store;
  store::WriteOp op;
  op.key = to_bytes(write.key);
  op.value = to_bytes(write.value);
  request.writes.push_back(std::move(op));
  const size_t number = writes_.size();
  writes_.push_back(std::move(write));
  run.submit(i, std::move(request), [this, &run, i, number](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok) return;
    writes_[number].acknowledged = true;
    run.count("writes acknowledged");
    if (i != kAdmin && !devices_[i].asked_to_write) {
      run.violated("role", "machine " + std::to_string(i) + " may only read, and its write was taken");
    }
  });
}

// ---- Afterwards -------------------------------------------------------------------------------------------------------

bool MembersRun::everywhere(NodeRun& run, const Write& write) {
  for (size_t i = 0; i < run.nodes(); ++i) {
    if (!is_steady(i)) continue;
    const auto value = value_of(run.machine(i), devices_[i].store, write.key);
    if (!value.ok() || *value != write.value) return false;
  }
  return true;
}

// What a removed device wrote is not asked for: members who had taken it before they heard of the removal keep it.
bool MembersRun::settled(NodeRun& run) {
  for (size_t i = 0; i < run.nodes(); ++i) {
    if (is_steady(i) && devices_[i].store == 0) return false;
  }
  const bool all_steady = std::all_of(devices_.begin(), devices_.end(), [](const Device& d) {
    return !d.removal_asked && !(d.asked_to_read && d.asked_to_write);
  });
  const node::StoreRow first = store_row(run.machine(kAdmin), kStoreName);
  for (size_t i = 0; i < run.nodes() && all_steady; ++i) {
    if (!is_steady(i)) continue;
    const node::StoreRow row = store_row(run.machine(i), kStoreName);
    if (row.stats.digest != first.stats.digest || row.stats.held != 0) return false;
  }
  return std::all_of(writes_.begin(), writes_.end(),
                     [&](const Write& write) { return !is_owed(write) || everywhere(run, write); });
}

std::string roles_of(const Device& device) {
  std::string out;
  for (const Role role : device.roles) out += " " + std::string(node::role_name(role));
  return out;
}

std::string MembersRun::states(NodeRun& run) {
  std::string text;
  for (size_t i = 0; i < run.nodes(); ++i) {
    const Device& device = devices_[i];
    text += " [" + std::to_string(i) + ": " + (device.joined ? "joined" : "not joined") + roles_of(device) +
            (device.removal_asked ? ", to be removed" : "") + (device.removed_us ? ", removed" : "") + "," +
            describe(run.machine(i)) + "]";
  }
  for (const Write& write : writes_) {
    if (is_owed(write) && !everywhere(run, write)) return text + " missing: " + write.key;
  }
  return text;
}

// Who was removed gets nothing any more: by now all paths are open and everybody has had time.
void MembersRun::check_outsiders(NodeRun& run) {
  for (const Write& write : writes_) {
    for (const size_t i : write.removed) {
      if (!is_out(i) || write.machine == i || devices_[i].store == 0) continue;
      const auto value = value_of(run.machine(i), devices_[i].store, write.key);
      if (value.ok() && value->has_value()) {
        run.violated("removal",
                     "machine " + std::to_string(i) + " was removed, and got " + write.key + ", written later");
      }
    }
  }
}

void MembersRun::check(NodeRun& run) {
  check_outsiders(run);
  for (const Write& write : writes_) {
    const auto value = value_of(run.machine(kAdmin), devices_[kAdmin].store, write.key);
    if (!value.ok()) return (void)run.violated("read", "reading " + write.key + " failed: " + value.error().detail);
    if (*value && **value != write.value)
      return (void)run.violated("values", write.key + " has a value that nobody wrote");
    const bool rejoined = devices_[write.machine].rejoined != 0;
    if (write.after_removal && !rejoined && *value) {
      return (void)run.violated("removal", "the admin has " + write.key + ", written when its device had been removed");
    }
  }
  for (size_t i = 0; i < run.nodes() && run.holds(); ++i) {
    // Whatever broke off before: everybody can make stores of its own.
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("made at the end");
    if (!run.expect_ok(run.call(i, create), "store_create at the end on machine " + std::to_string(i))) return;
    if (!is_steady(i)) continue;
    Request verify;
    verify.kind = RequestKind::store_verify;
    verify.store = devices_[i].store;
    if (!run.expect_ok(run.call(i, verify), "store_verify")) return;
  }
}

// ---- What is drawn ----------------------------------------------------------------------------------------------------

// Everybody joins; then the admin is cut off and removes one, who writes on; another takes it, and brings it to the admin when
// the one who was removed is away. The admin must not take it.
void draw_late_news(SimRandom& random, Plan& plan) {
  const uint64_t begin_us = plan.duration_us;
  const size_t gone = random.between(1, plan.nodes - 1);
  plan.duration_us += 20 * kSecondUs;
  plan.knobs["mesh"] = 1;
  for (uint64_t n = 0; n < 3; ++n) {
    plan.actions.push_back({begin_us + n * kSecondUs, kAdmin, kInviteAll, random.next_u64()});
    for (size_t i = 1; i < plan.nodes; ++i) {
      plan.actions.push_back({begin_us + n * kSecondUs + kSecondUs / 2, i, kJoinAll, random.next_u64()});
    }
  }
  Fault apart;
  apart.kind = FaultKind::isolate;
  apart.machine = kAdmin;
  apart.at_us = begin_us + 6 * kSecondUs;
  apart.for_us = 8 * kSecondUs;
  plan.faults.push_back(apart);
  plan.actions.push_back({begin_us + 7 * kSecondUs, gone, kRemoveThis, random.next_u64()});
  for (uint64_t n = 0; n < 4; ++n) {
    plan.actions.push_back({begin_us + 8 * kSecondUs + n * kSecondUs / 2, gone, kWrite, random.next_u64()});
  }
  Fault away;
  away.kind = FaultKind::stop;
  away.machine = gone;
  away.at_us = begin_us + 13 * kSecondUs;
  away.for_us = 60 * kSecondUs;
  plan.faults.push_back(away);
}

void draw_members(SimRandom& random, Plan& plan) {
  SimRandom own = random.fork("members");
  if (plan.duration_us == 0) plan.duration_us = own.between(10 * kSecondUs, 60 * kSecondUs);
  plan.knobs["families"] = static_cast<int64_t>(own.below(3));
  plan.knobs["look_us"] = static_cast<int64_t>(draw_scale(own, 1'000, 500'000));
  const uint64_t removals = own.below(8);
  const uint64_t count = own.between(15, 80);
  plan.actions.reserve(count + 1);
  plan.actions.push_back({0, kAdmin, kInvite, own.next_u64()});
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t dice = own.below(100);
    const uint32_t kind = dice < removals ? kRemove
                          : dice < 12     ? kRevoke
                          : dice < 25     ? kInvite
                          : dice < 50     ? kJoin
                          : dice < 58     ? kCreate
                                          : kWrite;
    plan.actions.push_back({own.below(plan.duration_us), own.below(plan.nodes), kind, own.next_u64()});
  }
  SimRandom faults = random.fork("faults");
  draw_faults(faults, plan, all_survivable_faults());
  plan.knobs["mesh"] = own.chance(30) ? 1 : 0;
  if (plan.nodes > 2 && own.chance(20)) draw_late_news(own, plan);
}

}  // namespace

const Workload kMembersWorkload = {"members",
                                   "an admin invites, revokes and removes while members join and write",
                                   18,
                                   2,
                                   5,
                                   draw_members,
                                   run_nodes<MembersRun>};

}  // namespace sereus::sim
