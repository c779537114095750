// A FIFO with a named capacity. push() says no when it is full; it never grows past its bound.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>

namespace sereus {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] bool push(T item) {
    if (items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    return true;
  }
  // Precondition: not empty.
  T pop() {
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  T& front() { return items_.front(); }
  bool empty() const { return items_.empty(); }
  bool full() const { return items_.size() >= capacity_; }
  size_t size() const { return items_.size(); }
  size_t capacity() const { return capacity_; }

 private:
  std::deque<T> items_;
  size_t capacity_;
};

}  // namespace sereus
