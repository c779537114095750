#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "bench/bench.h"

namespace sereus::bench {
namespace {

std::map<std::string, Benchmark>& benchmarks() {
  static std::map<std::string, Benchmark> all;
  return all;
}

int usage() {
  std::fprintf(stderr,
               "usage: sereus-bench NAME [--json] [--cpu] [--entries N] [--only PART] [--folder PATH], NAME one of:");
  for (const auto& [name, run] : benchmarks()) std::fprintf(stderr, " %s", name.c_str());
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

Registration::Registration(const char* name, Benchmark run) { benchmarks().emplace(name, run); }

void Report::print(const Options& options) const {
  for (const Row& row : rows_) {
    if (options.json) {
      std::printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"", row.name.c_str(), row.value, row.unit.c_str());
      if (!row.limit_name.empty())
        std::printf(",\"limit\":\"%s\",\"limit_value\":%.6g,\"ratio\":%.4f", row.limit_name.c_str(), row.limit,
                    row.value / row.limit);
      if (row.target > 0) std::printf(",\"target\":%.6g", row.target);
      std::printf("}\n");
      continue;
    }
    std::printf("%-52s %12.6g %-11s", row.name.c_str(), row.value, row.unit.c_str());
    if (row.target > 0) std::printf(" target %-9.6g", row.target);
    if (!row.limit_name.empty())
      std::printf("  %.2f of %s (%.6g)", row.value / row.limit, row.limit_name.c_str(), row.limit);
    std::printf("\n");
  }
}

}  // namespace sereus::bench

int main(int argc, char** argv) {
  using namespace sereus::bench;
  if (argc < 2) return usage();
  const auto found = benchmarks().find(argv[1]);
  if (found == benchmarks().end()) return usage();
  Options options;
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      options.json = true;
    } else if (std::strcmp(argv[i], "--cpu") == 0) {
      options.cpu_time = true;
    } else if (std::strcmp(argv[i], "--entries") == 0 && i + 1 < argc) {
      options.entries = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
      options.only = argv[++i];
    } else if (std::strcmp(argv[i], "--folder") == 0 && i + 1 < argc) {
      options.folder = argv[++i];
    } else {
      return usage();
    }
  }
  return found->second(options);
}
