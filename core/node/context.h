// What all parts of a node share: its ports, the present time, jobs under way, and the operations that still owe a DONE.
#pragma once

#include <compare>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "core/node/node.h"

namespace sereus::node {

// The wall clock, whole and not before 1970.
inline int64_t wall_seconds(const Times& now) {
  return now.wall_us <= 0 ? 0 : now.wall_us / static_cast<int64_t>(kMicrosPerSecond);
}
inline uint64_t wall_ms(const Times& now) {
  return now.wall_us <= 0 ? 0 : static_cast<uint64_t>(now.wall_us) / kMicrosPerMilli;
}

// An operation as its origin named it. Passed by value: its holder is often gone before the operation is.
struct OpRef {
  uint32_t origin = 0;
  uint64_t op = 0;
  friend std::strong_ordering operator<=>(const OpRef&, const OpRef&) = default;
};

class NodeContext {
 public:
  NodeContext(const NodePorts& node_ports, const Times& at) : ports(node_ports), now(at) {}

  // Runs a job; `done` runs on the node's thread. The node does not end before every job has.
  void run(JobQueue queue, std::function<void()> work, std::function<void()> done) {
    ++jobs_running_;
    // What the work holds (readers, stores) is let go of where it ran: a finished job keeps nothing open.
    auto run_and_forget = [work = std::move(work)]() mutable {
      work();
      work = nullptr;
    };
    ports.jobs->submit(queue, std::move(run_and_forget), [this, done = std::move(done)] {
      --jobs_running_;
      done();
    });
  }
  size_t jobs_running() const { return jobs_running_; }

  // ---- Operations: each gets exactly one DONE ----------------------------------------------------------------------
  // `cancel` is called at most once, by cancel(); it must end in complete().
  void begin(OpRef ref, std::function<void()> cancel = {}) { operations_[ref] = std::move(cancel); }
  bool pending(OpRef ref) const { return operations_.contains(ref); }
  // Ignored when the operation is over already.
  void complete(OpRef ref, Event event) {
    if (operations_.erase(ref) == 0) return;
    event.kind = EventKind::done;
    event.origin = ref.origin;
    event.op = ref.op;
    ports.events->emit(std::move(event));
  }
  void complete(OpRef ref, const Status& status) {
    Event event;
    event.status = status.code();
    if (!status.ok()) event.detail = status.error().detail;
    complete(ref, std::move(event));
  }
  // False when there is no such operation. One that cannot be cancelled any more goes on.
  bool cancel(OpRef ref) {
    const auto found = operations_.find(ref);
    if (found == operations_.end()) return false;
    if (const auto cancel = std::exchange(found->second, nullptr)) cancel();
    return true;
  }
  size_t operations() const { return operations_.size(); }
  const std::map<OpRef, std::function<void()>>& all_operations() const { return operations_; }

  void emit(Event event) { ports.events->emit(std::move(event)); }
  void log(LogLevel level, std::string_view message) {
    if (ports.logger != nullptr && ports.logger->enabled(level)) ports.logger->write(level, "node", message);
  }

  NodePorts ports;
  Times now;
  bool clock_suspect = false;

 private:
  size_t jobs_running_ = 0;
  std::map<OpRef, std::function<void()>> operations_;
};

}  // namespace sereus::node
