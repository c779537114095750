// The bounded queue of events between a node and one consumer: the embedder, or a client of the control socket.
//
// What is in it, and why it cannot overflow:
//  - DONE: its room is reserved when the operation is accepted and given back when the DONE is taken;
//  - other events: up to `events_max` or kEventBytesMax, then they are dropped and counted by a DROPPED event in their place. Watches are told
//    less room than there is, so that they do not crowd out the rest;
//  - SYNC_PROGRESS of one operation, store and peer: the newest numbers, in the place of the oldest;
//  - CLOSED: once, the last.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/error.h"
#include "core/node/event.h"

namespace sereus::capi {

class EventQueue {
 public:
  struct Limits {
    size_t events_max = 0;
    size_t operations_max = 0;
  };
  explicit EventQueue(const Limits& limits) : limits_(limits) {}
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // ---- Operations: any thread ------------------------------------------------------------------------------------
  // Code::again when there is no room for another DONE, or too many bytes of arguments are under way.
  Code reserve(uint64_t op, size_t bytes);
  // The operation was reserved and then not accepted after all: there will be no DONE.
  void withdraw(uint64_t op);
  bool pending(uint64_t op);
  size_t pending_count();
  size_t pending_bytes();
  std::vector<uint64_t> pending_operations();

  // ---- The node's side: any thread -------------------------------------------------------------------------------
  size_t room();
  // A DONE without reservation is left out. Nothing follows CLOSED.
  void push(node::Event event);

  // ---- The consumer's side ---------------------------------------------------------------------------------------
  // Ok with nothing: empty. Code::closed after CLOSED was taken, Code::busy while events are delivered.
  Code poll(std::optional<node::Event>& out);
  Code wait(uint32_t timeout_ms, std::optional<node::Event>& out);
  // Called on the edge from empty to not empty, on the pushing thread, without the queue's lock; must not call on_wake().
  // After on_wake() returned the old function neither runs nor will.
  void on_wake(std::function<void()> wake);
  // Called, without the lock, with the number of droppable events taken since the last call, at every quarter of what the
  // queue holds: a watch that waited for room can go on. Set before the queue is used.
  void on_drained(std::function<void(size_t)> drained) { drained_ = std::move(drained); }

  // Delivery by a thread: a number for the deliverer, or Code::busy while somebody waits, Code::closed at the end.
  // The deliverer before it gets nothing more.
  Code begin_delivery(uint64_t* number);
  void end_delivery();
  // Blocks. Nothing when `number` delivers no longer or CLOSED was taken.
  std::optional<node::Event> next_delivery(uint64_t number);

  // ---- A queue that goes on in another process (control socket) --------------------------------------------------
  // Takes an event that counts against events_max until acknowledge() says that it was taken there.
  std::optional<node::Event> take_for_wire();
  void acknowledge(size_t events);

 private:
  using ProgressKey = std::tuple<uint64_t, uint64_t, std::string>;
  struct Pop {
    std::optional<node::Event> event;
    size_t drained = 0;  // not 0: tell drained_
  };

  static bool droppable(node::EventKind kind);
  bool push_locked(node::Event& event);
  bool push_droppable(node::Event& event);
  Pop pop_locked(bool for_wire);
  void wake();
  void tell_drained(size_t count);

  const Limits limits_;
  std::function<void(size_t)> drained_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<node::Event> events_;
  std::map<uint64_t, size_t> operations_;  // without DONE yet: bytes of their arguments
  size_t operation_bytes_ = 0;
  size_t dones_ = 0;            // in events_
  size_t counted_ = 0;          // in events_, droppable
  size_t event_bytes_ = 0;      // of droppable events, in events_ and on the wire
  std::deque<size_t> on_wire_;  // sizes of droppable events taken for the wire and not acknowledged
  size_t taken_ = 0;            // droppable, since drained_ was told
  size_t taken_bytes_ = 0;
  node::Event* dropped_ = nullptr;  // the DROPPED event that further losses are added to
  std::map<ProgressKey, node::Event*> progress_;
  size_t waiters_ = 0;
  uint64_t delivery_ = 0;  // 0: poll and wait
  uint64_t delivery_last_ = 0;
  bool ended_ = false;   // CLOSED was pushed
  bool closed_ = false;  // CLOSED was taken

  std::mutex wake_mutex_;  // held while wake_ runs; never taken with mutex_ held
  std::function<void()> wake_;
};

}  // namespace sereus::capi
