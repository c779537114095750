#include "core/capi/event_queue.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/capi/limits.h"

namespace sereus::capi {

using node::Event;
using node::EventKind;

namespace {

size_t size_of(const Event& event) {
  return event.key.size() + event.data.size() + event.detail.size() + event.peer.size() + event.name.size() +
         event.address.size() + event.author.size();
}

}  // namespace

bool EventQueue::droppable(EventKind kind) {
  return kind != EventKind::done && kind != EventKind::closed && kind != EventKind::dropped;
}

Code EventQueue::reserve(uint64_t op, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ended_) return Code::closed;
  if (operations_.size() + dones_ >= limits_.operations_max) return Code::again;
  if (operation_bytes_ != 0 && operation_bytes_ + bytes > kOperationBytesMax) return Code::again;
  if (!operations_.emplace(op, bytes).second) return Code::exists;
  operation_bytes_ += bytes;
  return Code::ok;
}

void EventQueue::withdraw(uint64_t op) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = operations_.find(op);
  if (at == operations_.end()) return;
  operation_bytes_ -= at->second;
  operations_.erase(at);
}

bool EventQueue::pending(uint64_t op) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return operations_.count(op) != 0;
}

size_t EventQueue::pending_count() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return operations_.size();
}

size_t EventQueue::pending_bytes() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return operation_bytes_;
}

std::vector<uint64_t> EventQueue::pending_operations() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<uint64_t> out;
  out.reserve(operations_.size());
  for (const auto& [op, bytes] : operations_) out.push_back(op);
  return out;
}

size_t EventQueue::room() {
  const std::lock_guard<std::mutex> lock(mutex_);
  // A quarter stays free for what is not a watch's.
  const size_t usable = std::max<size_t>(1, limits_.events_max - limits_.events_max / 4);
  const size_t used = counted_ + on_wire_.size();
  if (event_bytes_ >= kEventBytesMax) return 0;
  return used >= usable ? 0 : usable - used;
}

void EventQueue::push(Event event) {
  bool was_empty = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    was_empty = events_.empty();
    if (!push_locked(event)) return;
    // With the lock held: whoever is woken cannot have destroyed the queue before this is over.
    changed_.notify_all();
  }
  if (was_empty) wake();
}

bool EventQueue::push_locked(Event& event) {
  if (ended_) return false;
  if (event.kind == EventKind::done) {
    const auto at = operations_.find(event.op);
    if (at == operations_.end()) return false;
    operation_bytes_ -= at->second;
    operations_.erase(at);
    ++dones_;
  } else if (event.kind == EventKind::closed) {
    ended_ = true;
  } else if (droppable(event.kind)) {
    return push_droppable(event);
  }
  events_.push_back(std::move(event));
  return true;
}

bool EventQueue::push_droppable(Event& event) {
  const bool is_progress = event.kind == EventKind::sync_progress;
  ProgressKey key;
  if (is_progress) {
    key = {event.op, event.store, event.peer};
    const auto at = progress_.find(key);
    if (at != progress_.end()) {
      event_bytes_ -= size_of(*at->second);
      *at->second = std::move(event);
      event_bytes_ += size_of(*at->second);
      ++taken_;  // the one it replaced: whoever counts them on the other side of a wire sent two
      return false;
    }
  }
  const size_t bytes = size_of(event);
  // Watches stop at kEventBytesMax and may go over it by what they had read.
  if (counted_ + on_wire_.size() >= limits_.events_max || event_bytes_ >= 2 * kEventBytesMax) {
    ++taken_;
    if (dropped_ != nullptr) {
      ++dropped_->count;
      return false;
    }
    Event loss;
    loss.kind = EventKind::dropped;
    loss.origin = event.origin;
    loss.count = 1;
    events_.push_back(std::move(loss));
    dropped_ = &events_.back();  // stays: a deque moves nothing when its ends change
    return true;
  }
  ++counted_;
  event_bytes_ += bytes;
  dropped_ = nullptr;  // what is lost from here on is lost after this event
  events_.push_back(std::move(event));
  if (is_progress) progress_.emplace(std::move(key), &events_.back());
  return true;
}

EventQueue::Pop EventQueue::pop_locked(bool for_wire) {
  Pop pop;
  if (events_.empty()) return pop;
  Event& front = events_.front();
  if (dropped_ == &front) dropped_ = nullptr;
  if (front.kind == EventKind::done) --dones_;
  if (front.kind == EventKind::closed) closed_ = true;
  if (droppable(front.kind)) {
    if (front.kind == EventKind::sync_progress) progress_.erase({front.op, front.store, front.peer});
    --counted_;
    const size_t bytes = size_of(front);
    if (for_wire) {
      on_wire_.push_back(bytes);
    } else {
      event_bytes_ -= bytes;
      ++taken_;
      taken_bytes_ += bytes;
      if (taken_ >= std::max<size_t>(1, limits_.events_max / 4) || taken_bytes_ >= kEventBytesMax / 4) {
        pop.drained = std::exchange(taken_, 0);
        taken_bytes_ = 0;
      }
    }
  }
  pop.event = std::move(front);
  events_.pop_front();
  return pop;
}

Code EventQueue::poll(std::optional<Event>& out) { return wait(0, out); }

Code EventQueue::wait(uint32_t timeout_ms, std::optional<Event>& out) {
  out.reset();
  Pop pop;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (closed_) return Code::closed;
    if (delivery_ != 0) return Code::busy;
    const auto ready = [this] { return !events_.empty() || closed_; };
    if (timeout_ms != 0 && !ready()) {
      ++waiters_;
      if (timeout_ms == UINT32_MAX) {
        changed_.wait(lock, ready);
      } else {
        changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready);
      }
      --waiters_;
    }
    if (events_.empty()) return closed_ ? Code::closed : Code::ok;
    pop = pop_locked(false);
    if (closed_) changed_.notify_all();  // others that wait learn of the end
  }
  out = std::move(pop.event);
  tell_drained(pop.drained);
  return Code::ok;
}

void EventQueue::tell_drained(size_t count) {
  if (count != 0 && drained_) drained_(count);
}

void EventQueue::wake() {
  const std::lock_guard<std::mutex> lock(wake_mutex_);
  if (!wake_) return;
  wake_();
}

void EventQueue::on_wake(std::function<void()> wake) {
  const std::lock_guard<std::mutex> lock(wake_mutex_);
  wake_ = std::move(wake);
}

Code EventQueue::begin_delivery(uint64_t* number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return Code::closed;
  if (waiters_ != 0) return Code::busy;
  delivery_ = ++delivery_last_;
  *number = delivery_;
  changed_.notify_all();
  return Code::ok;
}

void EventQueue::end_delivery() {
  const std::lock_guard<std::mutex> lock(mutex_);
  delivery_ = 0;
  changed_.notify_all();
}

std::optional<Event> EventQueue::next_delivery(uint64_t number) {
  Pop pop;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this, number] { return delivery_ != number || !events_.empty() || closed_; });
    if (delivery_ != number || events_.empty()) return std::nullopt;
    pop = pop_locked(false);
  }
  tell_drained(pop.drained);
  return std::move(pop.event);
}

std::optional<Event> EventQueue::take_for_wire() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return pop_locked(true).event;
}

void EventQueue::acknowledge(size_t events) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (; events != 0 && !on_wire_.empty(); --events) {
    event_bytes_ -= on_wire_.front();
    on_wire_.pop_front();
  }
}

}  // namespace sereus::capi
