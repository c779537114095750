// The protocols that every libp2p host answers: identify, identify/push and ping, as streams on a Host of any kind.
//
//   services.set_protocols(...)      instead of host.set_protocols()
//   services.on_event(event, now)    for everything that host.next_event() gives; true when it was a matter of these
//                                    services alone
//   services.step(now)               whenever the host is stepped; its deadline joins the host's
//   services.next_event()            after either
//
// Sans-I/O, on the node's thread. Bounds: limits.h; per connection kPingInboundMax and kIdentifyInboundMax incoming streams.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/base/time.h"
#include "core/crypto/sign.h"
#include "core/net/host.h"
#include "core/net/identify.h"
#include "core/net/ping.h"
#include "core/ports/random.h"

namespace sereus::net {

struct Identified {
  ConnectionId connection = 0;
  IdentifiedPeer peer;
  bool pushed = false;  // told by the peer itself: what it left out is as it was before
};
struct IdentifyFailed {
  ConnectionId connection = 0;
  Error error;
};
struct Pinged {
  ConnectionId connection = 0;
  uint64_t rtt_us = 0;
};
struct PingFailed {
  ConnectionId connection = 0;
  Error error;
};
using ServiceEvent = std::variant<Identified, IdentifyFailed, Pinged, PingFailed>;

struct ServicesSettings {
  std::string protocol_version;  // names the network; "ipfs/0.1.0" on the public one
  std::string agent_version;     // "name/version"
};

class HostServices {
 public:
  // `host`, `device` (the host's key) and `random` outlive it.
  HostServices(Host& host, const crypto::KeyPair& device, Random& random, ServicesSettings settings);

  // What the application accepts; the services' own are added. Identify tells them all.
  void set_protocols(std::vector<std::string> protocols);
  // Multiaddrs that others reach this host at, beside those it listens on; told before them.
  void set_external_addresses(std::vector<std::string> addresses) { external_ = std::move(addresses); }
  // What identify and the signed record tell: external ones, then listening ones, each once, at most kPeerAddressesMax.
  std::vector<std::string> addresses() const;

  // Each is answered by one event of its name. Code::not_found without such a connection; Code::busy while the answer to the
  // last ping is out.
  Status identify(ConnectionId connection, const Times& now);
  Status ping(ConnectionId connection, const Times& now);
  // Tells the peer what identify would. No answer.
  Status push(ConnectionId connection, const Times& now);

  // The host's own signed peer record: its listen addresses, renewed when they change.
  Result<Bytes> signed_record(const Times& now);

  bool on_event(const HostEvent& event, const Times& now);
  uint64_t step(const Times& now);
  std::optional<ServiceEvent> next_event();

 private:
  enum class Kind : uint8_t { tell, ask, push_in, ping_in, ping_out };  // tell: identify for a peer, or a push of ours
  struct Connection {
    PeerId peer;
    std::string address;
    Identify known;
    StreamId ping = 0;  // the one outgoing ping stream
    size_t incoming_pings = 0;
    size_t incoming_identifies = 0;  // pushes too
    size_t& incoming(Kind kind) { return kind == Kind::ping_in ? incoming_pings : incoming_identifies; }
  };
  struct Stream {
    Kind kind = Kind::tell;
    ConnectionId connection = 0;
    uint64_t deadline_us = kNever;
    IdentifyReader reader;
    PingResponder responder;
    PingInitiator initiator;
    Bytes unsent;
    bool incoming = false;
  };

  Result<std::vector<Multiaddr>> own_addresses() const;
  Result<Bytes> record_of(const std::vector<Multiaddr>& addresses, const Times& now);
  Result<Bytes> own_message(const Connection& connection, const Times& now);
  bool accept(const StreamOpened& opened, const Times& now);
  Status tell(StreamId id, Stream& stream, const Times& now);
  void set_deadline(StreamId id, Stream& stream, uint64_t deadline_us);
  void pump(StreamId id, const Times& now);
  // What was read; false when the stream is done with.
  bool take(StreamId id, Stream& stream, ByteView in, const Times& now);
  void at_end(StreamId id, Stream& stream);
  bool flush(StreamId id, Stream& stream);
  void fail_stream(StreamId id, const Error& error, bool reset);
  void forget(StreamId id);

  Host& host_;
  const crypto::KeyPair& device_;
  Random& random_;
  const ServicesSettings settings_;
  std::vector<std::string> protocols_;
  std::vector<std::string> external_;
  std::map<ConnectionId, Connection> connections_;
  std::map<StreamId, Stream> streams_;
  std::set<std::pair<uint64_t, StreamId>> deadlines_;
  std::deque<ServiceEvent> events_;
  // Our signed record, renewed with a higher seq when the addresses change.
  std::vector<Multiaddr> record_addresses_;
  Bytes record_;
  uint64_t record_seq_ = 0;
};

}  // namespace sereus::net
