// The fields of everything that the control socket carries, each with its number: one list for counting, writing and
// reading. Numbers are the protocol's: append only.
#pragma once

#include "core/capi/control_codec.h"

namespace sereus::capi {

// `m` is const when writing, and not when reading.
template <typename M, typename Visit>
void fields_of_event(M& m, Visit&& visit) {
  visit(1, m.kind);
  visit(2, m.op);
  visit(3, m.status);
  visit(4, m.detail);
  visit(5, m.store);
  visit(6, m.what);
  visit(7, m.peer);
  visit(8, m.name);
  visit(9, m.address);
  visit(10, m.key);
  visit(11, m.data);
  visit(12, m.author);
  visit(13, m.epoch);
  visit(14, m.sequence);
  visit(15, m.count);
  visit(16, m.count_sent);
  visit(17, m.count_missing);
  visit(18, m.hlc_wall_ms);
  visit(19, m.hlc_counter);
  visit(20, m.deleted);
  visit(21, m.winner);
  visit(22, m.wall_us);
  visit(23, m.host);
  visit(24, m.connection);
  visit(25, m.stream);
  visit(26, m.incoming);
  visit(27, m.finished);
}

template <typename M, typename Visit>
void fields_of_request(M& m, Visit&& visit) {
  visit(1, m.kind);
  visit(2, m.op);
  visit(3, m.store);
  visit(4, m.a);
  visit(5, m.b);
  visit(6, m.c);
  visit(7, m.x);
  visit(8, m.y);
  visit(9, m.z);
  visit(10, m.w);
  visit(11, m.writes);
}

template <typename M, typename Visit>
void fields_of_write(M& m, Visit&& visit) {
  visit(1, m.kind);
  visit(2, m.key);
  visit(3, m.value);
}

template <typename M, typename Visit>
void fields_of_message(M& m, Visit&& visit) {
  switch (m.type) {
    case ControlType::hello:
      visit(1, m.version);
      visit(2, m.library);
      visit(3, m.events_max);
      visit(4, m.operations_max);
      break;
    case ControlType::request:
      fields_of_request(m.request, visit);
      break;
    case ControlType::cancel:
    case ControlType::drained:
      visit(1, m.number);
      break;
    case ControlType::query:
      visit(1, m.number);
      visit(2, m.query.kind);
      visit(3, m.query.store);
      visit(4, m.query.a);
      visit(5, m.query.b);
      visit(6, m.query.x);
      visit(7, m.query.y);
      break;
    case ControlType::close:
      break;
    case ControlType::refused:
      visit(1, m.status);
      visit(2, m.detail);
      break;
    case ControlType::event:
      fields_of_event(m.event, visit);
      break;
    case ControlType::rows:
      break;  // of its own: encode_rows_part
  }
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, store::ListRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.key);
  visit(2, m.value);
  visit(3, m.value_size);
  visit(4, m.hlc.wall_ms);
  visit(5, m.hlc.counter);
  visit(6, m.author);
  visit(7, m.heads);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, store::Head>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.hash);
  visit(2, m.author);
  visit(3, m.seq);
  visit(4, m.hlc.wall_ms);
  visit(5, m.hlc.counter);
  visit(6, m.tombstone);
  visit(7, m.value);
  visit(8, m.value_size);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, node::InfoRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.peer);
  visit(2, m.party);
  visit(3, m.name);
  visit(4, m.data_folder);
  visit(5, m.addresses);
  visit(6, m.protected_keystore);
  visit(7, m.online);
  visit(8, m.clock_suspect);
  visit(9, m.connections);
  visit(10, m.operations);
  visit(11, m.bytes_sent);
  visit(12, m.bytes_received);
  visit(13, m.entries_received);
  visit(14, m.entries_sent);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, node::StoreRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.store);
  visit(2, m.root);
  visit(3, m.uuid);
  visit(4, m.name);
  visit(5, m.detail);
  visit(6, m.state);
  visit(7, m.is_root);
  visit(8, m.stats.entries);
  visit(9, m.stats.keys);
  visit(10, m.stats.conflicts);
  visit(11, m.stats.authors);
  visit(12, m.stats.held);
  visit(13, m.stats.forks);
  visit(14, m.stats.log_bytes);
  visit(15, m.stats.sequence);
  visit(16, m.stats.epoch);
  visit(17, m.stats.digest);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, node::PeerRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.peer);
  visit(2, m.party);
  visit(3, m.name);
  visit(4, m.addresses);
  visit(5, m.detail);
  visit(6, m.role);
  visit(7, m.connected);
  visit(8, m.removed);
  visit(9, m.is_self);
  visit(10, m.last_sync_ms);
  visit(11, m.failures);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, node::InviteRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.id);
  visit(2, m.role);
  visit(3, m.uses_left);
  visit(4, m.expires_wall_s);
  visit(5, m.revoked);
  visit(6, m.peer);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, node::HostRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.host);
  visit(2, m.peer);
  visit(3, m.addresses);
  visit(4, m.protocols);
  visit(5, m.connections);
}

template <typename M, typename Visit>
requires std::is_same_v<std::remove_const_t<M>, node::ConnectionRow>
void fields_of_row(M& m, Visit&& visit) {
  visit(1, m.connection);
  visit(2, m.host);
  visit(3, m.peer);
  visit(4, m.address);
  visit(5, m.incoming);
  visit(6, m.streams);
  visit(7, m.identified);
  visit(8, m.signed_record);
  visit(9, m.agent);
  visit(10, m.protocol_version);
  visit(11, m.observed);
  visit(12, m.protocols);
  visit(13, m.addresses);
}

}  // namespace sereus::capi
