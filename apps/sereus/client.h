// A node as the commands use it: submit an operation, see its progress, have its result.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "apps/sereus/failure.h"
#include "include/sereus.h"

namespace cli {

struct RowsFree {
  void operator()(sereus_rows* rows) const { sereus_rows_free(rows); }
};
using Rows = std::unique_ptr<sereus_rows, RowsFree>;

struct EventFree {
  void operator()(sereus_event* event) const { sereus_event_free(event); }
};
using Event = std::unique_ptr<sereus_event, EventFree>;

// A copy of sereus_done, since the event it stood in is gone.
struct Done {
  sereus_id op = 0;
  sereus_status status = SEREUS_OK;
  std::string detail;
  sereus_id store = 0;
  std::string data;
  uint64_t count = 0;
  uint64_t count_sent = 0;
  sereus_id host = 0;
  sereus_id connection = 0;
  sereus_id stream = 0;
};

class Client {
 public:
  using Submit = std::function<sereus_status(sereus_id* op)>;
  using OnEvent = std::function<void(const sereus_event* event)>;
  using Clock = std::chrono::steady_clock;

  // Takes the node over. `daemon`: it is a connection to one that runs elsewhere.
  Client(sereus_node* node, bool daemon) : node_(node), daemon_(daemon) {}
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  sereus_node* node() const { return node_; }
  bool is_daemon() const { return daemon_; }

  // Every event but the DONEs of operations waited for is shown to it.
  void on_event(OnEvent handler) { on_event_ = std::move(handler); }
  // After it an operation in progress is cancelled and fails with TIMEOUT.
  void set_deadline(std::optional<Clock::time_point> deadline) { deadline_ = deadline; }

  // Submits (again while the queue is full) and gives the operation's id. Throws a status failure when it was refused.
  sereus_id submit(const std::string& doing, const Submit& submit);
  // Waits for the DONE of one operation. Does not throw for its status.
  Done wait(sereus_id op, const std::string& doing);
  // submit and wait; throws unless the status is OK.
  Done run(const std::string& doing, const Submit& submit);

  // One event within `timeout_ms`, or nothing. Null and closed() at the end of the queue.
  Event next(uint32_t timeout_ms);
  bool closed() const { return closed_; }
  // Whether the deadline has passed.
  bool late() const { return deadline_.has_value() && Clock::now() >= *deadline_; }

  // Ends the node in order and waits until its data folder is free. A connection is only given up.
  void close();

 private:
  sereus_node* node_;
  bool daemon_;
  bool closed_ = false;
  OnEvent on_event_;
  std::optional<Clock::time_point> deadline_;
};

// A DONE event's content; null for other kinds.
std::optional<Done> done_of(const sereus_event* event);

}  // namespace cli
