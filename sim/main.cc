// sereus-sim: runs the simulator over seeds. A seed that fails is printed with the command that runs it again.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "core/crypto/init.h"
#include "core/storage/vfs.h"
#include "sim/world.h"

namespace {

using sereus::sim::Outcome;

struct Totals {
  uint64_t passed = 0;
  uint64_t failed = 0;
  uint64_t writes = 0;
  uint64_t crashes = 0;
  uint64_t virtual_us = 0;
};

Outcome run_seed(uint64_t seed) {
  sereus::storage::seed_sqlite_for_simulation(static_cast<uint32_t>(seed) | 1u);
  return sereus::sim::run_story(seed);
}

// Every hundredth seed runs twice: the same seed must do the same.
std::string check_repeat(uint64_t seed, const Outcome& outcome) {
  if (seed % 100 != 0) return {};
  return run_seed(seed).trace == outcome.trace ? "" : "the same seed ran differently the second time";
}

void run_one(uint64_t seed, const std::string& program, bool verbose, Totals& totals) {
  Outcome outcome = run_seed(seed);
  if (outcome.violation.empty()) outcome.violation = check_repeat(seed, outcome);
  totals.writes += outcome.writes_acknowledged;
  totals.crashes += outcome.crashes;
  totals.virtual_us += outcome.virtual_us;
  if (outcome.violation.empty()) {
    ++totals.passed;
  } else {
    ++totals.failed;
    std::printf("\rseed %llu: %s\n  again: %s replay %llu\n", static_cast<unsigned long long>(seed),
                outcome.violation.c_str(), program.c_str(), static_cast<unsigned long long>(seed));
  }
  if (verbose) {
    std::printf("seed %llu: trace %016llx, %.1f s of virtual time, %llu writes acknowledged, %llu crashes\n",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(outcome.trace),
                static_cast<double>(outcome.virtual_us) / 1e6,
                static_cast<unsigned long long>(outcome.writes_acknowledged),
                static_cast<unsigned long long>(outcome.crashes));
  }
}

bool parse_range(const std::string& text, uint64_t& first, uint64_t& last) {
  unsigned long long a = 0;
  unsigned long long b = 0;
  if (std::sscanf(text.c_str(), "%llu..%llu", &a, &b) != 2 || a > b) return false;
  first = a;
  last = b;
  return true;
}

int report(const Totals& totals, double seconds) {
  std::printf("%" PRIu64 " seeds in %.1f s, %.0f times as fast as real time; %" PRIu64 " writes acknowledged, %" PRIu64
              " crashes\n",
              totals.passed + totals.failed, seconds, static_cast<double>(totals.virtual_us) / 1e6 / seconds,
              totals.writes, totals.crashes);
  std::printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed, totals.failed);
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Runs the whole network in one process, from a seed."};
  app.require_subcommand(1);
  std::string seeds = "1..500";
  CLI::App* run = app.add_subcommand("run", "run a range of seeds");
  run->add_option("--seeds", seeds, "first..last")->capture_default_str();
  uint64_t seed = 0;
  CLI::App* replay = app.add_subcommand("replay", "run one seed again");
  replay->add_option("seed", seed, "the seed")->required();
  CLI11_PARSE(app, argc, argv);

  sereus::crypto::forbid_ambient_randomness();
  Totals totals;
  const auto begin = std::chrono::steady_clock::now();
  if (*replay) {
    run_one(seed, argv[0], true, totals);
  } else {
    uint64_t first = 0;
    uint64_t last = 0;
    if (!parse_range(seeds, first, last)) {
      std::fprintf(stderr, "sereus-sim: --seeds wants first..last, for example 1..500\n");
      return 2;
    }
    const bool progress = isatty(STDERR_FILENO) != 0;
    for (uint64_t s = first; s <= last; ++s) {
      run_one(s, argv[0], false, totals);
      if (progress) std::fprintf(stderr, "\rseed %llu of %s", static_cast<unsigned long long>(s), seeds.c_str());
    }
    if (progress) std::fprintf(stderr, "\r\033[K");
  }
  return report(totals, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}
