// invite, invites, revoke-invite, join, peers, remove, add-address, sync.
#include <algorithm>

#include "apps/sereus/commands.h"
#include "apps/sereus/files.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint64_t kInviteSizeMax = 64 * 1024;
constexpr int kSyncRoundsMax = 5;  // a round may bring stores that the next one fills

uint32_t parse_role(const std::string& role) {
  return role == "read" ? SEREUS_ROLE_READ : role == "admin" ? SEREUS_ROLE_ADMIN : SEREUS_ROLE_WRITE;
}

struct InviteOptions {
  std::string peer;
  std::string role = "write";
  uint32_t uses = 1;
  std::string expires = "24h";
  bool qr = false;
  bool no_qr = false;
};

int invite(Session& session, const InviteOptions& options) {
  const uint32_t expires_s = parse_duration_s(options.expires);
  Client& client = session.client(Need::online);
  const std::string peer = options.peer.empty() ? "" : session.peer(client, options.peer);
  sereus_invite_options invite_options = SEREUS_INIT(sereus_invite_options);
  invite_options.role = parse_role(options.role);
  invite_options.uses_max = options.uses;
  invite_options.expires_s = expires_s;
  invite_options.peer = peer.empty() ? nullptr : peer.c_str();
  const Done done = client.run("make an invite",
                               [&](sereus_id* op) { return sereus_invite_create(client.node(), &invite_options, op); });
  Json json{{"invite", done.data},
            {"role", options.role},
            {"uses", options.uses},
            {"expires", iso_time(wall_ms_now() + uint64_t{expires_s} * 1000)},
            {"daemon", client.is_daemon()}};
  json["peer"] = peer;
  session.out.note("Whoever has this line may join with role " + options.role + ", " +
                   (options.uses == 1 ? "once" : "up to " + std::to_string(options.uses) + " times") + " within " +
                   options.expires + ". It is a secret until then:\n");
  session.out.result(json, done.data);
  session.out.flush();
  if (!session.out.json && !options.no_qr && (options.qr || stdout_is_tty())) {
    const std::string code = qr_text(done.data, stdout_is_tty());
    if (code.empty()) {
      session.out.warning("the invite is too long for a QR code");
    } else {
      session.out.raw("\n" + code);
    }
  }
  session.out.note("\nOn the other device: sereus join INVITE");
  if (!client.is_daemon()) {
    session.out.warning("the node is not running: start `sereus up` here, so that the invite can be redeemed");
  }
  return kExitOk;
}

int invites(Session& session, const NoOptions&) {
  Client& client = session.client(Need::local);
  sereus_rows* raw = nullptr;
  check("list the invites", sereus_invites(client.node(), &raw));
  const Rows rows(raw);
  Table table({"ID", "ROLE", "USES LEFT", "EXPIRES", "STATE", "FOR"});
  for (size_t i = 0; i < sereus_rows_count(raw); ++i) {
    const sereus_invite_info& info = *sereus_rows_invite(raw, i);
    const Json json = to_json(info);
    session.out.object(json);
    const std::string state = info.revoked != 0             ? "revoked"
                              : json["expired"].get<bool>() ? "expired"
                              : info.uses_left == 0         ? "used"
                                                            : "open";
    const uint64_t expires_ms = info.expires_wall_s <= 0 ? 0 : static_cast<uint64_t>(info.expires_wall_s) * 1000;
    table.row({text(info.id), role_name(info.role), std::to_string(info.uses_left), human_time(expires_ms), state,
               text(info.peer).empty() ? "anybody" : short_id(text(info.peer))});
  }
  if (table.empty()) {
    session.out.note("There is no invite.");
  } else {
    session.out.line(table.text());
  }
  return kExitOk;
}

struct Argument {
  std::string value;
};

int revoke_invite(Session& session, const Argument& options) {
  Client& client = session.client(Need::local);
  client.run("revoke the invite",
             [&](sereus_id* op) { return sereus_invite_revoke(client.node(), options.value.c_str(), op); });
  session.out.result(Json{{"revoked", true}}, "The invite was revoked.");
  return kExitOk;
}

struct SyncResult {
  uint64_t received = 0;
  uint64_t sent = 0;
};

void show_progress(Client& client, Progress& progress) {
  client.on_event([&progress](const sereus_event* event) {
    const sereus_sync_progress* sync = sereus_event_sync_progress(event);
    if (sync == nullptr || sync->entries_missing == 0) return;
    progress.update(sync->entries_received, sync->entries_received + sync->entries_missing);
  });
}

SyncResult sync_once(Client& client, sereus_id store, const std::string& peer) {
  const Done done = client.run("sync", [&](sereus_id* op) {
    return sereus_sync(client.node(), store, peer.empty() ? nullptr : peer.c_str(), op);
  });
  return {done.count, done.count_sent};
}

struct JoinOptions {
  std::string invite;
  bool no_wait = false;
};

int join(Session& session, const JoinOptions& options) {
  std::string invite_text = options.invite == "-" ? read_file("-", kInviteSizeMax) : options.invite;
  invite_text.erase(
      std::remove_if(invite_text.begin(), invite_text.end(), [](char c) { return c == '\n' || c == '\r' || c == ' '; }),
      invite_text.end());
  if (invite_text.empty()) throw usage_failure("the invite is empty", "give the line that `sereus invite` printed");
  Client& client = session.client(Need::online);
  Progress progress(session.out, "Receiving", 0);
  show_progress(client, progress);
  client.run("join", [&](sereus_id* op) { return sereus_join(client.node(), invite_text.c_str(), op); });
  SyncResult total;
  if (!options.no_wait) {
    // Stores are learned from the root store, so that a first round may bring the need for another.
    size_t known = 0;
    for (int round = 0; round < kSyncRoundsMax; ++round) {
      const SyncResult one = sync_once(client, 0, "");
      total.received += one.received;
      total.sent += one.sent;
      const size_t now = sereus_rows_count(store_rows(client).get());
      if (round > 0 && now == known) break;
      known = now;
    }
  }
  progress.clear();
  client.on_event(nullptr);
  Json stores = Json::array();
  std::string names;
  const Rows rows = store_rows(client);
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info& info = *sereus_rows_store(rows.get(), i);
    stores.push_back(to_json(info));
    if (info.is_root == 0) {
      names +=
          (names.empty() ? "" : ", ") + ("'" + printable(text(info.name)) + "' (" + count(info.entries, "entry") + ")");
    }
  }
  session.out.result(Json{{"joined", true}, {"entries_received", total.received}, {"stores", stores}},
                     "Joined." + (names.empty() ? "" : " Stores here: " + names + "."));
  if (!client.is_daemon()) session.out.note("To stay in step, run `sereus up`.");
  return kExitOk;
}

int peers(Session& session, const NoOptions&) {
  Client& client = session.client(Need::local);
  const Rows rows = peer_rows(client);
  const uint64_t now = wall_ms_now();
  Table table({"NAME", "PEER", "ROLE", "STATE", "LAST SYNC", "ADDRESSES"});
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_peer_info& info = *sereus_rows_peer(rows.get(), i);
    session.out.object(to_json(info));
    std::string state = info.is_self != 0     ? "this device"
                        : info.removed != 0   ? "removed"
                        : info.connected != 0 ? "connected"
                                              : "not connected";
    if (info.connected == 0 && info.failures > 0)
      state += " (" + count(info.failures, "failure") + ": " + printable(text(info.detail)) + ")";
    std::string addresses = printable(text(info.addresses));
    const size_t more = static_cast<size_t>(std::count(addresses.begin(), addresses.end(), '\n'));
    table.row({printable(text(info.name)), text(info.peer), role_name(info.role), state,
               info.is_self != 0 ? "" : human_ago(info.last_sync_ms, now),
               more == 0 ? addresses : addresses.substr(0, addresses.find('\n')) + " +" + std::to_string(more)});
  }
  if (table.empty()) {
    session.out.note("There are no peers yet: `sereus invite` one.");
  } else {
    session.out.line(table.text());
  }
  return kExitOk;
}

int remove_peer(Session& session, const Argument& options) {
  Client& client = session.client(Need::local);
  const std::string peer = session.peer(client, options.value);
  client.run("remove the peer", [&](sereus_id* op) { return sereus_peer_remove(client.node(), peer.c_str(), op); });
  session.out.result(Json{{"peer", peer}, {"removed", true}},
                     "The peer " + short_id(peer) + " can neither sync nor write from now on.");
  return kExitOk;
}

struct AddressOptions {
  std::string peer;
  std::string address;
};

int add_address(Session& session, const AddressOptions& options) {
  Client& client = session.client(Need::local);
  const std::string peer = session.peer(client, options.peer);
  client.run("add the address", [&](sereus_id* op) {
    return sereus_peer_add_address(client.node(), peer.c_str(), options.address.c_str(), op);
  });
  session.out.result(Json{{"peer", peer}, {"address", options.address}},
                     "The peer " + short_id(peer) + " is also tried at " + printable(options.address) + ".");
  return kExitOk;
}

struct SyncOptions {
  std::string store;
  std::string peer;
};

int sync(Session& session, const SyncOptions& options) {
  Client& client = session.client(Need::online);
  const bool one = !options.store.empty() || !session.globals.store.empty();
  const sereus_id store = one ? session.store(client, options.store) : 0;
  const std::string peer = session.peer(client, options.peer);
  Progress progress(session.out, "Receiving", 0);
  show_progress(client, progress);
  const SyncResult result = sync_once(client, store, peer);
  client.on_event(nullptr);
  progress.clear();
  session.out.result(
      Json{{"in_step", true}, {"entries_received", result.received}, {"entries_sent", result.sent}},
      "In step: received " + count(result.received, "entry") + ", sent " + count(result.sent, "entry") + ".");
  return kExitOk;
}

}  // namespace

void add_peer_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] =
        add_command<InviteOptions>(app, session, kGroupPeers, "invite", "Make an invite: a line and a QR code", invite);
    command->add_option("PEER", o->peer, "Only this peer id may redeem it (default: whoever has it)");
    command->add_option("--role", o->role, "read, write or admin (default: write)")
        ->type_name("ROLE")
        ->check(CLI::IsMember({"read", "write", "admin"}));
    command->add_option("--uses", o->uses, "How often it can be redeemed (default: 1)")
        ->type_name("N")
        ->check(CLI::Range(1u, 1000000u));
    command->add_option("--expires", o->expires, "How long it lives: 90s, 15m, 24h, 7d (default: 24h)")
        ->type_name("TIME");
    auto* qr = command->add_flag("--qr", o->qr, "Draw the QR code, also when standard output is no terminal");
    command->add_flag("--no-qr", o->no_qr, "Do not draw it")->excludes(qr);
  }
  add_command<NoOptions>(app, session, kGroupPeers, "invites", "Show the invites made here", invites);
  {
    auto [command, o] =
        add_command<Argument>(app, session, kGroupPeers, "revoke-invite", "Make an invite useless", revoke_invite);
    command->add_option("ID", o->value, "As invites shows it, or the whole invite")->required();
  }
  {
    auto [command, o] =
        add_command<JoinOptions>(app, session, kGroupPeers, "join", "Redeem an invite and receive its stores", join);
    command->add_option("INVITE", o->invite, "The line; - reads it from standard input")->required();
    command->add_flag("--no-wait", o->no_wait, "Return as soon as admitted, before the stores are in step");
  }
  add_command<NoOptions>(app, session, kGroupPeers, "peers", "Show the peers", peers);
  {
    auto [command, o] = add_command<Argument>(app, session, kGroupPeers, "remove",
                                              "Revoke a peer: no more sync, no more writes", remove_peer);
    command->add_option("PEER", o->value, "Peer id, its end, or a name")->required();
  }
  {
    auto [command, o] = add_command<AddressOptions>(app, session, kGroupPeers, "add-address",
                                                    "Tell where a peer can be reached", add_address);
    command->add_option("PEER", o->peer, "Peer id, its end, or a name")->required();
    command->add_option("ADDRESS", o->address, "Like /ip4/192.0.2.1/udp/4001/quic-v1 or /ip4/192.0.2.1/tcp/4001")
        ->required();
  }
  {
    auto [command, o] =
        add_command<SyncOptions>(app, session, kGroupPeers, "sync", "Sync now and wait until in step", sync);
    command->add_option("STORE", o->store, "Only this store (default: all)");
    command->add_option("PEER", o->peer, "Only with this peer (default: all that can be reached)");
  }
}

}  // namespace cli
