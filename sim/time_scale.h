// Where a time is in a picture. Long stretches in which nothing happens are cut short, so that what happens has room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sereus::sim {

class TimeScale {
 public:
  // A stretch that is cut short.
  struct Break {
    uint64_t from_us = 0;
    uint64_t until_us = 0;
    double x = 0;
  };
  static constexpr double kBreakWidth = 64;

  // Of [from_us, until_us], drawn from x = left on. `times`: of everything that is worth room, in any order.
  TimeScale(uint64_t from_us, uint64_t until_us, std::vector<uint64_t> times, double left, double width);

  // Times outside are at the nearer end.
  double x(uint64_t at_us) const;
  bool shows(uint64_t at_us) const { return at_us >= from_us_ && at_us <= until_us_; }
  uint64_t from_us() const { return from_us_; }
  uint64_t until_us() const { return until_us_; }
  const std::vector<Break>& breaks() const { return breaks_; }

  struct Tick {
    double x = 0;
    std::string label;
  };
  // Round times, far enough from each other for their labels, and not in breaks.
  std::vector<Tick> ticks() const;

 private:
  void find_breaks(std::vector<uint64_t> times, double width);

  uint64_t from_us_;
  uint64_t until_us_;
  double left_;
  double per_us_ = 0;
  std::vector<Break> breaks_;
};

// "350 ms", "12.5 s", "2:05", "1:02:05": `step_us` says how fine it has to be.
std::string clock_label(uint64_t at_us, uint64_t step_us);

}  // namespace sereus::sim
