// The figures of all runs, and how they are told.
#include <algorithm>
#include <cstdio>

#include "bench/bench.h"

namespace sereus::bench {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double median_ratio(const std::vector<double>& values, const std::vector<double>& limits) {
  std::vector<double> ratios(values.size());
  for (size_t i = 0; i < values.size(); ++i) ratios[i] = values[i] / limits[i];
  return median(std::move(ratios));
}

bool is_met(Better better, double value, double target) {
  return better == Better::more ? value >= target : value <= target;
}
const char* verdict(bool met) { return met ? "met" : "missed"; }
const char* sign(Better better) { return better == Better::more ? ">=" : "<="; }

}  // namespace

void Report::add(const Row& row) {
  const auto same = [&row](const Figure& figure) { return figure.first.name == row.name; };
  auto found = std::find_if(figures_.begin(), figures_.end(), same);
  if (found == figures_.end()) {
    figures_.push_back({row, {}, std::vector<std::vector<double>>(row.limits.size())});
    found = figures_.end() - 1;
  }
  found->values.push_back(row.value);
  for (size_t i = 0; i < row.limits.size(); ++i) found->limits[i].push_back(row.limits[i].value);
}

void Report::print(const Options& options) const {
  for (const Figure& figure : figures_) options.json ? print_json(figure) : print_text(figure);
  std::fflush(stdout);
}

void Report::print_json(const Figure& figure) {
  const auto [least, greatest] = std::minmax_element(figure.values.begin(), figure.values.end());
  const double value = median(figure.values);
  std::printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"least\":%.6g,\"greatest\":%.6g,\"runs\":%zu",
              figure.first.name.c_str(), value, figure.first.unit.c_str(), *least, *greatest, figure.values.size());
  if (figure.first.target > 0) {
    std::printf(",\"target\":%.6g,\"met\":%s", figure.first.target,
                is_met(figure.first.better, value, figure.first.target) ? "true" : "false");
  }
  std::printf(",\"limits\":[");
  for (size_t i = 0; i < figure.limits.size(); ++i) {
    const Limit& limit = figure.first.limits[i];
    const double ratio = median_ratio(figure.values, figure.limits[i]);
    std::printf("%s{\"name\":\"%s\",\"value\":%.6g,\"ratio\":%.4f", i == 0 ? "" : ",", limit.name.c_str(),
                median(figure.limits[i]), ratio);
    if (limit.target > 0) {
      std::printf(",\"target\":%.6g,\"met\":%s", limit.target,
                  is_met(figure.first.better, ratio, limit.target) ? "true" : "false");
    }
    std::printf("}");
  }
  std::printf("]}\n");
}

void Report::print_text(const Figure& figure) {
  const auto [least, greatest] = std::minmax_element(figure.values.begin(), figure.values.end());
  const double value = median(figure.values);
  std::printf("%-52s %10.5g %-8s", figure.first.name.c_str(), value, figure.first.unit.c_str());
  char spread[48] = "";
  if (figure.values.size() > 1) std::snprintf(spread, sizeof spread, "(%.4g to %.4g)", *least, *greatest);
  std::printf(" %-24s", spread);
  if (figure.first.target > 0) {
    std::printf("  target %s %.6g: %s", sign(figure.first.better), figure.first.target,
                verdict(is_met(figure.first.better, value, figure.first.target)));
  }
  std::printf("\n");
  for (size_t i = 0; i < figure.limits.size(); ++i) {
    const Limit& limit = figure.first.limits[i];
    const double ratio = median_ratio(figure.values, figure.limits[i]);
    std::printf("  %10.3f of %s (%.5g)", ratio, limit.name.c_str(), median(figure.limits[i]));
    if (limit.target > 0) {
      std::printf("  target %s %.6g: %s", sign(figure.first.better), limit.target,
                  verdict(is_met(figure.first.better, ratio, limit.target)));
    }
    std::printf("\n");
  }
}

}  // namespace sereus::bench
