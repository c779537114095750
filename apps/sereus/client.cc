#include "apps/sereus/client.h"

#include <algorithm>

#include "apps/sereus/signals.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

constexpr uint32_t kPollMs = 200;     // how late a deadline may be noticed
constexpr uint32_t kCloseMs = 30000;  // a checkpoint on a slow disk
constexpr uint32_t kCancelMs = 5000;

// Only the shell and watch outlive an interrupt; elsewhere it ends the process.
Failure given_up_failure(const std::string& doing) {
  return status_failure(doing, interrupted() ? SEREUS_E_CANCELLED : SEREUS_E_TIMEOUT);
}

}  // namespace

std::optional<Done> done_of(const sereus_event* event) {
  const sereus_done* done = sereus_event_done(event);
  if (done == nullptr) return std::nullopt;
  return Done{.op = done->op,
              .status = done->status,
              .detail = text(done->detail),
              .store = done->store,
              .data = std::string(view(done->data)),
              .count = done->count,
              .count_sent = done->count_sent,
              .host = done->host,
              .connection = done->connection,
              .stream = done->stream};
}

Client::~Client() {
  try {
    close();
  } catch (const std::exception&) {
    // Nothing is lost: what was acknowledged is durable, and the next opening recovers.
  }
}

Event Client::next(uint32_t timeout_ms) {
  sereus_event* raw = nullptr;
  const sereus_status status = sereus_wait(node_, timeout_ms, &raw);
  Event event(raw);
  if (status == SEREUS_E_CLOSED || (event && sereus_event_kind(event.get()) == SEREUS_EVENT_CLOSED)) closed_ = true;
  if (status != SEREUS_OK && status != SEREUS_E_CLOSED) check("wait for the node", status);
  return event;
}

sereus_id Client::submit(const std::string& doing, const Submit& submit) {
  for (;;) {
    sereus_id op = 0;
    const sereus_status status = submit(&op);
    if (status != SEREUS_E_AGAIN) {
      check(doing, status);
      return op;
    }
    // The queue is full of what nobody took: make room, then try again.
    const Event event = next(kPollMs);
    if (event && on_event_) on_event_(event.get());
    if (closed_) throw status_failure(doing, SEREUS_E_CLOSED);
    if (late()) throw status_failure(doing, SEREUS_E_TIMEOUT);
  }
}

Done Client::wait(sereus_id op, const std::string& doing) {
  std::optional<Clock::time_point> given_up;
  for (;;) {
    const Event event = next(kPollMs);
    if (event) {
      const std::optional<Done> done = done_of(event.get());
      if (done.has_value() && done->op == op) {
        if (given_up.has_value() && done->status == SEREUS_E_CANCELLED) throw given_up_failure(doing);
        return *done;
      }
      if (on_event_) on_event_(event.get());
    }
    if (closed_) throw status_failure(doing, SEREUS_E_CLOSED);
    if (!given_up.has_value() && (late() || interrupted())) {
      given_up = Clock::now();
      sereus_cancel(node_, op);
    }
    if (given_up.has_value() && Clock::now() - *given_up > std::chrono::milliseconds(kCancelMs)) {
      throw given_up_failure(doing);
    }
  }
}

Done Client::run(const std::string& doing, const Submit& how) {
  Done done = wait(submit(doing, how), doing);
  if (done.status != SEREUS_OK) throw status_failure(doing, done.status, done.detail);
  return done;
}

void Client::close() {
  if (node_ == nullptr) return;
  if (!daemon_ && !closed_) {
    const auto until = Clock::now() + std::chrono::milliseconds(kCloseMs);
    sereus_close(node_);
    while (!closed_ && Clock::now() < until) next(kPollMs);
  }
  sereus_unref(node_);
  node_ = nullptr;
}

}  // namespace cli
