// What stands behind a sereus_node: a node in this process (LocalBackend), or a connection to a daemon (RemoteBackend).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/capi/event_queue.h"
#include "core/node/request.h"
#include "core/node/rows.h"

namespace sereus::capi {

// Thread rule: any thread, except where said.
class NodeBackend {
 public:
  explicit NodeBackend(const EventQueue::Limits& limits) : events_(limits) {}
  virtual ~NodeBackend() = default;
  NodeBackend(const NodeBackend&) = delete;
  NodeBackend& operator=(const NodeBackend&) = delete;

  EventQueue& events() { return events_; }

  // Accepts a request, or says at once why not. *op is set before the node can see the request. Secrets in a refused
  // request are wiped.
  virtual Code submit(node::Request request, uint64_t* op) = 0;
  virtual Code cancel(uint64_t op) = 0;
  virtual Result<node::Rows> query(const node::Query& query) = 0;

  // Does not block. Code::closed the second time.
  virtual Code close() = 0;
  virtual Code suspend(uint32_t deadline_ms) = 0;
  virtual Code resume() = 0;

  virtual bool caller_driven() const { return false; }
  // One thread at a time: Code::busy otherwise.
  virtual Code step(const Times&, uint64_t*) { return Code::invalid; }

  // After it returned no log callback runs or will.
  virtual void silence() {}
  // After close(): blocks until the threads have ended and everything is released. Once, not from a callback.
  virtual void finish() = 0;

 private:
  EventQueue events_;
};

// Operation ids are unique in the process.
inline uint64_t next_operation_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

// Bytes of a request's arguments, and their end.
size_t argument_bytes(const node::Request& request);
void wipe_arguments(node::Request& request);

}  // namespace sereus::capi
