// stand-in until the command lands
#include <cstdio>
#include <cstdlib>
#include <map>
#include "core/crypto/init.h"
#include "sim/workload.h"
using namespace sereus::sim;
int main(int argc, char** argv) {
  sereus::crypto::forbid_ambient_randomness();
  uint64_t a = strtoull(argv[1], nullptr, 10), b = strtoull(argv[2], nullptr, 10);
  PlanWishes w;
  if (argc > 3) w.workload = argv[3];
  if (argc > 4) w.transport = transport_of(argv[4]);
  std::map<std::string, uint64_t> counts;
  uint64_t ok = 0, bad = 0, v = 0;
  std::map<std::string, int> oracles;
  for (uint64_t s = a; s <= b; ++s) {
    auto plan = draw_plan(s, w);
    if (!plan.ok()) {
      puts(plan.error().detail.c_str());
      return 2;
    }
    if (getenv("V")) {
      fprintf(stderr, "seed %lu %s\n", s, name_of(plan->transport).data());
      for (auto& f : plan->faults)
        fprintf(stderr, "  %s at %.3f for %.3f m %zu o %zu a %ld\n", name_of(f.kind).data(), f.at_us / 1e6,
                f.for_us / 1e6, f.machine, f.other, f.amount);
    }
    auto out = run_plan(*plan);
    v += out.virtual_us;
    for (auto& [n, c] : out.counts) counts[n] += c;
    if (out.violation.empty()) {
      ++ok;
      if (s % 50 == 0 && run_plan(*plan).trace != out.trace) printf("seed %lu: NOT DETERMINISTIC\n", s);
    } else {
      ++bad;
      ++oracles[out.oracle];
      printf("seed %lu (%s, %zu nodes, %zu faults): %s: %s\n", s, name_of(plan->transport).data(), plan->nodes,
             plan->faults.size(), out.oracle.c_str(), out.violation.substr(0, 3000).c_str());
    }
    fflush(stdout);
  }
  for (auto& [n, c] : counts) printf("  %s %lu\n", n.c_str(), c);
  for (auto& [n, c] : oracles) printf("  VIOLATED %s %d\n", n.c_str(), c);
  printf("%.0f virtual s; %lu passed, %lu failed\n", v / 1e6, ok, bad);
}
