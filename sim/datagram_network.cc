#include "sim/datagram_network.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/net/listen_address.h"

namespace sereus::sim {
namespace {

constexpr size_t kSocketQueueUs = 2'000;      // how long a full socket stays full, at most
constexpr uint16_t kDrawnPortFirst = 32'768;  // as Linux draws them
constexpr uint64_t kDrawnPorts = 28'232;      // up to 60999
constexpr uint64_t kMicrosPerSecondHere = 1'000'000;
// Machines' outside addresses after they moved: 10.1.<machine>.<n>, fd01::<machine>:<n>.
constexpr uint8_t kMovedNet = 1;

IpEndpoint moved_address(size_t machine, bool is_v6, uint8_t n, uint16_t port) {
  const auto number = static_cast<uint8_t>(machine + 1);
  if (!is_v6) return {false, {10, kMovedNet, number, n}, port};
  IpEndpoint out{true, {0xfd, kMovedNet}, port};
  out.address[13] = number;
  out.address[15] = n;
  return out;
}

}  // namespace

DatagramConditions DatagramConditions::draw(SimRandom& random) {
  DatagramConditions out;
  // A third of the networks is good, a third has a tenth of what a bad one has, and every sixth is terrible.
  const uint64_t grade = random.below(6);
  const auto rate = [&](uint64_t bad) {
    if (grade < 2) return uint32_t{0};
    const uint64_t worst = grade < 4 ? bad / 10 : grade == 4 ? bad : 2 * bad;
    return static_cast<uint32_t>(random.below(worst));
  };
  out.lost = rate(120'000);
  out.duplicated = rate(50'000);
  out.reordered = rate(150'000);
  out.corrupted = rate(20'000);
  out.truncated = rate(10'000);
  out.marked = rate(50'000);
  out.refused = rate(20'000);
  out.delay_min_us = random.between(100, grade == 5 ? 250'000 : 20'000);
  out.delay_max_us = out.delay_min_us + random.between(0, 40'000);
  out.reorder_us = random.between(1'000, 80'000);
  // QUIC works from 1200 bytes on (RFC 9000 section 14).
  out.mtu = random.chance(30) ? random.between(1'200, 1'500) : out.mtu;
  if (random.chance(30)) {
    out.bytes_per_s = random.between(100'000, 5'000'000);
    out.queue_bytes = random.between(20'000, 500'000);
  }
  return out;
}

// ---- A machine's sockets --------------------------------------------------------------------------------------------

class DatagramNetwork::Port final : public Datagrams {
 public:
  Port(DatagramNetwork& network, size_t machine, Events on)
      : events(std::move(on)), network_(network), machine_(machine) {}
  ~Port() override {
    std::erase_if(network_.sockets_, [this](const auto& item) { return item.second.port == this; });
  }
  Result<Bound> bind(const IpEndpoint& local) override { return network_.bind(*this, machine_, local); }
  void close(SocketId socket) override { network_.close(socket); }
  bool send(SocketId socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) override {
    return network_.send(socket, to, ecn, data, segment_size);
  }

  const Events events;

 private:
  DatagramNetwork& network_;
  size_t machine_;
};

std::unique_ptr<Datagrams> DatagramNetwork::attach(size_t machine, Events events) {
  return std::make_unique<Port>(*this, machine, std::move(events));
}

Result<Datagrams::Bound> DatagramNetwork::bind(Port& port, size_t machine, const IpEndpoint& local) {
  if (!net::is_unspecified(local) && Topology::machine_at(local) != machine) {
    return fail(Code::io, "no interface has the address " + to_string(local));
  }
  IpEndpoint bound = local;
  while (bound.port == 0) {
    bound.port = static_cast<uint16_t>(kDrawnPortFirst + random_.below(kDrawnPorts));
    if (socket_at(machine, Topology::address(machine, bound.is_v6, bound.port))) bound.port = 0;
  }
  if (socket_at(machine, Topology::address(machine, bound.is_v6, bound.port))) {
    return fail(Code::busy, to_string(bound) + " is in use");
  }
  const SocketId id = ++last_socket_;
  sockets_[id] = Socket{&port, machine, bound, false};
  return Datagrams::Bound{id, bound};
}

// A machine has one address per family, so sockets differ by port and family.
std::optional<SocketId> DatagramNetwork::socket_at(size_t machine, const IpEndpoint& local) const {
  for (const auto& [id, socket] : sockets_) {
    if (socket.machine == machine && socket.local.port == local.port && socket.local.is_v6 == local.is_v6) return id;
  }
  return std::nullopt;
}

bool DatagramNetwork::send(SocketId id, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) {
  const auto found = sockets_.find(id);
  SEREUS_ASSERT(found != sockets_.end() && segment_size > 0);
  Socket& socket = found->second;
  if (socket.blocked) return false;
  if (happens(conditions_.refused)) {
    socket.blocked = true;
    scheduler_.after(1 + random_.below(kSocketQueueUs), [this, id] {
      const auto still = sockets_.find(id);
      if (still == sockets_.end()) return;
      still->second.blocked = false;
      still->second.port->events.writable(id);
    });
    return false;
  }
  const size_t machine = socket.machine;
  for (; !data.empty(); data = data.subspan(std::min(segment_size, data.size()))) {
    transmit(machine, id,
             {source_of(id, socket, to), to, ecn, to_bytes(data.first(std::min(segment_size, data.size())))});
  }
  return true;
}

// ---- Addresses ------------------------------------------------------------------------------------------------------

DatagramNetwork::Flow& DatagramNetwork::flow(SocketId socket, const IpEndpoint& remote, bool begun_here) {
  if (flows_.size() >= kFlowsMax) {
    // A full NAT forgets: who is still there begins anew.
    std::erase_if(flows_, [&](const auto& item) { return item.second.used_us + kBindingUs < scheduler_.now_us(); });
    if (flows_.size() >= kFlowsMax) flows_.clear();
  }
  const auto [at, added] = flows_.try_emplace({socket, remote});
  Flow& out = at->second;
  if (added || out.used_us + kBindingUs < scheduler_.now_us()) {
    out.begun_here = begun_here;
    out.outside.reset();
  }
  out.used_us = scheduler_.now_us();
  return out;
}

IpEndpoint DatagramNetwork::source_of(SocketId id, const Socket& socket, const IpEndpoint& to) {
  const Flow& through = flow(id, to, true);
  if (through.outside) return *through.outside;
  return Topology::address(socket.machine, socket.local.is_v6, socket.local.port);
}

void DatagramNetwork::rebind(size_t machine, bool moved) {
  std::map<SocketId, IpEndpoint> drawn;
  const auto n = static_cast<uint8_t>(1 + random_.below(250));
  for (auto& [key, through] : flows_) {
    const auto socket = sockets_.find(key.first);
    if (socket == sockets_.end() || socket->second.machine != machine || !through.begun_here) continue;
    const auto [at, fresh] = drawn.try_emplace(key.first);
    if (fresh) {
      const bool is_v6 = socket->second.local.is_v6;
      const auto port = static_cast<uint16_t>(kDrawnPortFirst + random_.below(kDrawnPorts));
      at->second = moved ? moved_address(machine, is_v6, n, port) : Topology::address(machine, is_v6, port);
    }
    through.outside = at->second;
  }
  std::erase_if(outside_, [&](const auto& item) { return drawn.contains(item.second); });
  for (const auto& [socket, endpoint] : drawn) outside_[endpoint] = socket;
  trace_.add(uint64_t{machine} << 1 | (moved ? 1 : 0));
}

std::optional<size_t> DatagramNetwork::owner_of(const IpEndpoint& address) const {
  if (const auto machine = Topology::machine_at(address)) return machine;
  const auto socket = outside_.find(address);
  if (socket == outside_.end()) return std::nullopt;
  const auto found = sockets_.find(socket->second);
  return found == sockets_.end() ? std::nullopt : std::optional(found->second.machine);
}

// ---- On the way -----------------------------------------------------------------------------------------------------

const DatagramConditions& DatagramNetwork::conditions(size_t from, size_t to) const {
  const auto found = on_path_.find({from, to});
  return found == on_path_.end() ? conditions_ : found->second;
}

void DatagramNetwork::inject(const IpEndpoint& from, const IpEndpoint& to, ByteView data, Ecn ecn) {
  transmit(SIZE_MAX, 0, {from, to, ecn, to_bytes(data)});
}

// When the datagram leaves the queue in front of a slow path; none when it does not fit into it.
std::optional<uint64_t> DatagramNetwork::pass_queue(Path& path, const DatagramConditions& on, Datagram& datagram) {
  if (on.bytes_per_s == 0) return scheduler_.now_us();
  const uint64_t begin = std::max(path.free_us, scheduler_.now_us());
  const uint64_t queued = (begin - scheduler_.now_us()) * on.bytes_per_s / kMicrosPerSecondHere;
  if (queued + datagram.data.size() > on.queue_bytes) return std::nullopt;
  // As a router with active queue management: marked when half of the queue is full.
  if (queued > on.queue_bytes / 2 && datagram.ecn != Ecn::not_ect) {
    datagram.ecn = Ecn::ce;
    ++stats_.marked;
  }
  path.free_us = begin + datagram.data.size() * kMicrosPerSecondHere / on.bytes_per_s;
  return path.free_us;
}

void DatagramNetwork::spoil(const DatagramConditions& on, Datagram& datagram) {
  if (datagram.ecn != Ecn::not_ect && happens(on.marked)) {
    datagram.ecn = Ecn::ce;
    ++stats_.marked;
  }
  if (happens(on.corrupted)) {
    ++stats_.corrupted;
    for (uint64_t bits = random_.between(1, 4); bits > 0; --bits) {
      datagram.data[random_.below(datagram.data.size())] ^= static_cast<uint8_t>(1u << random_.below(8));
    }
  }
  if (happens(on.truncated)) {
    ++stats_.truncated;
    datagram.data.resize(random_.below(datagram.data.size()));
  }
}

void DatagramNetwork::transmit(size_t from, SocketId socket, Datagram datagram) {
  ++stats_.sent;
  trace_.add(scheduler_.now_us());
  trace_.add(datagram.from);
  trace_.add(datagram.to);
  trace_.add(static_cast<uint64_t>(datagram.ecn));
  trace_.add(ByteView(datagram.data));
  if (tap_) tap_(datagram);
  const auto to = owner_of(datagram.to);
  if (!to || datagram.data.empty()) {
    ++stats_.unreachable;
    return;
  }
  const DatagramConditions& on = conditions(from, *to);
  Path& path = paths_[{from, *to}];
  if (datagram.data.size() > on.mtu) {
    ++stats_.too_large;
    return;
  }
  if (happens(on.lost)) {
    ++stats_.lost;
    return;
  }
  const auto leaves = pass_queue(path, on, datagram);
  if (!leaves) {
    ++stats_.queue_full;
    return;
  }
  spoil(on, datagram);
  const uint64_t copies = happens(on.duplicated) ? 2 : 1;
  stats_.duplicated += copies - 1;
  for (uint64_t i = 0; i < copies; ++i) {
    uint64_t arrives = *leaves + random_.between(on.delay_min_us, on.delay_max_us);
    if (happens(on.reordered)) {
      ++stats_.reordered;
      arrives += random_.below(on.reorder_us + 1);
    } else {
      // Delays vary, and yet who was sent later does not come earlier.
      path.last_us = arrives = std::max(arrives, path.last_us);
    }
    scheduler_.at(arrives, [this, from, to = *to, socket, datagram] {
      // Looked at on arrival, so that what was under way when the cable was pulled is lost as well.
      if (from != SIZE_MAX && topology_.is_cut(from, to)) {
        ++stats_.cut;
        return;
      }
      deliver(socket, datagram);
    });
  }
}

void DatagramNetwork::deliver(SocketId from, const Datagram& datagram) {
  const auto machine = owner_of(datagram.to);
  if (!machine || !topology_.powered(*machine)) {
    ++stats_.unreachable;
    return;
  }
  std::optional<SocketId> id;
  if (const auto outside = outside_.find(datagram.to); outside != outside_.end()) {
    // Only from those whom the flow is with, as most NATs do.
    const auto through = flows_.find({outside->second, datagram.from});
    if (through != flows_.end() && through->second.outside == datagram.to) id = outside->second;
  } else {
    id = socket_at(*machine, datagram.to);
  }
  const auto socket = id ? sockets_.find(*id) : sockets_.end();
  if (socket == sockets_.end()) {
    ++stats_.unreachable;
    if (!outside_.contains(datagram.to)) tell_unreachable(from, datagram.to);
    return;
  }
  (void)flow(*id, datagram.from, false);
  ++stats_.delivered;
  trace_.add(scheduler_.now_us());
  trace_.add(uint64_t{*id});
  const IpEndpoint local = Topology::address(*machine, socket->second.local.is_v6, socket->second.local.port);
  socket->second.port->events.received(*id, local, datagram.from, datagram.ecn, datagram.data);
}

// ICMP's answer. It gets lost as everything does; the way back is not told apart from the way there.
void DatagramNetwork::tell_unreachable(SocketId id, const IpEndpoint& remote) {
  if (happens(conditions_.lost)) return;
  scheduler_.after(random_.between(conditions_.delay_min_us, conditions_.delay_max_us), [this, id, remote] {
    const auto socket = sockets_.find(id);
    if (socket == sockets_.end() || !topology_.powered(socket->second.machine)) return;
    const auto there = owner_of(remote);
    if (!there || topology_.is_cut(*there, socket->second.machine)) return;
    socket->second.port->events.unreachable(id, remote);
  });
}

}  // namespace sereus::sim
