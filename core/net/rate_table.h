// How often each of many sources did something in the last minute or so: fixed windows, with a bound on how many sources are
// remembered. A source that there is no room for is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "core/base/time.h"

namespace sereus::net {

template <typename Source>
class RateTable {
 public:
  RateTable(uint64_t per_window, uint64_t window_us, size_t sources_max)
      : per_window_(per_window), window_us_(window_us), sources_max_(sources_max) {}

  // False when the source has had its share.
  [[nodiscard]] bool take(const Source& source, uint64_t now_us) {
    auto at = windows_.find(source);
    if (at == windows_.end()) {
      if (windows_.size() >= sources_max_) {
        std::erase_if(windows_, [&](const auto& item) { return over(item.second, now_us); });
        if (windows_.size() >= sources_max_) return false;
      }
      at = windows_.emplace(source, Window{now_us, 0}).first;
    }
    if (over(at->second, now_us)) at->second = {now_us, 0};
    if (at->second.count >= per_window_) return false;
    ++at->second.count;
    return true;
  }
  size_t sources() const { return windows_.size(); }

 private:
  struct Window {
    uint64_t begin_us = 0;
    uint64_t count = 0;
  };
  bool over(const Window& window, uint64_t now_us) const { return window.begin_us + window_us_ <= now_us; }

  uint64_t per_window_;
  uint64_t window_us_;
  size_t sources_max_;
  std::map<Source, Window> windows_;
};

}  // namespace sereus::net
