// What is asked of a node. One flat struct for all kinds, so that the control socket carries requests with one codec.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/bytes.h"
#include "core/store/kv_store.h"

namespace sereus::node {

// Numbers are the control protocol's: append only.
enum class RequestKind : uint16_t {
  identity_create = 1,    // x name, y passphrase
  identity_backup = 2,    // x passphrase
  identity_restore = 3,   // x backup, y its passphrase, z name, w new passphrase
  passphrase_change = 4,  // x from, y to
  erase = 5,              // x confirmation
  set_online = 6,         // a 0 or 1
  suspend = 7,            // a deadline_ms; DONE when the data folder is released
  resume = 8,
  store_create = 20,      // store root or 0, x name
  store_delete = 21,      // store
  store_drop = 22,        // store
  store_write = 23,       // store, writes (put, remove, transaction)
  store_watch = 24,       // store, x prefix, a epoch, b sequence; its DONE ends it
  store_verify = 25,      // store
  invite_create = 40,     // store root or 0, a role, b uses, c expires_s, x peer or empty
  invite_revoke = 41,     // x text or id
  join = 42,              // x invite text
  peer_remove = 43,       // x peer id
  peer_add_address = 44,  // x peer id, y multiaddr
  sync = 45,              // store or 0, x peer id or empty
  host_create = 60,       // x seed (32 bytes) or empty, y addresses to listen on, a line each, w settings
  host_close = 61,        // store host
  host_listen = 62,       // store host (0: the node's own, as below), x multiaddr
  protocol_add = 63,      // store host, x protocol
  protocol_remove = 64,   // store host, x protocol
  dial = 65,              // store host, x peer id or empty, y multiaddrs, a line each
  disconnect = 66,        // store connection
  ping = 67,              // store connection
  identify = 68,          // store connection
  stream_open = 69,       // store connection, x protocol
  stream_write = 70,      // store stream, x data, a 1: the last
  stream_read = 71,       // store stream, a bytes at most
  stream_reset = 72,      // store stream
  host_configure = 73,    // store host, w settings
  peer_protect = 74,      // store host, x peer id, y tag, a 0 or 1
  network_changed = 75,   // nothing
};

// Those that AppHosts answers.
inline bool is_host_request(RequestKind kind) {
  return kind >= RequestKind::host_create && kind <= RequestKind::peer_protect;
}

struct Request {
  RequestKind kind = RequestKind::store_write;
  uint32_t origin = 0;  // 0 the embedder, otherwise a control client; set by the receiving side
  uint64_t op = 0;      // unique within its origin; answered by one DONE
  uint64_t store = 0;
  uint64_t a = 0;
  uint64_t b = 0;
  uint64_t c = 0;
  Bytes x;
  Bytes y;
  Bytes z;
  Bytes w;
  std::vector<store::WriteOp> writes;
};

}  // namespace sereus::node
