#include "sim/datagram_network.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/net/listen_address.h"

namespace sereus::sim {
namespace {

constexpr uint64_t kForwardedUs = 3'000'000;
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
  if (!net::is_unspecified(local) && topology_.owner(local) != machine) {
    return fail(Code::io, "no interface has the address " + to_string(local));
  }
  IpEndpoint bound = local;
  while (bound.port == 0) {
    bound.port = static_cast<uint16_t>(kDrawnPortFirst + random_.below(kDrawnPorts));
    if (socket_at(machine, bound)) bound.port = 0;
  }
  if (socket_at(machine, bound)) return fail(Code::busy, to_string(bound) + " is in use");
  if (NatBox* box = topology_.box_of(machine); box != nullptr && local.port != 0) {
    box->listens(topology_.interface_address(machine, bound.is_v6, bound.port));
  }
  const SocketId id = ++last_socket_;
  sockets_[id] = Socket{&port, machine, bound, false, 0};
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
      tell(id, [id](const Events& events) { events.writable(id); });
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
  const IpEndpoint inside = topology_.interface_address(socket.machine, socket.local.is_v6, socket.local.port);
  if (NatBox* box = topology_.box_of(socket.machine)) {
    const auto neighbour = topology_.owner(to);
    if (neighbour && topology_.box_of(*neighbour) == box) return inside;
    return box->leave(inside, to, scheduler_.now_us());
  }
  const Flow& through = flow(id, to, true);
  return through.outside ? *through.outside : inside;
}

void DatagramNetwork::rebind(size_t machine, bool moved) {
  trace_.add(uint64_t{machine} << 1 | (moved ? 1 : 0));
  if (NatBox* box = topology_.box_of(machine)) return box->rebind(moved);
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
    through.heard_us = scheduler_.now_us();
  }
  std::erase_if(outside_, [&](const auto& item) { return drawn.contains(item.second); });
  for (const auto& [socket, endpoint] : drawn) outside_[endpoint] = socket;
}

std::optional<size_t> DatagramNetwork::owner_of(const IpEndpoint& address) const {
  if (const auto machine = topology_.owner(address)) return machine;
  const auto socket = outside_.find(address);
  if (socket == outside_.end()) return std::nullopt;
  const auto found = sockets_.find(socket->second);
  return found == sockets_.end() ? std::nullopt : std::optional(found->second.machine);
}

// Whose path a datagram takes. Of several machines behind a box, whose it will be is known when it is there: until then the
// first stands for all. None: no route.
std::optional<size_t> DatagramNetwork::target_of(size_t from, const IpEndpoint& address) const {
  const NatBox* box = topology_.box_at(address);
  if (box == nullptr) {
    const auto machine = owner_of(address);
    return machine && (from == SIZE_MAX || topology_.routes(from, *machine)) ? machine : std::nullopt;
  }
  if (box == topology_.box_of(from) && !box->settings().hairpin) return std::nullopt;
  const auto inside = box->owner(address);
  return inside ? topology_.owner(*inside) : std::optional(topology_.inside(*box).front());
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
  const auto to = target_of(from, datagram.to);
  if (!to || datagram.data.empty()) {
    ++stats_.unreachable;
    return;
  }
  const uint64_t sent_us = scheduler_.now_us();
  const DatagramConditions& on = conditions(from, *to);
  Path& path = paths_[{from, *to}];
  if (datagram.data.size() > on.mtu) {
    ++stats_.too_large;
    return note(from, *to, datagram, sent_us, false);
  }
  if (happens(on.lost)) {
    ++stats_.lost;
    return note(from, *to, datagram, sent_us, false);
  }
  const auto leaves = pass_queue(path, on, datagram);
  if (!leaves) {
    ++stats_.queue_full;
    return note(from, *to, datagram, sent_us, false);
  }
  spoil(on, datagram);
  const uint64_t copies = happens(on.duplicated) ? 2 : 1;
  stats_.duplicated += copies - 1;
  for (uint64_t i = 0; i < copies; ++i) {
    uint64_t arrives = *leaves + random_.between(on.delay_min_us, on.delay_max_us) + topology_.extra_us(from, *to);
    if (happens(on.reordered)) {
      ++stats_.reordered;
      arrives += random_.below(on.reorder_us + 1);
    } else {
      // Delays vary, and yet who was sent later does not come earlier.
      path.last_us = arrives = std::max(arrives, path.last_us);
    }
    scheduler_.at(arrives, [this, from, to = *to, socket, sent_us, datagram] {
      note(from, to, datagram, sent_us, deliver(from, socket, datagram));
    });
  }
}

void DatagramNetwork::note(size_t from, size_t to, const Datagram& datagram, uint64_t sent_us, bool arrived) {
  if (chronicle_ == nullptr) return;
  const uint64_t until_us = arrived ? scheduler_.now_us() : 0;
  chronicle_->add({Chronicle::Kind::message, sent_us, until_us, from, to, datagram.data.size(), {}});
}

DatagramNetwork::Receiver DatagramNetwork::receiver_of(const Datagram& datagram) {
  Receiver out;
  if (const NatBox* box = topology_.box_at(datagram.to)) {
    const auto inside = box->enter(datagram.to, datagram.from, scheduler_.now_us());
    out.silent = !inside;
    if (inside) out.machine = topology_.owner(*inside);
    if (out.machine) out.socket = socket_at(*out.machine, *inside);
    return out;
  }
  out.machine = owner_of(datagram.to);
  if (!out.machine) return out;
  if (const auto outside = outside_.find(datagram.to); outside != outside_.end()) {
    // Only from those whom the flow is with, as most NATs do.
    out.silent = true;
    const auto through = flows_.find({outside->second, datagram.from});
    if (through != flows_.end() && through->second.outside == datagram.to) out.socket = outside->second;
  } else {
    out.socket = socket_at(*out.machine, datagram.to);
  }
  return out;
}

// Whether somebody has it. Looked at on arrival, so that what was under way when the cable was pulled is lost as well.
bool DatagramNetwork::deliver(size_t from, SocketId from_socket, const Datagram& datagram) {
  const Receiver receiver = receiver_of(datagram);
  if (!receiver.machine) {
    ++(receiver.silent ? stats_.filtered : stats_.unreachable);
    return false;
  }
  if (from != SIZE_MAX && topology_.is_cut(from, *receiver.machine)) {
    ++stats_.cut;
    return false;
  }
  const auto socket = receiver.socket ? sockets_.find(*receiver.socket) : sockets_.end();
  if (!topology_.answers(*receiver.machine) || socket == sockets_.end()) {
    ++stats_.unreachable;
    if (topology_.answers(*receiver.machine) && !receiver.silent) {
      tell_unreachable(from_socket, datagram.to, *receiver.machine);
    }
    return false;
  }
  if (!topology_.halted(*receiver.machine)) {
    hand_over(socket->first, datagram);
    return true;
  }
  const size_t takes = datagram.data.size() + kBufferOverhead;
  if (socket->second.held + takes > kSocketBuffer) {
    ++stats_.unread;
    return false;
  }
  socket->second.held += takes;
  topology_.wait(*receiver.machine, [this, id = socket->first, takes, datagram] {
    const auto still = sockets_.find(id);
    if (still == sockets_.end()) return;
    still->second.held -= takes;
    hand_over(id, datagram);
  });
  return true;
}

void DatagramNetwork::hand_over(SocketId id, const Datagram& datagram) {
  const Socket& socket = sockets_.at(id);
  if (topology_.box_of(socket.machine) == nullptr) {
    Flow& through = flow(id, datagram.from, false);
    // Who keeps coming through the port that the router forwards is answered through it, whatever became of this flow before.
    if (outside_.contains(datagram.to)) {
      through.heard_us = scheduler_.now_us();
    } else if (through.heard_us + kForwardedUs < scheduler_.now_us()) {
      through.outside.reset();
    }
  }
  ++stats_.delivered;
  trace_.add(scheduler_.now_us());
  trace_.add(uint64_t{id});
  const IpEndpoint local = topology_.interface_address(socket.machine, socket.local.is_v6, socket.local.port);
  socket.port->events.received(id, local, datagram.from, datagram.ecn, datagram.data);
}

// Now, or when the process goes on.
void DatagramNetwork::tell(SocketId id, const std::function<void(const Events&)>& what) {
  const auto socket = sockets_.find(id);
  if (socket == sockets_.end()) return;
  const size_t machine = socket->second.machine;
  if (topology_.halted(machine)) return topology_.wait(machine, [this, id, what] { tell(id, what); });
  what(socket->second.port->events);
}

// ICMP's answer. It gets lost as everything does; the way back is not told apart from the way there.
void DatagramNetwork::tell_unreachable(SocketId id, const IpEndpoint& remote, size_t from) {
  if (happens(conditions_.lost)) return;
  scheduler_.after(random_.between(conditions_.delay_min_us, conditions_.delay_max_us), [this, id, remote, from] {
    const auto socket = sockets_.find(id);
    if (socket == sockets_.end() || !topology_.answers(socket->second.machine)) return;
    if (topology_.is_cut(from, socket->second.machine)) return;
    tell(id, [id, remote](const Events& events) { events.unreachable(id, remote); });
  });
}

}  // namespace sereus::sim
