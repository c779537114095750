#include "core/net/host_group.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"

namespace sereus::net {

HostGroup::HostGroup(std::vector<std::unique_ptr<Host>> members) : members_(std::move(members)) {
  SEREUS_ASSERT(!members_.empty());
}

Status HostGroup::listen(std::string_view multiaddr) {
  Status status;
  for (const auto& member : members_) {
    status = member->listen(multiaddr);
    if (status.code() != Code::unsupported) return status;
  }
  if (members_.size() == 1) return status;
  return fail(Code::unsupported, "no transport here listens on such an address");
}

void HostGroup::set_clock_suspect(bool suspect) {
  for (const auto& member : members_) member->set_clock_suspect(suspect);
}

std::vector<std::string> HostGroup::listen_addresses() const {
  std::vector<std::string> out;
  for (const auto& member : members_) {
    for (std::string& address : member->listen_addresses()) out.push_back(std::move(address));
  }
  return out;
}

void HostGroup::set_protocols(std::vector<std::string> protocols) {
  for (const auto& member : members_) member->set_protocols(protocols);
}

Result<uint64_t> HostGroup::dial(std::string_view multiaddr, const PeerId& peer) {
  for (size_t i = 0; i < members_.size(); ++i) {
    Result<uint64_t> dial = members_[i]->dial(multiaddr, peer);
    if (dial.ok()) return outer(*dial, i);
    if (dial.code() != Code::unsupported || members_.size() == 1) return dial;
  }
  return fail(Code::unsupported, "no transport here dials such an address");
}

Result<uint64_t> HostGroup::dial_punching(std::string_view multiaddr, const PeerId& peer, PunchRole role) {
  for (size_t i = 0; i < members_.size(); ++i) {
    Result<uint64_t> dial = members_[i]->dial_punching(multiaddr, peer, role);
    if (dial.ok()) return outer(*dial, i);
    if (dial.code() != Code::unsupported) return dial;
  }
  return fail(Code::unsupported, "no transport here punches holes to such an address");
}

Status HostGroup::send_probe(std::string_view multiaddr) {
  for (const auto& member : members_) {
    Status status = member->send_probe(multiaddr);
    if (status.code() != Code::unsupported) return status;
  }
  return fail(Code::unsupported, "no transport here sends datagrams to such an address");
}

void HostGroup::cancel_dial(uint64_t dial) { member_of(dial).cancel_dial(inner(dial)); }

void HostGroup::disconnect(ConnectionId connection, Code reason) {
  member_of(connection).disconnect(inner(connection), reason);
}

Result<StreamId> HostGroup::open_stream(ConnectionId connection, std::string_view protocol) {
  SEREUS_ASSIGN(const StreamId stream, member_of(connection).open_stream(inner(connection), protocol));
  return outer(stream, static_cast<size_t>(connection % members_.size()));
}

Result<size_t> HostGroup::write(StreamId stream, ByteView data) { return member_of(stream).write(inner(stream), data); }

Result<Host::ReadResult> HostGroup::read(StreamId stream, ByteSpan out) {
  return member_of(stream).read(inner(stream), out);
}

void HostGroup::finish(StreamId stream) { member_of(stream).finish(inner(stream)); }
void HostGroup::reset(StreamId stream) { member_of(stream).reset(inner(stream)); }

void HostGroup::network_changed(const Times& now) {
  for (const auto& member : members_) member->network_changed(now);
}

uint64_t HostGroup::step(const Times& now) {
  uint64_t next = kNever;
  for (const auto& member : members_) next = std::min(next, member->step(now));
  return next;
}

std::optional<HostEvent> HostGroup::next_event() {
  for (size_t tried = 0; tried < members_.size(); ++tried) {
    const size_t member = turn_;
    turn_ = (turn_ + 1) % members_.size();
    std::optional<HostEvent> event = members_[member]->next_event();
    if (!event) continue;
    std::visit(
        [&](auto& e) {
          if constexpr (requires { e.dial; }) e.dial = outer(e.dial, member);
          if constexpr (requires { e.connection; }) e.connection = outer(e.connection, member);
          if constexpr (requires { e.stream; }) e.stream = outer(e.stream, member);
        },
        *event);
    return event;
  }
  return std::nullopt;
}

HostStats HostGroup::stats() const {
  HostStats out;
  for (const auto& member : members_) {
    const HostStats stats = member->stats();
    out.bytes_sent += stats.bytes_sent;
    out.bytes_received += stats.bytes_received;
    out.connections += stats.connections;
    out.streams += stats.streams;
  }
  return out;
}

uint64_t HostGroup::buffered(ConnectionId connection) const {
  return members_[static_cast<size_t>(connection % members_.size())]->buffered(inner(connection));
}

Host::StreamBuffer HostGroup::largest_buffer(ConnectionId connection) const {
  const auto member = static_cast<size_t>(connection % members_.size());
  StreamBuffer out = members_[member]->largest_buffer(inner(connection));
  out.stream = outer(out.stream, member);
  return out;
}

void HostGroup::close(const Times& now) {
  for (const auto& member : members_) member->close(now);
}

}  // namespace sereus::net
