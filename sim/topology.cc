#include "sim/topology.h"

#include "core/base/assert.h"

namespace sereus::sim {
namespace {

constexpr size_t kMachinesMax = 250;

}  // namespace

IpEndpoint Topology::v4(size_t machine, uint16_t port) {
  SEREUS_ASSERT(machine < kMachinesMax);
  return {false, {10, 0, 0, static_cast<uint8_t>(machine + 1)}, port};
}

IpEndpoint Topology::v6(size_t machine, uint16_t port) {
  SEREUS_ASSERT(machine < kMachinesMax);
  IpEndpoint out{true, {0xfd}, port};
  out.address[15] = static_cast<uint8_t>(machine + 1);
  return out;
}

std::optional<size_t> Topology::machine_at(const IpEndpoint& endpoint) {
  const size_t number = endpoint.is_v6 ? endpoint.address[15] : endpoint.address[3];
  if (number == 0 || number > kMachinesMax || address(number - 1, endpoint.is_v6, endpoint.port) != endpoint) {
    return std::nullopt;
  }
  return number - 1;
}

void Topology::cut_one_way(size_t from, size_t to, bool cut) {
  if (cut) {
    cuts_.insert({from, to});
  } else {
    cuts_.erase({from, to});
  }
}

void Topology::cut(size_t a, size_t b, bool cut) {
  cut_one_way(a, b, cut);
  cut_one_way(b, a, cut);
}

void Topology::partition(const std::set<size_t>& side, size_t count) {
  for (const size_t a : side) {
    for (size_t b = 0; b < count; ++b) {
      if (!side.contains(b)) cut(a, b, true);
    }
  }
}

void Topology::set_powered(size_t machine, bool powered) {
  if (powered) {
    dark_.erase(machine);
  } else {
    dark_.insert(machine);
  }
}

}  // namespace sereus::sim
