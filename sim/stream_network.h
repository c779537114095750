// A network at the level of connections and streams: what QUIC gives, without its packets, so that thousands of runs
// are cheap. Delays are drawn, order within a connection holds, a cut link delays until it heals or the connection
// times out, and a machine that lost power or sleeps falls silent. A process that was killed is missed at once.
//
// A machine behind a NAT box dials out, and can be dialled by its neighbours; from elsewhere only if the box forwards its port.
// Mappings have no life of their own here: connections at this level outlive a change of address, as QUIC's do.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/net/host.h"
#include "sim/chronicle.h"
#include "sim/scheduler.h"
#include "sim/sim_random.h"
#include "sim/topology.h"

namespace sereus::sim {

class StreamHost;

class StreamNetwork {
 public:
  static constexpr uint64_t kIdleUs = 10'000'000;  // as the QUIC host's idle timeout
  static constexpr size_t kWindow = 256 * 1024;    // bytes under way per stream and direction
  static constexpr uint64_t kDialTimeoutUs = 5'000'000;
  static constexpr uint64_t kWatchUs = 1'000'000;  // between two looks at whether a peer is still there

  StreamNetwork(Scheduler& scheduler, Topology& topology, SimRandom random)
      : scheduler_(scheduler), topology_(topology), random_(std::move(random)) {}
  StreamNetwork(const StreamNetwork&) = delete;
  StreamNetwork& operator=(const StreamNetwork&) = delete;

  void set_delay(uint64_t min_us, uint64_t max_us) {
    delay_min_us_ = min_us;
    delay_max_us_ = max_us;
  }

  // `wake` is called when the host has something for its node.
  std::unique_ptr<net::Host> make_host(size_t machine, const net::PeerId& peer, std::function<void()> wake);
  // The most dials of one machine to one address of a peer that failed within kDialWindowUs, with none to that peer in between
  // that did not.
  static constexpr uint64_t kDialWindowUs = 30'000'000;
  size_t busiest_dialing() const { return busiest_dialing_; }
  uint64_t bytes_carried() const { return bytes_carried_; }
  // Sees all bytes of streams as they are written.
  void set_tap(std::function<void(ByteView)> tap) { tap_ = std::move(tap); }
  // Null: nothing is recorded.
  void set_chronicle(Chronicle* chronicle) { chronicle_ = chronicle; }
  // Ends every connection between the two, on both ends.
  void break_links(size_t a, size_t b);

 private:
  friend class StreamHost;

  struct Message {
    enum class Kind : uint8_t { open, data, finish, reset, refuse, credit, close } kind = Kind::data;
    uint64_t stream = 0;  // wire id
    std::string protocol;
    Bytes data;
    size_t credit = 0;
    Code code = Code::ok;
    uint64_t sent_us = 0;
  };
  // One direction of a link: delivers in order.
  struct Lane {
    std::deque<std::pair<uint64_t, Message>> queue;  // not before this time
    bool scheduled = false;
    uint64_t last_us = 0;
  };
  struct Link {
    uint64_t id = 0;
    StreamHost* end[2] = {nullptr, nullptr};  // null: that process is gone
    net::ConnectionId connection[2] = {0, 0};
    size_t machine[2] = {0, 0};
    Lane lane[2];                   // lane[i] carries to end[i]
    uint64_t heard_us[2] = {0, 0};  // when end[i] last could hear the other
    uint64_t next_stream[2] = {0, 1};
  };

  uint64_t delay() { return random_.between(delay_min_us_, delay_max_us_); }
  void dial(StreamHost& from, uint64_t dial, const std::string& address, const net::PeerId& peer);
  StreamHost* listener_at(const std::string& address, size_t from_machine) const;
  bool is_refused(const std::string& address, size_t from_machine) const;
  bool handshake_passes(const StreamHost& dialer, const StreamHost& listener) const;
  std::string address_seen(const StreamHost& dialer, size_t by_machine) const;
  void finish_dial(uint64_t from_host, uint64_t dial, const std::string& address, const net::PeerId& peer,
                   uint64_t begun);
  void count_failed_dial(size_t machine, const net::PeerId& peer, const std::string& address);
  void send(uint64_t link, int to, Message message);
  void deliver(uint64_t link, int to);
  void hand_over(Link& link, int to, Message message);
  void watch_link(uint64_t link);
  void break_link(uint64_t link, int end, Code code);
  // `farewell`: what the peers are told; none: nothing.
  void forget_host(StreamHost& host, std::optional<Code> farewell);

  Scheduler& scheduler_;
  Topology& topology_;
  SimRandom random_;
  uint64_t delay_min_us_ = 200;
  uint64_t delay_max_us_ = 5'000;
  std::map<std::string, StreamHost*> listeners_;
  std::map<uint64_t, StreamHost*> hosts_;
  std::map<uint64_t, Link> links_;
  uint64_t last_id_ = 0;
  uint64_t bytes_carried_ = 0;
  std::map<std::string, size_t> machines_;  // who ever listened there
  std::map<std::pair<size_t, net::PeerId>, std::map<std::string, std::deque<uint64_t>>> failed_dials_;
  size_t busiest_dialing_ = 0;
  std::function<void(ByteView)> tap_;
  Chronicle* chronicle_ = nullptr;
};

class StreamHost final : public net::Host {
 public:
  StreamHost(StreamNetwork& network, uint64_t id, size_t machine, net::PeerId peer, std::function<void()> wake)
      : network_(network), id_(id), machine_(machine), peer_(std::move(peer)), wake_(std::move(wake)) {}
  ~StreamHost() override;

  net::PeerId peer_id() const override { return peer_; }
  Status listen(std::string_view multiaddr) override;
  std::vector<std::string> listen_addresses() const override { return addresses_; }
  void set_protocols(std::vector<std::string> protocols) override { protocols_ = std::move(protocols); }
  Result<uint64_t> dial(std::string_view multiaddr, const net::PeerId& peer) override;
  void disconnect(net::ConnectionId connection, Code reason) override;
  Result<net::StreamId> open_stream(net::ConnectionId connection, std::string_view protocol) override;
  Result<size_t> write(net::StreamId stream, ByteView data) override;
  Result<ReadResult> read(net::StreamId stream, ByteSpan out) override;
  void finish(net::StreamId stream) override;
  void reset(net::StreamId stream) override;
  uint64_t step(const Times&) override { return kNever; }
  std::optional<net::HostEvent> next_event() override;
  net::HostStats stats() const override { return stats_; }
  void close(const Times& now) override;

 private:
  friend class StreamNetwork;
  struct Stream {
    net::ConnectionId connection = 0;
    uint64_t wire = 0;
    Bytes received;
    size_t read_at = 0;
    bool peer_finished = false;
    bool finished = false;
    bool read_to_end = false;
    size_t window = StreamNetwork::kWindow;
    bool wants_room = false;
    bool told = false;  // StreamReadable is out
  };
  struct Connection {
    uint64_t link = 0;
    int side = 0;
    std::map<uint64_t, net::StreamId> streams;  // by wire id
  };

  void push(net::HostEvent event);
  net::ConnectionId add_connection(uint64_t link, int side);
  void receive(net::ConnectionId connection, StreamNetwork::Message message);
  void lose(net::ConnectionId connection, const Error& reason);
  void tell_readable(net::StreamId id, Stream& stream);
  void forget_if_over(net::StreamId id);
  Stream* stream_of(net::StreamId id);

  StreamNetwork& network_;
  uint64_t id_;
  size_t machine_;
  net::PeerId peer_;
  std::function<void()> wake_;
  std::vector<std::string> addresses_;
  std::vector<std::string> protocols_;
  std::map<net::ConnectionId, Connection> connections_;
  std::map<net::StreamId, Stream> streams_;
  std::deque<net::HostEvent> events_;
  uint64_t last_id_ = 0;
  bool closed_ = false;
  net::HostStats stats_;
};

}  // namespace sereus::sim
