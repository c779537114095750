#include "core/capi/c_event.h"

#include <utility>

using sereus::node::Event;
using sereus::node::EventKind;

namespace {

constexpr uint32_t number(EventKind kind) { return static_cast<uint32_t>(kind); }
static_assert(number(EventKind::done) == SEREUS_EVENT_DONE);
static_assert(number(EventKind::closed) == SEREUS_EVENT_CLOSED);
static_assert(number(EventKind::dropped) == SEREUS_EVENT_DROPPED);
static_assert(number(EventKind::listening) == SEREUS_EVENT_LISTENING);
static_assert(number(EventKind::peer) == SEREUS_EVENT_PEER);
static_assert(number(EventKind::store) == SEREUS_EVENT_STORE);
static_assert(number(EventKind::store_change) == SEREUS_EVENT_STORE_CHANGE);
static_assert(number(EventKind::watch_reset) == SEREUS_EVENT_WATCH_RESET);
static_assert(number(EventKind::sync_progress) == SEREUS_EVENT_SYNC_PROGRESS);
static_assert(number(EventKind::clock_suspect) == SEREUS_EVENT_CLOCK_SUSPECT);
static_assert(number(EventKind::fork) == SEREUS_EVENT_FORK);
static_assert(number(EventKind::connection) == SEREUS_EVENT_CONNECTION);
static_assert(number(EventKind::stream) == SEREUS_EVENT_STREAM);
static_assert(number(EventKind::stream_closed) == SEREUS_EVENT_STREAM_CLOSED);
static_assert(number(EventKind::refused) == SEREUS_EVENT_REFUSED);

sereus_bytes view(const sereus::Bytes& bytes) { return {bytes.data(), bytes.size()}; }

template <typename T>
const T* when(const sereus_event* event, EventKind kind, const T& member) {
  return event->event.kind == kind ? &member : nullptr;
}

}  // namespace

sereus_event::sereus_event(Event from) : event(std::move(from)), done{} {
  const Event& e = event;
  switch (e.kind) {
    case EventKind::done:
      done = {sizeof done,      e.op,         static_cast<sereus_status>(e.status),
              e.detail.c_str(), e.store,      view(e.data),
              e.count,          e.count_sent, e.host,
              e.connection,     e.stream,     e.finished};
      break;
    case EventKind::closed:
      break;
    case EventKind::dropped:
      dropped = {sizeof dropped, e.count};
      break;
    case EventKind::listening:
      listening = {sizeof listening, e.address.c_str()};
      break;
    case EventKind::peer:
      peer = {sizeof peer, e.what, e.peer.c_str(), e.name.c_str(), e.address.c_str(), e.store};
      break;
    case EventKind::store:
      store = {sizeof store, e.what, e.store, e.peer.c_str(), e.name.c_str()};
      break;
    case EventKind::store_change:
      change = {sizeof change, e.op,      e.store,  e.epoch,       e.sequence,    view(e.key),
                view(e.data),  e.deleted, e.winner, e.hlc_wall_ms, e.hlc_counter, view(e.author)};
      break;
    case EventKind::watch_reset:
      reset = {sizeof reset, e.op, e.store, e.epoch, e.sequence};
      break;
    case EventKind::sync_progress:
      progress = {sizeof progress, e.op, e.store, e.peer.c_str(), e.count, e.count_sent, e.count_missing};
      break;
    case EventKind::clock_suspect:
      clock = {sizeof clock, e.wall_us, e.detail.c_str()};
      break;
    case EventKind::fork:
      fork = {sizeof fork, e.store, view(e.author), e.sequence};
      break;
    case EventKind::connection:
      connection = {sizeof connection,
                    e.what,
                    e.host,
                    e.connection,
                    e.peer.c_str(),
                    e.address.c_str(),
                    e.incoming,
                    static_cast<sereus_status>(e.status),
                    e.detail.c_str()};
      break;
    case EventKind::stream:
      stream = {sizeof stream, e.host, e.connection, e.stream, e.name.c_str(), e.peer.c_str()};
      break;
    case EventKind::stream_closed:
      stream_closed = {sizeof stream_closed, e.host, e.connection, e.stream, static_cast<sereus_status>(e.status),
                       e.detail.c_str()};
      break;
    case EventKind::refused:
      refused = {sizeof refused,    e.what,         e.incoming, e.host, e.detail.c_str(), e.peer.c_str(),
                 e.address.c_str(), e.name.c_str(), e.count};
      break;
  }
}

uint32_t sereus_event_kind(const sereus_event* event) { return event == nullptr ? 0 : number(event->event.kind); }
sereus_id sereus_event_op(const sereus_event* event) { return event == nullptr ? 0 : event->event.op; }
sereus_status sereus_event_status(const sereus_event* event) {
  return event == nullptr ? SEREUS_E_INVALID : static_cast<sereus_status>(event->event.status);
}
void sereus_event_free(sereus_event* event) { delete event; }

const sereus_done* sereus_event_done(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::done, event->done);
}
const sereus_dropped* sereus_event_dropped(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::dropped, event->dropped);
}
const sereus_listening* sereus_event_listening(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::listening, event->listening);
}
const sereus_peer_event* sereus_event_peer(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::peer, event->peer);
}
const sereus_store_event* sereus_event_store(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::store, event->store);
}
const sereus_store_change* sereus_event_store_change(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::store_change, event->change);
}
const sereus_watch_reset* sereus_event_watch_reset(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::watch_reset, event->reset);
}
const sereus_sync_progress* sereus_event_sync_progress(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::sync_progress, event->progress);
}
const sereus_clock_suspect* sereus_event_clock_suspect(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::clock_suspect, event->clock);
}
const sereus_fork* sereus_event_fork(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::fork, event->fork);
}
const sereus_connection_event* sereus_event_connection(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::connection, event->connection);
}
const sereus_stream_event* sereus_event_stream(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::stream, event->stream);
}
const sereus_stream_closed* sereus_event_stream_closed(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::stream_closed, event->stream_closed);
}
const sereus_refused* sereus_event_refused(const sereus_event* event) {
  return event == nullptr ? nullptr : when(event, EventKind::refused, event->refused);
}
