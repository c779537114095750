#include "sim/link_network.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/net/listen_address.h"

namespace sereus::sim {
namespace {

constexpr uint16_t kDrawnPortFirst = 32'768;
constexpr uint64_t kDrawnPorts = 28'232;

}  // namespace

LinkConditions LinkConditions::draw(SimRandom& random) {
  LinkConditions out;
  out.partial_writes = random.chance(50) ? static_cast<uint32_t>(random.below(500'000)) : 0;
  out.partial_reads = random.chance(50) ? static_cast<uint32_t>(random.below(500'000)) : 0;
  out.refused = random.chance(30) ? static_cast<uint32_t>(random.below(200'000)) : 0;
  out.broken = random.chance(30) ? static_cast<uint32_t>(random.below(5'000)) : 0;
  out.delay_min_us = random.between(100, 20'000);
  out.delay_max_us = out.delay_min_us + random.between(0, 40'000);
  // Some paths give bytes by the handful.
  out.piece_max = random.chance(20) ? random.between(1, 200) : random.between(500, 60'000);
  out.window = random.chance(20) ? random.between(1'000, 10'000) : random.between(20'000, 1'000'000);
  return out;
}

// ---- A machine's links ----------------------------------------------------------------------------------------------

class LinkNetwork::Port final : public Links {
 public:
  Port(LinkNetwork& network, size_t machine, LinkEvents& on, std::function<void()> wake_machine)
      : events(on), wake(std::move(wake_machine)), network_(network), machine_(machine) {}
  ~Port() override { network_.forget(*this); }
  Result<Listening> listen(const IpEndpoint& local) override { return network_.listen(*this, machine_, local); }
  void stop_listening(ListenerId listener) override { network_.listeners_.erase(listener); }
  Result<LinkId> connect(const IpEndpoint& remote) override { return network_.connect(*this, machine_, remote); }
  size_t write(LinkId link, ByteView data) override { return network_.write(link, data); }
  ReadResult read(LinkId link, ByteSpan out) override { return network_.read(link, out); }
  void finish(LinkId link) override { network_.finish(link); }
  void close(LinkId link) override { network_.close(link); }

  LinkEvents& events;
  const std::function<void()> wake;

 private:
  LinkNetwork& network_;
  size_t machine_;
};

std::unique_ptr<Links> LinkNetwork::attach(size_t machine, LinkEvents& events, std::function<void()> wake) {
  return std::make_unique<Port>(*this, machine, events, std::move(wake));
}

void LinkNetwork::forget(Port& port) {
  std::erase_if(listeners_, [&](const auto& item) { return item.second.port == &port; });
  std::vector<LinkId> its;
  for (auto& [number, link] : links_) {
    for (const int side : {0, 1}) {
      if (link.end[side].port == &port) its.push_back(id_of(number, side));
    }
  }
  for (const LinkId id : its) close(id);
}

std::optional<LinkNetwork::Place> LinkNetwork::find(LinkId id) {
  const auto found = links_.find(id / 2);
  const auto side = static_cast<int>(id % 2);
  if (found == links_.end() || found->second.end[side].port == nullptr) return std::nullopt;
  return Place{found->first, &found->second, side};
}

void LinkNetwork::tell(LinkId id, uint64_t delay_us, std::function<void(LinkEvents&)> told) {
  scheduler_.after(delay_us, [this, id, told = std::move(told)] { tell_now(id, told); });
}

// Now, or when the process goes on.
void LinkNetwork::tell_now(LinkId id, const std::function<void(LinkEvents&)>& told) {
  const auto place = find(id);
  if (!place) return;
  const size_t machine = place->mine().machine;
  if (topology_.halted(machine)) return topology_.wait(machine, [this, id, told] { tell_now(id, told); });
  const Port& port = *place->mine().port;
  // The call may close the link or more; the machine's wake-up outlives it.
  const auto wake = port.wake;
  told(port.events);
  wake();
}

// ---- Connecting -----------------------------------------------------------------------------------------------------

Result<Links::Listening> LinkNetwork::listen(Port& port, size_t machine, const IpEndpoint& local) {
  if (!net::is_unspecified(local) && topology_.owner(local) != machine) {
    return fail(Code::io, "no interface has the address " + to_string(local));
  }
  IpEndpoint bound = local;
  while (bound.port == 0) {
    bound.port = static_cast<uint16_t>(kDrawnPortFirst + random_.below(kDrawnPorts));
    if (listener_at(machine, bound)) bound.port = 0;
  }
  if (listener_at(machine, bound)) return fail(Code::busy, to_string(bound) + " is in use");
  const ListenerId id = ++last_;
  listeners_[id] = Listener{&port, machine, bound};
  return Links::Listening{id, bound};
}

std::optional<ListenerId> LinkNetwork::listener_at(size_t machine, const IpEndpoint& local) const {
  for (const auto& [id, listener] : listeners_) {
    if (listener.machine == machine && listener.local.port == local.port && listener.local.is_v6 == local.is_v6) {
      return id;
    }
  }
  return std::nullopt;
}

LinkNetwork::Goal LinkNetwork::goal_of(size_t from, const IpEndpoint& remote) const {
  Goal goal;
  if (const auto machine = topology_.owner(remote); machine && topology_.routes(from, *machine)) {
    goal.machine = machine;
    goal.listener = listener_at(*machine, remote);
    return goal;
  }
  const NatBox* box = topology_.box_at(remote);
  if (box == nullptr || (box == topology_.box_of(from) && !box->settings().hairpin)) return goal;
  const std::vector<size_t> inside = topology_.inside(*box);
  for (const size_t machine : box->forwards() ? inside : std::vector<size_t>{}) {
    goal.listener = listener_at(machine, remote);
    if (!goal.listener) continue;
    goal.machine = machine;
    return goal;
  }
  goal.resets = box->settings().resets_tcp;
  if (goal.resets) goal.machine = inside.front();
  return goal;
}

LinkId LinkNetwork::connect(Port& port, size_t machine, const IpEndpoint& remote) {
  const uint64_t number = ++last_;
  End& end = links_[number].end[0];
  end.port = &port;
  end.machine = machine;
  end.local =
      topology_.interface_address(machine, remote.is_v6, static_cast<uint16_t>(kDrawnPortFirst + number % kDrawnPorts));
  const LinkId id = id_of(number, 0);
  trace_.add(scheduler_.now_us());
  trace_.add(remote);
  scheduler_.after(delay(),
                   [this, id, remote, begun = scheduler_.now_us()] { try_connect(id, remote, begun, 1'000'000); });
  return id;
}

void LinkNetwork::try_connect(LinkId id, const IpEndpoint& remote, uint64_t begun_us, uint64_t retry_us) {
  const auto place = find(id);
  if (!place) return;
  const size_t from = place->mine().machine;
  const Goal goal = goal_of(from, remote);
  const auto& to = goal.machine;
  // A box answers for a machine that does not.
  const bool heard = to && topology_.answers(from) && (goal.resets || topology_.answers(*to)) &&
                     !topology_.is_cut(from, *to) && !topology_.is_cut(*to, from);
  if (!heard) {
    if (scheduler_.now_us() + retry_us > begun_us + kConnectTimeoutUs) {
      return reset(id, Code::unreachable, "nobody answers", 0);
    }
    scheduler_.after(retry_us, [=, this] { try_connect(id, remote, begun_us, retry_us * 2); });
    return;
  }
  if (!goal.listener || happens(conditions_.refused)) {
    ++stats_.refused;
    return reset(id, Code::unreachable, "the connection was refused", delay());
  }
  accept(*place, *goal.listener, remote);
}

// The dialer's address as the listener sees it. What a box remembers of the link begins here.
IpEndpoint LinkNetwork::pass_boxes(Link& link) {
  IpEndpoint seen = link.end[0].local;
  link.used_us = scheduler_.now_us();
  NatBox* box[2] = {topology_.box_of(link.end[0].machine), topology_.box_of(link.end[1].machine)};
  const bool direct = topology_.owner(link.end[1].local) == link.end[1].machine && box[0] == box[1];
  for (const int side : {0, 1}) {
    if (!direct && box[side] != nullptr) link.passage[side] = {box[side], box[side]->generation()};
  }
  if (link.passage[0].box != nullptr) seen = link.passage[0].box->outside(seen.is_v6, seen.port);
  if (link.passage[1].box != nullptr) {
    link.end[1].local = topology_.interface_address(link.end[1].machine, seen.is_v6, link.end[1].local.port);
  }
  return seen;
}

void LinkNetwork::accept(const Place& dialer, ListenerId id, const IpEndpoint& remote) {
  const Listener& listener = listeners_.at(id);
  ++stats_.connected;
  End& end = dialer.theirs();
  end.port = listener.port;
  end.machine = listener.machine;
  end.local = remote;
  end.stage = Stage::open;
  const LinkId there = id_of(dialer.number, 1);
  const IpEndpoint from = dialer.mine().local;
  const IpEndpoint seen = pass_boxes(*dialer.link);
  if (chronicle_ != nullptr) {
    const uint64_t now_us = scheduler_.now_us();
    chronicle_->add({Chronicle::Kind::connected, now_us, now_us, dialer.mine().machine, end.machine, 0, {}});
  }
  tell(there, 0, [=, local = end.local](LinkEvents& events) { events.on_accepted(id, there, local, seen); });
  scheduler_.after(delay(dialer), [this, here = id_of(dialer.number, 0), from] {
    const auto place = find(here);
    if (!place) return;
    place->mine().stage = Stage::open;
    tell(here, 0, [here, from](LinkEvents& events) { events.on_connected(here, from); });
    // The other side may have spoken first.
    if (!place->incoming().pieces.empty()) schedule(place->number, 0, scheduler_.now_us());
  });
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

size_t LinkNetwork::write(LinkId id, ByteView data) {
  const auto place = find(id);
  if (!place || place->mine().stage != Stage::open) return 0;
  Lane& lane = place->outgoing();
  if (lane.end_sent) return 0;
  size_t taken = std::min(data.size(), conditions_.window - std::min(conditions_.window, lane.window_used));
  if (taken > 1 && happens(conditions_.partial_writes)) {
    ++stats_.partial_writes;
    taken = random_.between(1, taken);
  }
  lane.window_used += taken;
  if (taken < data.size()) {
    place->mine().writable_due = true;
    // With room left nobody's reading will say so.
    if (lane.window_used < conditions_.window) tell_writable(id);
  }
  trace_.add(scheduler_.now_us());
  trace_.add(id);
  trace_.add(data.first(taken));
  if (tap_) tap_(data.first(taken));
  for (ByteView rest = data.first(taken); !rest.empty();) {
    const size_t size = std::min<size_t>(rest.size(), 1 + random_.below(conditions_.piece_max));
    send(place->number, 1 - place->side, Piece{0, to_bytes(rest.first(size)), false, 0});
    rest = rest.subspan(size);
  }
  return taken;
}

void LinkNetwork::tell_writable(LinkId id) {
  tell(id, delay(), [this, id](LinkEvents& events) {
    const auto place = find(id);
    if (place && std::exchange(place->mine().writable_due, false)) events.on_writable(id);
  });
}

void LinkNetwork::tell_readable(LinkId id) {
  tell(id, 0, [id](LinkEvents& events) { events.on_readable(id); });
}

Links::ReadResult LinkNetwork::read(LinkId id, ByteSpan out) {
  const auto place = find(id);
  if (!place || place->mine().stage != Stage::open) return {};
  Lane& lane = place->incoming();
  Links::ReadResult result;
  const size_t there = lane.arrived.size() - lane.read_at;
  result.size = std::min(out.size(), there);
  if (result.size > 1 && happens(conditions_.partial_reads)) {
    ++stats_.partial_reads;
    result.size = random_.between(1, result.size - 1);
  }
  std::copy_n(lane.arrived.begin() + static_cast<ptrdiff_t>(lane.read_at), result.size, out.begin());
  lane.read_at += result.size;
  lane.window_used -= result.size;
  const bool all_read = lane.read_at == lane.arrived.size();
  if (all_read) {
    lane.arrived.clear();
    lane.read_at = 0;
  }
  result.ended = all_read && lane.end_arrived;
  lane.readable_due = all_read && result.size < out.size() && !result.ended;
  if (result.size < out.size() && !all_read) tell_readable(id);
  trace_.add(scheduler_.now_us());
  trace_.add(id ^ (uint64_t{result.size} << 32));
  if (result.size > 0 && place->theirs().writable_due) tell_writable(id ^ 1);
  return result;
}

void LinkNetwork::finish(LinkId id) {
  const auto place = find(id);
  if (!place || place->mine().stage != Stage::open || std::exchange(place->outgoing().end_sent, true)) return;
  send(place->number, 1 - place->side, Piece{0, {}, true, 0});
}

void LinkNetwork::close(LinkId id) {
  const auto place = find(id);
  if (!place) return;
  End& mine = place->mine();
  const bool was_open = mine.stage == Stage::open;
  const bool unread = place->incoming().arrived.size() > place->incoming().read_at;
  mine.port = nullptr;
  mine.stage = Stage::gone;
  trace_.add(scheduler_.now_us());
  trace_.add(~id);
  place->outgoing().orphaned = !topology_.powered(mine.machine);
  if (was_open && topology_.powered(mine.machine)) {
    if (unread) {
      // As systems do: the peer shall know that what it sent was not read.
      reset(id ^ 1, Code::io, "the connection was reset", delay());
    } else if (!std::exchange(place->outgoing().end_sent, true)) {
      send(place->number, 1 - place->side, Piece{0, {}, true, 0});
    }
  }
  erase_if_over(place->number);
}

void LinkNetwork::erase_if_over(uint64_t number) {
  const auto found = links_.find(number);
  if (found != links_.end() && found->second.end[0].port == nullptr && found->second.end[1].port == nullptr) {
    links_.erase(found);
  }
}

// ---- On the way -----------------------------------------------------------------------------------------------------

void LinkNetwork::send(uint64_t number, int to, Piece piece) {
  Link& link = links_.at(number);
  Lane& lane = link.lane[to];
  lane.last_us = std::max(lane.last_us, scheduler_.now_us() + delay(Place{number, &link, to}));
  piece.at_us = lane.last_us;
  piece.sent_us = scheduler_.now_us();
  lane.pieces.push_back(std::move(piece));
  if (!lane.moving) schedule(number, to, lane.last_us);
}

void LinkNetwork::schedule(uint64_t number, int to, uint64_t at_us) {
  links_.at(number).lane[to].moving = true;
  scheduler_.at(at_us, [this, number, to] { move(number, to); });
}

// Whether a box on the way knows nothing of the link any more.
bool LinkNetwork::forgotten(const Link& link) const {
  return std::any_of(std::begin(link.passage), std::end(link.passage), [&](const Passage& passage) {
    return passage.box != nullptr && (passage.box->generation() != passage.generation ||
                                      link.used_us + passage.box->settings().tcp_expiry_us < scheduler_.now_us());
  });
}

// Whether nothing gets through now. Then it is tried again, later and later.
bool LinkNetwork::held(uint64_t number, int to) {
  Link& link = links_.at(number);
  Lane& lane = link.lane[to];
  const size_t from = link.end[1 - to].machine;
  const size_t at = link.end[to].machine;
  const bool unknown = forgotten(link);
  // Without the way back there are no acknowledgements, and TCP comes to a halt.
  const bool open = !topology_.is_cut(from, at) && !topology_.is_cut(at, from);
  if (open && unknown) {
    ++stats_.forgotten;
    const NatBox* box = link.passage[link.passage[0].box == nullptr ? 1 : 0].box;
    if (box->settings().resets_tcp) {
      lane.pieces.clear();
      reset(id_of(number, 1 - to), Code::io, "the connection was reset", delay());
      return true;
    }
  }
  // What a machine that lost power had sent arrives, and what had to be sent again does not.
  if (lane.orphaned && lane.held_since_us != 0) {
    lane.pieces.clear();
    return true;
  }
  if (open && !unknown && topology_.answers(at)) {
    lane.retry_us = kRetransmitMinUs;
    lane.held_since_us = 0;
    link.used_us = scheduler_.now_us();
    return false;
  }
  ++stats_.held;
  // The timers of a machine that sleeps stand still.
  if (lane.held_since_us == 0 || topology_.asleep(from)) lane.held_since_us = scheduler_.now_us();
  if (scheduler_.now_us() >= lane.held_since_us + kGiveUpUs) {
    lane.pieces.clear();
    reset(id_of(number, 1 - to), Code::io, "the connection timed out", 0);
    return true;
  }
  schedule(number, to, scheduler_.now_us() + lane.retry_us);
  lane.retry_us = std::min(lane.retry_us * 2, kRetransmitMaxUs);
  return true;
}

void LinkNetwork::move(uint64_t number, int to) {
  const auto found = links_.find(number);
  if (found == links_.end()) return;
  Link& link = found->second;
  Lane& lane = link.lane[to];
  lane.moving = false;
  if (lane.pieces.empty() || held(number, to)) return;
  if (link.end[to].stage == Stage::connecting) return;  // goes on when it is connected
  if (link.end[to].port == nullptr) {
    // Nobody reads this any more, and the sender is told.
    lane.pieces.clear();
    return reset(id_of(number, 1 - to), Code::io, "the connection was reset", delay());
  }
  if (happens(conditions_.broken)) {
    reset(id_of(number, to), Code::io, "the connection was reset", 0);
    return reset(id_of(number, 1 - to), Code::io, "the connection was reset", delay());
  }
  bool news = false;
  while (!lane.pieces.empty() && lane.pieces.front().at_us <= scheduler_.now_us()) {
    const Piece piece = std::move(lane.pieces.front());
    lane.pieces.pop_front();
    append(lane.arrived, piece.data);
    if (chronicle_ != nullptr) {
      chronicle_->add({Chronicle::Kind::message,
                       piece.sent_us,
                       scheduler_.now_us(),
                       link.end[1 - to].machine,
                       link.end[to].machine,
                       piece.data.size(),
                       {}});
    }
    stats_.bytes += piece.data.size();
    lane.end_arrived = lane.end_arrived || piece.end;
    news = true;
  }
  if (!lane.pieces.empty()) schedule(number, to, lane.pieces.front().at_us);
  if (news && std::exchange(lane.readable_due, false)) tell_readable(id_of(number, to));
}

void LinkNetwork::reset(LinkId id, Code code, std::string_view why, uint64_t delay_us) {
  scheduler_.after(delay_us, [this, id, code, text = std::string(why), from_afar = delay_us > 0] {
    end(id, code, text, from_afar);
  });
}

void LinkNetwork::end(LinkId id, Code code, const std::string& why, bool from_afar) {
  const auto place = find(id);
  if (!place) return;
  const size_t here = place->mine().machine;
  const size_t there = place->theirs().machine;
  // What comes from the other side does not come through a cut; whoever writes finds out afterwards.
  if (from_afar && (topology_.is_cut(there, here) || !topology_.answers(here))) return;
  if (topology_.halted(here)) {
    // The system knows, and the process hears of it when it goes on.
    return topology_.wait(here, [this, id, code, why] { end(id, code, why, false); });
  }
  Port& port = *place->mine().port;
  if (code != Code::unreachable) ++stats_.broken;
  place->mine().port = nullptr;
  place->mine().stage = Stage::gone;
  erase_if_over(place->number);
  trace_.add(scheduler_.now_us());
  trace_.add(id << 8);
  const auto wake = port.wake;
  port.events.on_closed(id, fail(code, why));
  wake();
}

void LinkNetwork::break_links(size_t a, size_t b) {
  for (const auto& [number, link] : links_) {
    const size_t x = link.end[0].machine;
    const size_t y = link.end[1].machine;
    const bool between = (x == a && y == b) || (x == b && y == a);
    if (!between || link.end[1].stage == Stage::connecting) continue;
    reset(id_of(number, 0), Code::io, "the connection was reset", 0);
    reset(id_of(number, 1), Code::io, "the connection was reset", 0);
  }
}

}  // namespace sereus::sim
