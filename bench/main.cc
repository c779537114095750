// The command line. The only source here with exceptions, which the parser throws.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/support.h"

namespace sereus::bench {
namespace {

constexpr uint64_t kWarmUpEntries = 5'000;
constexpr uint64_t kWarmUpBytes = uint64_t{16} << 20;

struct Known {
  Benchmark run = nullptr;
  uint64_t bytes = 0;
};

std::map<std::string, Known>& benchmarks() {
  static std::map<std::string, Known> all;
  return all;
}

// Runs once in a folder of its own, which is removed afterwards.
bool run_once(Benchmark run, Options options, Report& report) {
  options.folder += "/sereus-bench-XXXXXX";
  if (mkdtemp(options.folder.data()) == nullptr) {
    std::perror(("sereus-bench: " + options.folder).c_str());
    return false;
  }
  run(options, report);
  remove_folder(options.folder);
  return true;
}

// `measured` becomes true when --only left something to measure.
bool run_benchmark(const std::string& name, Options options, bool with_title, bool& measured) {
  const auto [run, bytes] = benchmarks().at(name);
  if (options.bytes == 0) options.bytes = bytes;
  Options warm_up = options;
  warm_up.warm_up = true;
  warm_up.entries = std::min(options.entries, kWarmUpEntries);
  warm_up.bytes = std::min(options.bytes, kWarmUpBytes);
  Report ignored;
  if (!run_once(run, warm_up, ignored)) return false;
  Report report;
  for (uint64_t i = 0; i < options.runs; ++i) {
    if (!run_once(run, options, report)) return false;
  }
  if (report.empty()) return true;
  measured = true;
  if (with_title && !options.json) std::printf("== %s\n", name.c_str());
  report.print(options);
  return true;
}

}  // namespace

Registration::Registration(const char* name, Benchmark run, uint64_t bytes) {
  benchmarks().emplace(name, Known{run, bytes});
}

}  // namespace sereus::bench

int main(int argc, char** argv) {
  using namespace sereus::bench;
  std::vector<std::string> known;
  for (const auto& [name, known_as] : benchmarks()) known.push_back(name);

  CLI::App app("Measures Sereus beside the physical limits of this machine, in the same run.", "sereus-bench");
  Options options;
  std::vector<std::string> names;
  options.folder = ".";
  app.add_option("NAME", names, "what to run; all when none is named")->check(CLI::IsMember(known));
  app.add_option("--entries", options.entries, "entries of the store benchmarks")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1'000}, uint64_t{100'000'000}));
  app.add_option("--bytes", options.bytes, "bytes sent over one stream, for example 64MiB")
      ->default_str("net 1GiB, else 256MiB")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{1} << 20, uint64_t{1} << 40));
  app.add_option("--runs", options.runs, "measured runs, after one to warm up; medians are told")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000}));
  app.add_option("--only", options.only, "only the parts whose name contains this");
  app.add_option("--folder", options.folder, "where to put data, on the disk that is to be measured")
      ->capture_default_str()
      ->check(CLI::ExistingDirectory);
  app.add_option("--js", options.js, "net: where tests/interop/js is installed with its packages; ./dev bench knows")
      ->check(CLI::ExistingDirectory);
  app.add_flag("--cpu", options.cpu_time,
               "store: the thread's processor time instead of the time that passed, for a machine that is busy");
  app.add_flag("--json", options.json, "one JSON object per figure");
  app.set_help_flag("-h,--help", "print this and exit");
  app.footer(
      "Parts of store: grouped, transactions, synced, chain, every, reopen, reads.\n"
      "Parts of quic: stream, handshakes, catch-up.\n"
      "Parts of net: QUIC, TCP+TLS, TCP+Noise, WS+Noise, WSS+Noise, each with stream, ping, handshake; idle.\n"
      "Parts of discovery: 1k nodes, 1k hostile, 10k nodes, 10k hostile, small network of N.");
  CLI11_PARSE(app, argc, argv);

  if (names.empty()) names = known;
  bool measured = false;
  for (const std::string& name : names) {
    if (!run_benchmark(name, options, names.size() > 1, measured)) return 1;
  }
  if (measured) return 0;
  std::fprintf(stderr, "sereus-bench: no part's name contains \"%s\"; --help lists them\n", options.only.c_str());
  return 2;
}
