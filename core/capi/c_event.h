// sereus_event: a node's event, and its C struct over the same bytes.
#pragma once

#include "core/node/event.h"
#include "sereus.h"

struct sereus_event {
  explicit sereus_event(sereus::node::Event from);
  sereus_event(const sereus_event&) = delete;
  sereus_event& operator=(const sereus_event&) = delete;

  const sereus::node::Event event;
  union {
    sereus_done done;
    sereus_dropped dropped;
    sereus_listening listening;
    sereus_peer_event peer;
    sereus_store_event store;
    sereus_store_change change;
    sereus_watch_reset reset;
    sereus_sync_progress progress;
    sereus_clock_suspect clock;
    sereus_fork fork;
    sereus_connection_event connection;
    sereus_stream_event stream;
    sereus_stream_closed stream_closed;
    sereus_refused refused;
  };
};
