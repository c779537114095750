#include "sim/time_scale.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace sereus::sim {
namespace {

constexpr size_t kBreaksMax = 8;
// Shorter ones are left as they are, and so are those that are a small part of the picture.
constexpr uint64_t kBreakMin = 10'000'000;
constexpr double kBreakShare = 0.15;
constexpr double kTickWidth = 76;

constexpr uint64_t kSteps[] = {10,
                               20,
                               50,
                               100,
                               200,
                               500,
                               1000,
                               2000,
                               5000,
                               10'000,
                               20'000,
                               50'000,
                               100'000,
                               200'000,
                               500'000,
                               1'000'000,
                               2'000'000,
                               5'000'000,
                               10'000'000,
                               15'000'000,
                               30'000'000,
                               60'000'000,
                               120'000'000,
                               300'000'000,
                               600'000'000,
                               1'800'000'000,
                               3'600'000'000,
                               7'200'000'000,
                               21'600'000'000,
                               86'400'000'000};

}  // namespace

std::string clock_label(uint64_t at_us, uint64_t step_us) {
  char text[48];
  const uint64_t seconds = at_us / 1'000'000;
  int digits = 0;
  for (uint64_t unit = 1'000'000; unit > 1 && step_us % unit != 0; unit /= 10) ++digits;
  const uint64_t below = at_us % 1'000'000;
  std::string fraction;
  if (digits > 0) {
    std::snprintf(text, sizeof text, ".%06llu", static_cast<unsigned long long>(below));
    fraction = std::string(text).substr(0, static_cast<size_t>(digits) + 1);
  }
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%llu%s s", number(seconds), fraction.c_str());
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%llu:%02llu%s", number(seconds / 60), number(seconds % 60), fraction.c_str());
  } else {
    std::snprintf(text, sizeof text, "%llu:%02llu:%02llu%s", number(seconds / 3600), number(seconds / 60 % 60),
                  number(seconds % 60), fraction.c_str());
  }
  return text;
}

TimeScale::TimeScale(uint64_t from_us, uint64_t until_us, std::vector<uint64_t> times, double left, double width)
    : from_us_(from_us), until_us_(std::max(until_us, from_us + 1)), left_(left) {
  find_breaks(std::move(times), width);
  uint64_t active = until_us_ - from_us_;
  for (const Break& one : breaks_) active -= one.until_us - one.from_us;
  const double room = width - kBreakWidth * static_cast<double>(breaks_.size());
  per_us_ = room / static_cast<double>(std::max<uint64_t>(active, 1));
  for (Break& one : breaks_) one.x = x(one.from_us);
}

void TimeScale::find_breaks(std::vector<uint64_t> times, double width) {
  std::erase_if(times, [this](uint64_t at) { return !shows(at); });
  times.push_back(from_us_);
  times.push_back(until_us_);
  std::sort(times.begin(), times.end());
  std::vector<Break> gaps;
  gaps.reserve(times.size());
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back({times[i - 1], times[i], 0});
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const Break& a, const Break& b) { return a.until_us - a.from_us > b.until_us - b.from_us; });
  double active = static_cast<double>(until_us_ - from_us_);
  const size_t most = std::min(kBreaksMax, static_cast<size_t>(width / kBreakWidth / 3));
  for (const Break& gap : gaps) {
    const uint64_t length = gap.until_us - gap.from_us;
    if (breaks_.size() == most || length < kBreakMin || static_cast<double>(length) < kBreakShare * active) break;
    // A little of the quiet stays at both ends.
    const auto margin =
        static_cast<uint64_t>(std::min(static_cast<double>(length), active - static_cast<double>(length)) / 50);
    breaks_.push_back({gap.from_us + margin, gap.until_us - margin, 0});
    active -= static_cast<double>(length - 2 * margin);
  }
  std::sort(breaks_.begin(), breaks_.end(), [](const Break& a, const Break& b) { return a.from_us < b.from_us; });
}

double TimeScale::x(uint64_t at_us) const {
  const uint64_t at = std::clamp(at_us, from_us_, until_us_);
  uint64_t active = at - from_us_;
  double extra = 0;
  for (const Break& one : breaks_) {
    if (at <= one.from_us) break;
    const uint64_t inside = std::min(at, one.until_us) - one.from_us;
    active -= inside;
    extra += kBreakWidth * static_cast<double>(inside) / static_cast<double>(one.until_us - one.from_us);
  }
  return left_ + extra + static_cast<double>(active) * per_us_;
}

std::vector<TimeScale::Tick> TimeScale::ticks() const {
  uint64_t step = kSteps[std::size(kSteps) - 1];
  for (const uint64_t one : kSteps) {
    if (static_cast<double>(one) * per_us_ >= kTickWidth) {
      step = one;
      break;
    }
  }
  std::vector<Tick> ticks;
  uint64_t at = (from_us_ + step - 1) / step * step;
  double free_from = left_ - kTickWidth;
  while (at <= until_us_) {
    const auto skipped = std::find_if(breaks_.begin(), breaks_.end(),
                                      [at](const Break& one) { return at > one.from_us && at < one.until_us; });
    if (skipped != breaks_.end()) {
      at = (skipped->until_us + step - 1) / step * step;
      // The label of a break is where its end is.
      free_from = std::max(free_from, skipped->x + kBreakWidth + kTickWidth / 3 - kTickWidth);
      continue;
    }
    const double place = x(at);
    const bool before_break = std::any_of(breaks_.begin(), breaks_.end(), [place](const Break& one) {
      return one.x > place && one.x - place < kTickWidth / 3;
    });
    if (place >= free_from + kTickWidth && !before_break) {
      ticks.push_back({place, clock_label(at, step)});
      free_from = place;
    }
    at += step;
  }
  return ticks;
}

}  // namespace sereus::sim
