// Several hosts of one PeerID as one: each speaks a transport, and an address decides which. Ids of connections, streams
// and dials are those of the members, told apart by the remainder of a division.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/net/host.h"

namespace sereus::net {

class HostGroup : public Host {
 public:
  // At least one member; what an address is for is asked in this order. They prove the same PeerID.
  explicit HostGroup(std::vector<std::unique_ptr<Host>> members);

  PeerId peer_id() const override { return members_.front()->peer_id(); }
  Status listen(std::string_view multiaddr) override;
  void set_clock_suspect(bool suspect) override;
  std::vector<std::string> listen_addresses() const override;
  void set_protocols(std::vector<std::string> protocols) override;
  Result<uint64_t> dial(std::string_view multiaddr, const PeerId& peer) override;
  void cancel_dial(uint64_t dial) override;
  void disconnect(ConnectionId connection, Code reason) override;
  Result<uint64_t> dial_punching(std::string_view multiaddr, const PeerId& peer, PunchRole role) override;
  Status send_probe(std::string_view multiaddr) override;
  Result<StreamId> open_stream(ConnectionId connection, std::string_view protocol) override;
  Result<size_t> write(StreamId stream, ByteView data) override;
  Result<ReadResult> read(StreamId stream, ByteSpan out) override;
  void finish(StreamId stream) override;
  void reset(StreamId stream) override;
  void network_changed(const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<HostEvent> next_event() override;
  HostStats stats() const override;
  uint64_t buffered(ConnectionId connection) const override;
  StreamBuffer largest_buffer(ConnectionId connection) const override;
  void close(const Times& now) override;

 private:
  Host& member_of(uint64_t id) { return *members_[static_cast<size_t>(id % members_.size())]; }
  uint64_t inner(uint64_t id) const { return id / members_.size(); }
  // 0 is none, inside and outside.
  uint64_t outer(uint64_t id, size_t member) const { return id == 0 ? 0 : id * members_.size() + member; }

  std::vector<std::unique_ptr<Host>> members_;
  size_t turn_ = 0;  // whose event is next, so that a busy transport does not silence another
};

}  // namespace sereus::net
