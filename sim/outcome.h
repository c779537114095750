// What a run came to.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace sereus::sim {

struct Outcome {
  std::string violation;  // in words; empty: all oracles held
  std::string oracle;     // which one did not: a short name, the same for all ways of violating it
  uint64_t violated_at_us = 0;
  uint64_t trace = 0;  // a sum over everything that happened, in order
  uint64_t virtual_us = 0;
  std::map<std::string, uint64_t> counts;  // "writes acknowledged", "power cuts": what happened, for reports
};

}  // namespace sereus::sim
