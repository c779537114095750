#include "core/capi/c_rows.h"

#include <type_traits>
#include <utility>

namespace node = sereus::node;
namespace store = sereus::store;

namespace {

static_assert(static_cast<uint32_t>(node::StoreState::active) == SEREUS_STORE_ACTIVE);
static_assert(static_cast<uint32_t>(node::StoreState::archived) == SEREUS_STORE_IS_ARCHIVED);
static_assert(static_cast<uint32_t>(node::StoreState::damaged) == SEREUS_STORE_DAMAGED);

sereus_bytes view(const sereus::Bytes& bytes) { return {bytes.data(), bytes.size()}; }
template <typename Id>
sereus_bytes id_view(const Id& id) {
  return {id.bytes.data(), id.bytes.size()};
}

sereus_item to_struct(const store::ListRow& row) {
  return {sizeof(sereus_item), view(row.key),   view(row.value), row.value_size,
          row.hlc.wall_ms,     row.hlc.counter, row.heads,       id_view(row.author)};
}

sereus_head to_struct(const store::Head& row) {
  return {sizeof(sereus_head), view(row.value), row.hlc.wall_ms,     row.hlc.counter,
          row.tombstone,       row.seq,         id_view(row.author), id_view(row.hash)};
}

sereus_node_info to_struct(const node::InfoRow& row) {
  return {sizeof(sereus_node_info), row.peer.c_str(),      row.party.c_str(),      row.name.c_str(),
          row.data_folder.c_str(),  row.addresses.c_str(), row.protected_keystore, row.online,
          row.clock_suspect,        row.connections,       row.operations,         row.bytes_sent,
          row.bytes_received,       row.entries_received,  row.entries_sent};
}

sereus_store_info to_struct(const node::StoreRow& row) {
  const store::StoreStats& stats = row.stats;
  return {sizeof(sereus_store_info),
          row.store,
          row.root,
          row.uuid.c_str(),
          row.name.c_str(),
          row.detail.c_str(),
          static_cast<uint32_t>(row.state),
          row.is_root,
          stats.entries,
          stats.keys,
          stats.conflicts,
          stats.authors,
          stats.held,
          stats.forks,
          stats.log_bytes,
          stats.epoch,
          stats.sequence,
          id_view(stats.digest)};
}

sereus_peer_info to_struct(const node::PeerRow& row) {
  return {sizeof(sereus_peer_info), row.peer.c_str(), row.party.c_str(), row.name.c_str(), row.addresses.c_str(),
          row.detail.c_str(),       row.role,         row.connected,     row.removed,      row.is_self,
          row.last_sync_ms,         row.failures};
}

sereus_invite_info to_struct(const node::InviteRow& row) {
  return {sizeof(sereus_invite_info), row.id.c_str(), row.role,        row.uses_left,
          row.expires_wall_s,         row.revoked,    row.peer.c_str()};
}

sereus_host_info to_struct(const node::HostRow& row) {
  return {sizeof(sereus_host_info), row.host,       row.peer.c_str(), row.addresses.c_str(),
          row.protocols.c_str(),    row.connections};
}

sereus_connection_info to_struct(const node::ConnectionRow& row) {
  return {sizeof(sereus_connection_info),
          row.connection,
          row.host,
          row.peer.c_str(),
          row.address.c_str(),
          row.incoming,
          row.streams,
          row.identified,
          row.signed_record,
          row.agent.c_str(),
          row.protocol_version.c_str(),
          row.observed.c_str(),
          row.protocols.c_str(),
          row.addresses.c_str()};
}

template <typename T>
const T* row_at(const sereus_rows* rows, size_t index) {
  if (rows == nullptr) return nullptr;
  const auto* structs = std::get_if<std::vector<T>>(&rows->structs);
  return structs != nullptr && index < structs->size() ? &(*structs)[index] : nullptr;
}

}  // namespace

sereus_rows::sereus_rows(node::Rows from) : rows(std::move(from)) {
  std::visit(
      [this](const auto& all) {
        std::vector<decltype(to_struct(all[0]))> out;
        out.reserve(all.size());
        for (const auto& row : all) out.push_back(to_struct(row));
        structs = std::move(out);
      },
      rows);
}

size_t sereus_rows_count(const sereus_rows* rows) {
  return rows == nullptr ? 0 : std::visit([](const auto& all) { return all.size(); }, rows->structs);
}
void sereus_rows_free(sereus_rows* rows) { delete rows; }

const sereus_item* sereus_rows_item(const sereus_rows* rows, size_t index) { return row_at<sereus_item>(rows, index); }
const sereus_head* sereus_rows_head(const sereus_rows* rows, size_t index) { return row_at<sereus_head>(rows, index); }
const sereus_node_info* sereus_rows_info(const sereus_rows* rows, size_t index) {
  return row_at<sereus_node_info>(rows, index);
}
const sereus_store_info* sereus_rows_store(const sereus_rows* rows, size_t index) {
  return row_at<sereus_store_info>(rows, index);
}
const sereus_peer_info* sereus_rows_peer(const sereus_rows* rows, size_t index) {
  return row_at<sereus_peer_info>(rows, index);
}
const sereus_invite_info* sereus_rows_invite(const sereus_rows* rows, size_t index) {
  return row_at<sereus_invite_info>(rows, index);
}
const sereus_host_info* sereus_rows_host(const sereus_rows* rows, size_t index) {
  return row_at<sereus_host_info>(rows, index);
}
const sereus_connection_info* sereus_rows_connection(const sereus_rows* rows, size_t index) {
  return row_at<sereus_connection_info>(rows, index);
}
