// Benchmarks of `sereus-bench NAME [--json] [--cpu] [--entries N] [--only PART] [--folder PATH]`. Each measures beside
// the physical limit of the same machine in the same run, and reports both and their ratio.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sereus::bench {

struct Options {
  bool json = false;
  bool cpu_time = false;  // measure the thread's processor time: for work on a machine that is busy otherwise
  uint64_t entries = 100'000;
  std::string only;    // run the parts whose name contains this; empty: all
  std::string folder;  // where to put data; empty: below the working folder
};

// One line of the table.
struct Row {
  std::string name;
  double value = 0;
  std::string unit;
  std::string limit_name;  // empty: nothing to compare with
  double limit = 0;        // in the same unit
  double target = 0;       // 0: none
};

class Report {
 public:
  void add(Row row) { rows_.push_back(std::move(row)); }
  // A table, or one JSON object per line.
  void print(const Options& options) const;

 private:
  std::vector<Row> rows_;
};

using Benchmark = int (*)(const Options&);

// Makes a benchmark known to main: `static const Registration kStore("store", run);`
struct Registration {
  Registration(const char* name, Benchmark run);
};

}  // namespace sereus::bench
