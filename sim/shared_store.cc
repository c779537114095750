#include "sim/shared_store.h"

#include <algorithm>

namespace sereus::sim {

using node::Query;
using node::QueryKind;
using node::Request;
using node::RequestKind;

node::StoreRow store_row(SimMachine& machine, std::string_view name) {
  Query query;
  query.kind = QueryKind::store_open;
  query.x = to_bytes(name);
  const auto rows = machine.query(query);
  if (!rows.ok()) return {};
  const auto* stores = std::get_if<std::vector<node::StoreRow>>(&*rows);
  return stores == nullptr || stores->empty() ? node::StoreRow{} : stores->front();
}

uint64_t store_handle(SimMachine& machine, std::string_view name) { return store_row(machine, name).store; }

Result<std::vector<store::Head>> heads_of(SimMachine& machine, uint64_t store, const std::string& key) {
  Query query;
  query.kind = QueryKind::heads;
  query.store = store;
  query.x = to_bytes(key);
  auto rows = machine.query(query);
  if (rows.code() == Code::not_found) return std::vector<store::Head>{};
  if (!rows.ok()) return rows.error();
  return std::get<std::vector<store::Head>>(std::move(*rows));
}

node::InfoRow info_of(SimMachine& machine) {
  Query query;
  query.kind = QueryKind::info;
  const auto rows = machine.query(query);
  return rows.ok() ? std::get<std::vector<node::InfoRow>>(*rows).front() : node::InfoRow{};
}

bool introduce_all(NodeRun& run) {
  for (size_t i = 1; i < run.nodes(); ++i) {
    const node::InfoRow info = info_of(run.machine(i));
    for (size_t other = 1; other < run.nodes(); ++other) {
      if (other == i) continue;
      for (size_t at = 0; at < info.addresses.size();) {
        const size_t end = std::min(info.addresses.find('\n', at), info.addresses.size());
        Request request;
        request.kind = RequestKind::peer_add_address;
        request.x = to_bytes(info.peer);
        request.y = to_bytes(info.addresses.substr(at, end - at));
        at = end + 1;
        if (!run.expect_ok(run.call(other, request), "peer_add_address")) return false;
      }
    }
  }
  return true;
}

std::string describe(SimMachine& machine) {
  Query query;
  query.kind = QueryKind::stores;
  const auto stores = machine.query(query);
  if (!stores.ok()) return std::string(code_name(stores.code())) + " " + stores.error().detail;
  std::string out;
  for (const node::StoreRow& row : std::get<std::vector<node::StoreRow>>(*stores)) {
    out += " " + (row.is_root ? "root" : row.name) + ": state " + std::to_string(static_cast<uint32_t>(row.state)) +
           ", entries " + std::to_string(row.stats.entries) + ", held " + std::to_string(row.stats.held) + ", digest " +
           brief(row.stats.digest.view()) + (row.detail.empty() ? "" : " (" + row.detail + ")") + ";";
  }
  query.kind = QueryKind::peers;
  const auto peers = machine.query(query);
  if (!peers.ok()) return out;
  for (const node::PeerRow& row : std::get<std::vector<node::PeerRow>>(*peers)) {
    if (row.is_self) continue;
    out += " peer " + row.name + (row.connected ? " connected" : " not connected") + (row.removed ? " removed" : "") +
           ", failures " + std::to_string(row.failures) + (row.detail.empty() ? "" : " (" + row.detail + ")") + ";";
  }
  return out;
}

Bytes state_digest(SimMachine& machine, uint64_t store) {
  Query query;
  query.kind = QueryKind::state_digest;
  query.store = store;
  const auto rows = machine.query(query);
  if (!rows.ok()) return {};
  return std::get<std::vector<store::Head>>(*rows).front().value;
}

Result<std::optional<std::string>> value_of(SimMachine& machine, uint64_t store, const std::string& key) {
  Query query;
  query.kind = QueryKind::get;
  query.store = store;
  query.x = to_bytes(key);
  const auto rows = machine.query(query);
  if (rows.code() == Code::not_found) return std::optional<std::string>();
  if (!rows.ok()) return rows.error();
  return std::optional(to_string(ByteView(std::get<std::vector<store::Head>>(*rows).front().value)));
}

bool join_through_invite(NodeRun& run, size_t issuer, size_t guest) {
  Request invite;
  invite.kind = RequestKind::invite_create;
  const node::Event text = run.call(issuer, invite);
  if (!run.expect_ok(text, "invite_create")) return false;
  Request join;
  join.kind = RequestKind::join;
  join.x = text.data;
  return run.expect_ok(run.call(guest, join), "join");
}

KvModel::Answer answer_of(const node::Event* done) {
  if (done == nullptr) return KvModel::Answer::none;
  switch (done->status) {
    case Code::ok:
      return KvModel::Answer::acknowledged;
    // What these say is said before anything was written.
    case Code::denied:
    case Code::invalid:
    case Code::not_found:
    case Code::suspended:
    case Code::archived:
      return KvModel::Answer::refused;
    default:
      return KvModel::Answer::none;
  }
}

}  // namespace sereus::sim
