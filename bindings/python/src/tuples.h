// Events and rows of the C ABI as tuples, their fields in the order of the header.
#pragma once

#include <memory>

#include "values.h"

struct EventFree {
  void operator()(sereus_event* event) const { sereus_event_free(event); }
};
using EventPtr = std::unique_ptr<sereus_event, EventFree>;

// (kind, operation, fields in the order of the header). None for a kind that this file does not know.
inline py::object to_tuple(const sereus_event* event) {
  const uint32_t kind = sereus_event_kind(event);
  const sereus_id op = sereus_event_op(event);
  switch (kind) {
    case SEREUS_EVENT_DONE:
      if (const auto* e = sereus_event_done(event)) {
        return py::make_tuple(kind, e->op, e->status, to_text(e->detail), e->store, to_bytes(e->data), e->count,
                              e->count_sent, e->host, e->connection, e->stream, e->finished != 0);
      }
      break;
    case SEREUS_EVENT_CLOSED:
      return py::make_tuple(kind, op);
    case SEREUS_EVENT_DROPPED:
      if (const auto* e = sereus_event_dropped(event)) return py::make_tuple(kind, op, e->count);
      break;
    case SEREUS_EVENT_LISTENING:
      if (const auto* e = sereus_event_listening(event)) return py::make_tuple(kind, op, to_text(e->address));
      break;
    case SEREUS_EVENT_PEER:
      if (const auto* e = sereus_event_peer(event)) {
        return py::make_tuple(kind, op, e->what, to_text(e->peer), to_text(e->name), to_text(e->address), e->store);
      }
      break;
    case SEREUS_EVENT_STORE:
      if (const auto* e = sereus_event_store(event)) {
        return py::make_tuple(kind, op, e->what, e->store, to_text(e->uuid), to_text(e->name));
      }
      break;
    case SEREUS_EVENT_STORE_CHANGE:
      if (const auto* e = sereus_event_store_change(event)) {
        return py::make_tuple(kind, e->watch, e->store, e->epoch, e->sequence, to_bytes(e->key), to_bytes(e->value),
                              e->deleted != 0, e->winner != 0, e->hlc_wall_ms, e->hlc_counter, to_bytes(e->author));
      }
      break;
    case SEREUS_EVENT_WATCH_RESET:
      if (const auto* e = sereus_event_watch_reset(event)) {
        return py::make_tuple(kind, e->watch, e->store, e->epoch, e->sequence);
      }
      break;
    case SEREUS_EVENT_SYNC_PROGRESS:
      if (const auto* e = sereus_event_sync_progress(event)) {
        return py::make_tuple(kind, e->op, e->store, to_text(e->peer), e->entries_received, e->entries_sent,
                              e->entries_missing);
      }
      break;
    case SEREUS_EVENT_CLOCK_SUSPECT:
      if (const auto* e = sereus_event_clock_suspect(event)) {
        return py::make_tuple(kind, op, e->wall_us, to_text(e->reason));
      }
      break;
    case SEREUS_EVENT_FORK:
      if (const auto* e = sereus_event_fork(event))
        return py::make_tuple(kind, op, e->store, to_bytes(e->author), e->seq);
      break;
    case SEREUS_EVENT_CONNECTION:
      if (const auto* e = sereus_event_connection(event)) {
        return py::make_tuple(kind, op, e->what, e->host, e->connection, to_text(e->peer), to_text(e->address),
                              e->incoming != 0, to_text(e->status == SEREUS_OK ? "" : e->detail));
      }
      break;
    case SEREUS_EVENT_STREAM:
      if (const auto* e = sereus_event_stream(event)) {
        return py::make_tuple(kind, op, e->host, e->connection, e->stream, to_text(e->protocol), to_text(e->peer));
      }
      break;
    case SEREUS_EVENT_STREAM_CLOSED:
      if (const auto* e = sereus_event_stream_closed(event)) {
        return py::make_tuple(kind, op, e->host, e->connection, e->stream, to_text(e->detail));
      }
      break;
    case SEREUS_EVENT_REFUSED:
      if (const auto* e = sereus_event_refused(event)) {
        return py::make_tuple(kind, op, e->reason, e->incoming != 0, e->host, to_text(e->reason_name), to_text(e->peer),
                              to_text(e->address), to_text(e->protocol), e->count);
      }
      break;
    default:
      break;
  }
  return py::none();
}

inline py::tuple to_tuple(const sereus_item& r) {
  return py::make_tuple(to_bytes(r.key), to_bytes(r.value), r.value_size, r.hlc_wall_ms, r.hlc_counter, r.heads,
                        to_bytes(r.author));
}

inline py::tuple to_tuple(const sereus_head& r) {
  return py::make_tuple(to_bytes(r.value), r.hlc_wall_ms, r.hlc_counter, r.deleted != 0, r.seq, to_bytes(r.author),
                        to_bytes(r.hash));
}

inline py::tuple to_tuple(const sereus_node_info& r) {
  return py::make_tuple(to_text(r.peer), to_text(r.party), to_text(r.name), to_text(r.data_folder),
                        to_text(r.addresses), r.protected_keystore != 0, r.online != 0, r.clock_suspect != 0,
                        r.connections, r.operations, r.bytes_sent, r.bytes_received, r.entries_received,
                        r.entries_sent);
}

inline py::tuple to_tuple(const sereus_store_info& r) {
  return py::make_tuple(r.store, r.root, to_text(r.uuid), to_text(r.name), to_text(r.detail), r.state, r.is_root != 0,
                        r.entries, r.keys, r.conflicts, r.authors, r.held, r.forks, r.log_bytes, r.epoch, r.sequence,
                        to_bytes(r.digest));
}

inline py::tuple to_tuple(const sereus_peer_info& r) {
  return py::make_tuple(to_text(r.peer), to_text(r.party), to_text(r.name), to_text(r.addresses), to_text(r.detail),
                        r.role, r.connected != 0, r.removed != 0, r.is_self != 0, r.last_sync_ms, r.failures);
}

inline py::tuple to_tuple(const sereus_invite_info& r) {
  return py::make_tuple(to_text(r.id), r.role, r.uses_left, r.expires_wall_s, r.revoked != 0, to_text(r.peer));
}

inline py::tuple to_tuple(const sereus_host_info& r) {
  return py::make_tuple(r.host, to_text(r.peer), to_text(r.addresses), to_text(r.protocols), r.connections);
}

inline py::tuple to_tuple(const sereus_connection_info& r) {
  return py::make_tuple(r.connection, r.host, to_text(r.peer), to_text(r.address), r.incoming != 0, r.streams,
                        r.identified != 0, r.signed_record != 0, to_text(r.agent), to_text(r.protocol_version),
                        to_text(r.observed), to_text(r.protocols), to_text(r.addresses));
}
