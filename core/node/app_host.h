// What the application does with one host: protocols of its own, connections, and streams with backpressure, under numbers
// that are unique in the process. The node's own host has one of these beside the node's protocols; other hosts have
// nothing else.
//
// Reads and writes are operations: a write is answered when the transport has taken all of it, so who reads slowly stops
// who writes; a read when there is something, or the end. Thread rule: the node's thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/net/swarm.h"
#include "core/node/context.h"
#include "core/node/host_settings.h"
#include "core/node/limits.h"
#include "core/node/view.h"

namespace sereus::node {

class AppHost {
 public:
  // What it needs of its node. All outlive it.
  struct Node {
    NodeContext& context;
    View& view;
    std::function<uint64_t()> next_number;  // of connections and streams
    std::function<void()> publish;          // what host_rows() says is to be seen
  };
  // `host`: its number, 0 for the node's own.
  AppHost(const Node& node, uint64_t host) : context_(node.context), view_(node.view), node_(node), host_(host) {}
  AppHost(const AppHost&) = delete;
  AppHost& operator=(const AppHost&) = delete;

  // A swarm came or goes (offline, suspended, closed): everything under way fails with `why`. The swarm outlives the time
  // between. `own`: protocols that are not the application's.
  void attach(net::Swarm& swarm, std::vector<std::string> own);
  void detach(Code why);
  bool attached() const { return swarm_ != nullptr; }
  // Listens now, and on the same port again after each attach().
  Status listen_on(const std::string& address);
  const HostSettings& settings() const { return settings_; }
  void set_settings(HostSettings settings) { settings_ = std::move(settings); }

  // Everything that the swarm tells. True: it concerned the application alone.
  bool on_event(const net::HostEvent& event);
  bool on_notice(const net::SwarmNotice& notice);

  // Requests of host_listen to identify; those that name a connection or a stream only when owns() it.
  void submit(OpRef ref, Request& request);
  bool owns(uint64_t number) const {
    return connections_.contains(number) || streams_.contains(number) || superseded_.contains(number);
  }
  // Its protocols go, its streams are reset.
  void forget_origin(uint32_t origin);

  // Whether the application wants it: it dialed it, or has a stream on it.
  bool uses(net::ConnectionId connection) const;
  bool serves() const { return !protocols_.empty(); }
  HostRow row() const;
  // LISTENING for each of its addresses.
  void tell_listening() const;
  std::vector<std::string> addresses() const;  // with /p2p

 private:
  struct Connection {
    net::ConnectionId id = 0;
    net::PeerId peer;
    std::string address;
    bool incoming = false;
    bool wanted = false;  // dialed by the application
    size_t streams = 0;
    std::optional<net::IdentifiedPeer> identified;
    bool identify_failed = false;
    std::vector<OpRef> identify_waiting;
    std::deque<OpRef> ping_waiting;
  };
  struct Write {
    OpRef ref;
    Bytes data;
    size_t taken = 0;
    bool finish = false;
  };
  struct Read {
    OpRef ref;
    size_t size_max = 0;
  };
  struct Stream {
    net::StreamId id = 0;
    uint64_t connection = 0;
    uint32_t origin = 0;
    std::string protocol;
    std::optional<OpRef> opening;
    std::deque<Write> writes;
    size_t unsent = 0;
    std::optional<Read> read;
    bool writes_finished = false;  // by the application
    bool finished = false;         // told to the transport
    bool end_read = false;
  };

  void listen(OpRef ref, Request& request);
  std::optional<uint16_t> port_since(const std::vector<std::string>& before) const;
  void add_protocol(OpRef ref, Request& request);
  void remove_protocol(OpRef ref, Request& request);
  void tell_protocols();

  void dial(OpRef ref, Request& request);
  void complete_dial(OpRef ref, uint64_t connection);
  void configure(OpRef ref, Request& request);
  void protect(OpRef ref, Request& request);
  void disconnect(OpRef ref, Request& request);
  void ping(OpRef ref, uint64_t number);
  void ping_next(Connection& connection);
  void identify(OpRef ref, uint64_t number);
  void answer_identify(uint64_t number, Connection& connection, const Error& error);
  void on_identified(const net::Identified& notice);
  void answer_ping(net::ConnectionId id, Result<uint64_t> rtt_us);
  bool on_reached(const net::Reached& notice);
  bool on_unreached(const net::Unreached& notice);
  void on_refused(const net::Refused& notice);
  void on_superseded(const net::Superseded& notice);
  uint64_t staying(uint64_t number) const;  // of a superseded connection: the other's number
  void on_connected(const net::Connected& event);
  void on_disconnected(const net::Disconnected& event);

  // app_streams.cc
  void open_stream(OpRef ref, Request& request);
  void write(OpRef ref, Request& request);
  void read(OpRef ref, Request& request);
  void reset(OpRef ref, Request& request);
  bool on_stream_opened(const net::StreamOpened& event);
  void pump(uint64_t number);
  void pump_writes(Stream& stream);
  void fail_writes(Stream& stream, const Error& why);
  void pump_read(Stream& stream);
  void cancel_write(uint64_t number, OpRef ref);
  void close_stream(uint64_t number, const Error& why, bool tell);
  void forget_if_over(uint64_t number);
  void count_stream(uint64_t connection, int change);
  void answer_all(Stream& stream, const Error& why);

  void show(uint64_t number);
  void tell(uint32_t what, uint64_t number, const Connection& connection, const Error& why);
  Connection* connection_of(OpRef ref, uint64_t number);
  Stream* stream_of(OpRef ref, uint64_t number);

  NodeContext& context_;
  View& view_;
  const Node& node_;
  const uint64_t host_;
  net::Swarm* swarm_ = nullptr;
  std::vector<std::string> own_;
  HostSettings settings_;
  std::vector<std::string> listening_;         // asked for here, with the ports that were drawn
  std::map<std::string, uint32_t> protocols_;  // and who serves it
  std::map<uint64_t, Connection> connections_;
  std::map<net::ConnectionId, uint64_t> connection_numbers_;
  // Connections that lost a simultaneous open, gone or about to go, and those that stay: a dial may have answered with the former.
  std::map<uint64_t, uint64_t> superseded_;
  std::map<uint64_t, Stream> streams_;
  std::map<net::StreamId, uint64_t> stream_numbers_;
  std::map<uint64_t, OpRef> dials_;  // by the swarm's dial
};

}  // namespace sereus::node
