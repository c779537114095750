#include "sim/topology.h"

#include "core/base/assert.h"

namespace sereus::sim {
namespace {

constexpr size_t kMachinesMax = 250;

IpEndpoint private_address(size_t box, size_t machine, bool is_v6, uint16_t port) {
  const auto net = static_cast<uint8_t>(box + 1);
  const auto number = static_cast<uint8_t>(machine + 1);
  if (!is_v6) return {false, {192, 168, net, number}, port};
  IpEndpoint out{true, {0xfd, 3}, port};
  out.address[13] = net;
  out.address[15] = number;
  return out;
}

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

// ---- Boxes ----------------------------------------------------------------------------------------------------------

size_t Topology::put_behind_nat(const std::set<size_t>& machines, const NatSettings& settings, SimRandom random) {
  const size_t number = locals_.size();
  SEREUS_ASSERT(number < kBoxesMax);
  locals_.push_back({std::make_unique<NatBox>(number, settings, std::move(random)), machines});
  for (const size_t machine : machines) {
    SEREUS_ASSERT(machine < kMachinesMax && !box_of_.contains(machine));
    box_of_[machine] = number;
  }
  return number;
}

NatBox* Topology::box_of(size_t machine) const {
  if (box_of_.empty()) return nullptr;
  const auto found = box_of_.find(machine);
  return found == box_of_.end() ? nullptr : locals_[found->second].box.get();
}

NatBox* Topology::box_at(const IpEndpoint& endpoint) const {
  for (const Local& local : locals_) {
    if (local.box->is_outside(endpoint)) return local.box.get();
  }
  return nullptr;
}

std::vector<size_t> Topology::inside(const NatBox& box) const {
  for (const Local& local : locals_) {
    if (local.box.get() == &box) return {local.machines.begin(), local.machines.end()};
  }
  return {};
}

IpEndpoint Topology::interface_address(size_t machine, bool is_v6, uint16_t port) const {
  const auto box = box_of_.find(machine);
  return box == box_of_.end() ? address(machine, is_v6, port) : private_address(box->second, machine, is_v6, port);
}

std::vector<IpEndpoint> Topology::interface_addresses(size_t machine) const {
  return {interface_address(machine, false, 0), interface_address(machine, true, 0)};
}

std::optional<size_t> Topology::owner(const IpEndpoint& endpoint) const {
  const size_t number = endpoint.is_v6 ? endpoint.address[15] : endpoint.address[3];
  if (number == 0 || number > kMachinesMax ||
      interface_address(number - 1, endpoint.is_v6, endpoint.port) != endpoint) {
    return std::nullopt;
  }
  return number - 1;
}

bool Topology::routes(size_t from, size_t to) const {
  const NatBox* box = box_of(to);
  return box == nullptr || box == box_of(from);
}

// ---- Cuts -----------------------------------------------------------------------------------------------------------

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

void Topology::partition(const std::set<size_t>& side, size_t count, bool cut) {
  for (const size_t a : side) {
    for (size_t b = 0; b < count; ++b) {
      if (!side.contains(b)) this->cut(a, b, cut);
    }
  }
}

void Topology::clog(size_t a, size_t b, uint64_t extra_us) {
  if (extra_us == 0) {
    clogs_.erase({a, b});
    clogs_.erase({b, a});
  } else {
    clogs_[{a, b}] = clogs_[{b, a}] = extra_us;
  }
}

uint64_t Topology::extra_us(size_t from, size_t to) const {
  if (clogs_.empty()) return 0;
  const auto found = clogs_.find({from, to});
  return found == clogs_.end() ? 0 : found->second;
}

void Topology::heal_all() {
  cuts_.clear();
  clogs_.clear();
}

// ---- Machines that do not answer, and processes that stand still ----------------------------------------------------

void Topology::set_powered(size_t machine, bool powered) {
  if (powered) {
    dark_.erase(machine);
  } else {
    dark_.insert(machine);
  }
}

void Topology::set_asleep(size_t machine, bool asleep) {
  if (asleep) {
    asleep_.insert(machine);
  } else {
    asleep_.erase(machine);
  }
}

void Topology::go_on(size_t machine) {
  const auto found = waiting_.find(machine);
  if (found == waiting_.end()) return;
  const auto waited = std::move(found->second);
  waiting_.erase(found);
  for (const auto& what : waited) what();
}

}  // namespace sereus::sim
