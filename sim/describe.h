// Plans in a person's words.
#pragma once

#include <string>

#include "sim/plan.h"

namespace sereus::sim {

// "350 us", "1.5 s", "2 min 5 s", "4 h 30 min".
std::string duration_in_words(uint64_t us);
// 1234567 as "1,234,567".
std::string grouped(uint64_t number);
// What goes wrong, and how much: "power_cut, after 17 disk operations".
std::string short_words(const Fault& fault);
// "at 12.5 s, machine 2: power_cut, after 17 disk operations, for 3 s"
std::string in_words(const Fault& fault);
// What `replay` prints before the run: some lines.
std::string in_words(const Plan& plan);

}  // namespace sereus::sim
