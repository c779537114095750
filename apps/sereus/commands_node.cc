// status, version.
#include "apps/sereus/commands.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

struct StatusOptions {
  bool digest = false;
};

std::string state_digest(Client& client, sereus_id store) {
  sereus_rows* raw = nullptr;
  check("read the state digest", sereus_store_state_digest(client.node(), store, &raw));
  const Rows rows(raw);
  const sereus_head* head = sereus_rows_head(raw, 0);
  return head == nullptr ? std::string() : hex(view(head->value));
}

std::string address_text(const Json& addresses) {
  if (addresses.empty()) return "nowhere";
  std::string out;
  for (const auto& one : addresses) out += (out.empty() ? "" : "\n           ") + printable(one.get<std::string>());
  return out;
}

std::string store_table(const Json& stores, bool with_digest) {
  std::vector<std::string> header{"STORE", "ID", "STATE", "ENTRIES", "KEYS", "CONFLICTS", "SIZE", "DIGEST"};
  if (with_digest) header.push_back("STATE DIGEST");
  Table table(header);
  for (const auto& one : stores) {
    std::string state = one["state"].get<std::string>();
    if (one["forks"].get<uint64_t>() > 0) state += ", " + count(one["forks"].get<uint64_t>(), "fork");
    if (one["held"].get<uint64_t>() > 0) state += ", " + std::to_string(one["held"].get<uint64_t>()) + " held";
    std::vector<std::string> row{one["root"].get<bool>() ? "(root)" : printable(one["name"].get<std::string>()),
                                 one["store"].get<std::string>().substr(0, 8),
                                 state,
                                 std::to_string(one["entries"].get<uint64_t>()),
                                 std::to_string(one["keys"].get<uint64_t>()),
                                 std::to_string(one["conflicts"].get<uint64_t>()),
                                 human_size(one["log_bytes"].get<uint64_t>()),
                                 one["digest"].get<std::string>().substr(0, 12)};
    if (with_digest) row.push_back(one.value("state_digest", std::string()).substr(0, 16));
    table.row(row);
  }
  return table.text("  ");
}

std::string peer_table(Client& client) {
  const Rows rows = peer_rows(client);
  Table table({"PEER", "ID", "ROLE", "STATE", "LAST SYNC"});
  const uint64_t now = wall_ms_now();
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_peer_info& info = *sereus_rows_peer(rows.get(), i);
    if (info.is_self != 0) continue;
    table.row({printable(text(info.name)), short_id(text(info.peer)), role_name(info.role),
               info.removed != 0     ? "removed"
               : info.connected != 0 ? "connected"
                                     : "not connected",
               human_ago(info.last_sync_ms, now)});
  }
  return table.empty() ? "" : table.text("  ");
}

int status(Session& session, const StatusOptions& options) {
  Client& client = session.client(Need::local);
  const Json json = status_json(session, client, options.digest);
  if (session.out.json) {
    session.out.object(json);
    return kExitOk;
  }
  const Json& node = json["node"];
  std::string text =
      "Node       " + printable(node["name"].get<std::string>()) + ", peer " + node["peer"].get<std::string>() + "\n";
  text += "Data       " + printable(json["data"].get<std::string>()) +
          (node["protected"].get<bool>() ? ", protected" : ", no passphrase") + "\n";
  text += std::string("Daemon     ") + (client.is_daemon() ? "running" : "not running: `sereus up` starts it") + "\n";
  if (client.is_daemon()) {
    text += "Listening  " + (node["online"].get<bool>() ? address_text(node["addresses"]) : "offline") + "\n";
    text += "Traffic    sent " + human_size(node["bytes_sent"].get<uint64_t>()) + " with " +
            count(node["entries_sent"].get<uint64_t>(), "entry") + ", received " +
            human_size(node["bytes_received"].get<uint64_t>()) + " with " +
            count(node["entries_received"].get<uint64_t>(), "entry") + "\n";
  }
  if (node["clock_suspect"].get<bool>()) text += "Clock      looks wrong: see `sereus doctor`\n";
  text += json["stores"].empty() ? "Stores     none yet" : "Stores\n" + store_table(json["stores"], options.digest);
  const std::string peers = peer_table(client);
  text += peers.empty() ? "\nPeers      none yet" : "\nPeers\n" + peers;
  session.out.line(text);
  return kExitOk;
}

int version(Session& session, const NoOptions&) {
  const std::string header = std::to_string(SEREUS_VERSION_MAJOR) + "." + std::to_string(SEREUS_VERSION_MINOR) + "." +
                             std::to_string(SEREUS_VERSION_PATCH);
  session.out.result(Json{{"version", header}, {"library", sereus_version()}},
                     "sereus " + header + " (library " + sereus_version() + ")");
  return kExitOk;
}

}  // namespace

Json status_json(Session& session, Client& client, bool with_digests) {
  const Rows info = info_rows(client);
  Json stores = Json::array();
  const Rows rows = store_rows(client);
  for (size_t i = 0; i < sereus_rows_count(rows.get()); ++i) {
    const sereus_store_info& store = *sereus_rows_store(rows.get(), i);
    Json json = to_json(store);
    if (with_digests && store.state != SEREUS_STORE_DAMAGED) json["state_digest"] = state_digest(client, store.store);
    stores.push_back(json);
  }
  Json peers = Json::array();
  const Rows known = peer_rows(client);
  for (size_t i = 0; i < sereus_rows_count(known.get()); ++i)
    peers.push_back(to_json(*sereus_rows_peer(known.get(), i)));
  return Json{{"version", sereus_version()},
              {"data", session.data().string()},
              {"daemon", client.is_daemon()},
              {"node", to_json(*sereus_rows_info(info.get(), 0))},
              {"stores", stores},
              {"peers", peers}};
}

void add_node_commands(CLI::App& app, Session& session) {
  {
    auto [command, o] = add_command<StatusOptions>(app, session, kGroupNode, "status",
                                                   "Show the node, its stores and its peers", status);
    command->add_flag("--digest", o->digest,
                      "With the digest of each store's whole state, equal on replicas in the same state");
  }
  add_command<NoOptions>(app, session, kGroupNode, "version", "Show the versions", version);
}

}  // namespace cli
