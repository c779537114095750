// js-libp2p on both ends, measured by tests/interop/js/bin/bench.mjs: what others get from the same machine.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace sereus::bench {

struct JsFigures {
  double up = 0;       // MiB a second over one stream, the dialer sending
  double down = 0;     // and the listener
  double ping_ms = 0;  // median
};

// By the name that bench.mjs gives a transport ("quic-v1"). Empty, with the reason on stderr, where it cannot be run. `folder` is
// where the programs are installed with their packages.
std::map<std::string, JsFigures> run_js(const std::string& folder, uint64_t bytes, uint64_t pings);

}  // namespace sereus::bench
