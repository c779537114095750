// Links (core/ports/links.h) over streams of a swarm: what carries a relayed connection. The relay client opens and accepts the
// streams (hop and stop) and hands them over; a TcpHost has them as its links.
//
// An endpoint here is a number that stands for a circuit, in the form of an IP address (100::/64, RFC 6666: no address of anything).
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "core/base/time.h"
#include "core/net/circuit_message.h"
#include "core/net/message_streams.h"
#include "core/net/stream_drain.h"
#include "core/net/swarm.h"
#include "core/ports/links.h"

namespace sereus::net {

IpEndpoint circuit_endpoint(uint64_t number);
// Nothing for an endpoint of another kind.
std::optional<uint64_t> circuit_number(const IpEndpoint& endpoint);

// A limit of the relay that a circuit ran into.
enum class CircuitLimitKind : uint8_t { data = 1, duration = 2 };

class CircuitLinks final : public Links {
 public:
  // Both outlive it. `events` is told what happens, never from inside a call of Links.
  CircuitLinks(Swarm& swarm, LinkEvents& events);

  // --- Links

  Result<Listening> listen(const IpEndpoint& local) override;
  void stop_listening(ListenerId /*listener*/) override {}
  // Answered when the relay client calls opened() or refused().
  Result<LinkId> connect(const IpEndpoint& remote) override;
  size_t write(LinkId link, ByteView data) override;
  ReadResult read(LinkId link, ByteSpan out) override;
  void finish(LinkId link) override;
  void close(LinkId link) override;

  // --- the relay client

  struct Wanted {
    LinkId link = 0;
    uint64_t number = 0;
  };
  std::optional<Wanted> next_wanted();
  // Still: it was not closed meanwhile.
  bool waits(LinkId link) const;
  // `stream` is this one's from now on.
  void opened(LinkId link, StreamId stream, MessageStreams::Released released, const CircuitLimit& limit,
              const Times& now);
  void refused(LinkId link, const Error& reason);
  void accepted(uint64_t number, StreamId stream, MessageStreams::Released released, const CircuitLimit& limit,
                const Times& now);

  bool on_event(const HostEvent& event, const Times& now);
  uint64_t step(const Times& now);
  // Circuits that their relay ended for a limit, since they were asked for last.
  struct Limited {
    uint64_t number = 0;
    CircuitLimitKind limit{};
  };
  std::optional<Limited> next_limited();
  // The number of a circuit that is over, each once.
  std::optional<uint64_t> next_ended();

 private:
  struct Link {
    uint64_t number = 0;
    StreamId stream = 0;  // 0: it waits for one
    Bytes received;       // behind the last message of the protocol that made it
    bool ended = false;   // `received` is all there is
    Bytes unsent;         // the rest of that protocol
    bool finished = false;
    bool wants_writable = false;
    CircuitLimit limit;
    uint64_t since_us = 0;
    uint64_t sent = 0;
    uint64_t got = 0;
  };

  Link& adopt(LinkId id, uint64_t number, StreamId stream, MessageStreams::Released released, const CircuitLimit& limit,
              const Times& now);
  // True: nothing waits.
  bool flush(Link& link);
  Error reason_of(const Link& link, const Error& reason, const Times& now);

  Swarm& swarm_;
  LinkEvents& events_;
  std::map<LinkId, Link> links_;
  std::map<StreamId, LinkId> by_stream_;
  std::deque<Wanted> wanted_;
  std::deque<Limited> limited_;
  std::deque<uint64_t> ended_;
  StreamDrain drain_;
  Times now_;
  LinkId last_ = 0;
};

}  // namespace sereus::net
