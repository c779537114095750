// sereus-sim: runs the simulator over seeds. A seed that fails is printed with the command that runs it again.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <iterator>
#include <string>

#include "core/crypto/init.h"
#include "core/storage/vfs.h"
#include "sim/world.h"

namespace {

using sereus::sim::Outcome;
using sereus::sim::Transport;

// Half of the seeds runs on streams, and half with real hosts over simulated packets.
constexpr Transport kTurns[] = {Transport::stream, Transport::quic, Transport::stream, Transport::tcp,
                                Transport::stream, Transport::quic, Transport::stream, Transport::both};

struct Choice {
  std::string program;
  std::string name = "draw";  // of the option

  Transport of(uint64_t seed) const {
    if (const auto fixed = sereus::sim::transport_of(name)) return *fixed;
    return kTurns[seed % std::size(kTurns)];
  }
  std::string again(uint64_t seed) const {
    return program + " replay " + std::to_string(seed) + (name == "draw" ? "" : " --transport " + name);
  }
};

struct Totals {
  uint64_t passed = 0;
  uint64_t failed = 0;
  uint64_t writes = 0;
  uint64_t crashes = 0;
  uint64_t virtual_us = 0;
};

Outcome run_seed(uint64_t seed, Transport transport) {
  sereus::storage::seed_sqlite_for_simulation(static_cast<uint32_t>(seed) | 1u);
  return sereus::sim::run_story(seed, transport);
}

// Every twenty-fifth seed runs twice, so that each transport has its turns: the same seed must do the same.
constexpr uint64_t kRepeatEvery = 25;

std::string check_repeat(uint64_t seed, Transport transport, const Outcome& outcome) {
  if (seed % kRepeatEvery != 0) return {};
  return run_seed(seed, transport).trace == outcome.trace ? "" : "the same seed ran differently the second time";
}

void print_paths(const Outcome& outcome) {
  const sereus::sim::DatagramStats& d = outcome.datagrams;
  std::printf("  datagrams: %" PRIu64 " sent, %" PRIu64 " delivered, %" PRIu64 " lost, %" PRIu64 " cut, %" PRIu64
              " doubled, %" PRIu64 " late, %" PRIu64 " spoiled, %" PRIu64 " shortened, %" PRIu64 " marked, %" PRIu64
              " too large, %" PRIu64 " beyond the queue, %" PRIu64 " to nobody\n",
              d.sent, d.delivered, d.lost, d.cut, d.duplicated, d.reordered, d.corrupted, d.truncated, d.marked,
              d.too_large, d.queue_full, d.unreachable);
  const sereus::sim::LinkStats& l = outcome.links;
  std::printf("  links: %" PRIu64 " connected, %" PRIu64 " refused, %" PRIu64 " broken, %" PRIu64 " bytes, %" PRIu64
              " parts written, %" PRIu64 " parts read, held %" PRIu64 " times\n",
              l.connected, l.refused, l.broken, l.bytes, l.partial_writes, l.partial_reads, l.held);
}

void run_one(uint64_t seed, const Choice& choice, bool verbose, Totals& totals) {
  const Transport transport = choice.of(seed);
  Outcome outcome = run_seed(seed, transport);
  if (outcome.violation.empty()) outcome.violation = check_repeat(seed, transport, outcome);
  totals.writes += outcome.writes_acknowledged;
  totals.crashes += outcome.crashes;
  totals.virtual_us += outcome.virtual_us;
  if (outcome.violation.empty()) {
    ++totals.passed;
  } else {
    ++totals.failed;
    std::printf("\rseed %llu: %s\n  again: %s\n", static_cast<unsigned long long>(seed), outcome.violation.c_str(),
                choice.again(seed).c_str());
  }
  if (verbose) {
    std::printf("seed %llu (%s): trace %016llx, %.1f s of virtual time, %llu writes acknowledged, %llu crashes\n",
                static_cast<unsigned long long>(seed), std::string(name_of(transport)).c_str(),
                static_cast<unsigned long long>(outcome.trace), static_cast<double>(outcome.virtual_us) / 1e6,
                static_cast<unsigned long long>(outcome.writes_acknowledged),
                static_cast<unsigned long long>(outcome.crashes));
    if (transport != Transport::stream) print_paths(outcome);
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
  Choice choice;
  choice.program = argv[0];
  for (CLI::App* command : {run, replay}) {
    command->add_option("--transport", choice.name, "what machines are connected by")
        ->check(CLI::IsMember({"draw", "stream", "quic", "tcp", "both"}))
        ->capture_default_str();
  }
  CLI11_PARSE(app, argc, argv);

  sereus::crypto::forbid_ambient_randomness();
  Totals totals;
  const auto begin = std::chrono::steady_clock::now();
  if (*replay) {
    run_one(seed, choice, true, totals);
  } else {
    uint64_t first = 0;
    uint64_t last = 0;
    if (!parse_range(seeds, first, last)) {
      std::fprintf(stderr, "sereus-sim: --seeds wants first..last, for example 1..500\n");
      return 2;
    }
    const bool progress = isatty(STDERR_FILENO) != 0;
    for (uint64_t s = first; s <= last; ++s) {
      run_one(s, choice, false, totals);
      if (progress) std::fprintf(stderr, "\rseed %llu of %s", static_cast<unsigned long long>(s), seeds.c_str());
    }
    if (progress) std::fprintf(stderr, "\r\033[K");
  }
  return report(totals, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}
