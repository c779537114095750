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

#include "core/net/host_services.h"
#include "core/node/context.h"
#include "core/node/limits.h"
#include "core/node/rows.h"

namespace sereus::node {

class AppHost {
 public:
  // `host`: its number, 0 for the node's own. `next_number` gives the numbers of connections and streams.
  AppHost(NodeContext& context, uint64_t host, std::function<uint64_t()> next_number)
      : context_(context), host_(host), next_number_(std::move(next_number)) {}
  AppHost(const AppHost&) = delete;
  AppHost& operator=(const AppHost&) = delete;

  // A transport came or goes (offline, suspended, closed): everything under way fails with `why`. `device` and the transport
  // outlive the time between. `own`: protocols that are not the application's.
  void attach(net::Host& transport, const crypto::KeyPair& device, std::vector<std::string> own);
  void detach(Code why);
  bool attached() const { return transport_ != nullptr; }
  // Listens now, and on the same port again after each attach().
  Status listen_on(const std::string& address);

  // True: it concerned the application or the services alone.
  bool on_event(const net::HostEvent& event);
  // After the host's step. The deadline joins the host's.
  uint64_t step();

  // Requests of host_listen to identify; those that name a connection or a stream only when owns() it.
  void submit(OpRef ref, Request& request);
  bool owns(uint64_t number) const { return connections_.contains(number) || streams_.contains(number); }
  // Its protocols go, its streams are reset.
  void forget_origin(uint32_t origin);

  // Whether the application wants it: it dialed it, or has a stream on it.
  bool uses(net::ConnectionId connection) const;
  bool serves() const { return !protocols_.empty(); }
  std::vector<ConnectionRow> connection_rows() const;
  HostRow row() const;
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
    bool identifying = false;
    Error identify_error;
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
  struct Dial {
    OpRef ref;
    std::vector<std::string> left;  // addresses, the next one last
    net::PeerId peer;
    std::string problems;
  };

  void listen(OpRef ref, Request& request);
  std::optional<uint16_t> port_since(const std::vector<std::string>& before) const;
  void add_protocol(OpRef ref, Request& request);
  void remove_protocol(OpRef ref, Request& request);
  void tell_protocols();

  void dial(OpRef ref, Request& request);
  void dial_next(Dial dial);
  void cancel_dial(OpRef ref);
  void complete_dial(OpRef ref, uint64_t connection);
  void disconnect(OpRef ref, Request& request);
  void ping(OpRef ref, uint64_t number);
  void ping_next(Connection& connection);
  void identify(OpRef ref, uint64_t number);
  void answer_identify(uint64_t number, Connection& connection);
  void on_service(const net::ServiceEvent& event);
  void on_connected(const net::Connected& event);
  void on_disconnected(const net::Disconnected& event);
  bool on_dial_failed(const net::DialFailed& event);
  void drain_services();

  // app_streams.cc
  void open_stream(OpRef ref, Request& request);
  void write(OpRef ref, Request& request);
  void read(OpRef ref, Request& request);
  void reset(OpRef ref, Request& request);
  bool on_stream_opened(const net::StreamOpened& event);
  void pump(uint64_t number);
  void pump_writes(Stream& stream);
  void pump_read(Stream& stream);
  void cancel_write(uint64_t number, OpRef ref);
  void close_stream(uint64_t number, const Error& why, bool tell);
  void forget_if_over(uint64_t number);
  void answer_all(Stream& stream, const Error& why);

  Connection* connection_of(OpRef ref, uint64_t number);
  Stream* stream_of(OpRef ref, uint64_t number);

  NodeContext& context_;
  const uint64_t host_;
  const std::function<uint64_t()> next_number_;
  net::Host* transport_ = nullptr;
  std::optional<net::HostServices> services_;
  std::vector<std::string> own_;
  std::vector<std::string> listening_;         // asked for here, with the ports that were drawn
  std::map<std::string, uint32_t> protocols_;  // and who serves it
  std::map<uint64_t, Connection> connections_;
  std::map<net::ConnectionId, uint64_t> connection_numbers_;
  std::map<uint64_t, Stream> streams_;
  std::map<net::StreamId, uint64_t> stream_numbers_;
  std::map<uint64_t, Dial> dials_;  // by the transport's dial
};

}  // namespace sereus::node
