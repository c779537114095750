// What `sereus-bench` runs. Each benchmark measures beside the physical limits of the same machine, in the same run and as
// close in time as it can, and reports both and their ratio.
//
// A benchmark is run several times (--runs) after a short run that only warms up; of every figure the median is told, with
// the least and the greatest. A ratio is the median of the runs' ratios: a disk or a core that others use at the same time
// slows both sides of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sereus::bench {

struct Options {
  bool json = false;
  bool cpu_time = false;  // measure the thread's processor time: for work on a machine that is busy otherwise
  uint64_t entries = 100'000;
  uint64_t bytes = 0;  // sent over one stream; 0: the benchmark's own, which it does not see
  uint64_t runs = 3;
  bool warm_up = false;  // the figures are not told
  std::string only;      // run the parts whose name contains this; empty: all
  std::string folder;    // of this run's data; empty before the run
  std::string js;        // where js-libp2p's programs (tests/interop/js) are installed; empty: they are not

  bool wanted(std::string_view part) const { return only.empty() || part.find(only) != std::string_view::npos; }
};

struct Limit {
  std::string name;
  double value = 0;   // in the unit of its row
  double target = 0;  // of the row's ratio to it; 0: none
};
enum class Better : uint8_t { more, less };

// One line of the table.
struct Row {
  std::string name;
  double value = 0;
  std::string unit;
  std::vector<Limit> limits = {};
  double target = 0;  // 0: none
  Better better = Better::more;
};

class Report {
 public:
  // Rows of the same name are one figure measured again.
  void add(const Row& row);
  bool empty() const { return figures_.empty(); }
  // A table, or one JSON object per line.
  void print(const Options& options) const;

 private:
  struct Figure {
    Row first;
    std::vector<double> values;
    std::vector<std::vector<double>> limits;  // by limit, then by run
  };
  static void print_json(const Figure& figure);
  static void print_text(const Figure& figure);
  std::vector<Figure> figures_;
};

// Runs once, and adds its rows.
using Benchmark = void (*)(const Options&, Report&);

// Makes a benchmark known to main: `const Registration kStore("store", run);`. `bytes` is what --bytes is without the option.
struct Registration {
  Registration(const char* name, Benchmark run, uint64_t bytes = uint64_t{256} << 20);
};

}  // namespace sereus::bench
