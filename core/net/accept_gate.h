// Asked by a transport before it spends anything on a stranger: memory, a signature, an answer.
#pragma once

#include "core/base/time.h"
#include "core/net/transport_policy.h"
#include "core/ports/datagram.h"

namespace sereus::net {

class AcceptGate {
 public:
  virtual ~AcceptGate() = default;
  // Whether a handshake that `remote` begins may go on. Called once for each: for QUIC after the address was validated, where
  // Retry is asked for. A refusal costs the transport nothing more than the drop (TCP) or a short answer (QUIC).
  virtual bool admit(TransportKind transport, const IpEndpoint& remote, const Times& now) = 0;
  // The transport itself refused one, because too many handshakes (or connections) of its own are under way.
  virtual void on_half_open_refused(TransportKind transport, const IpEndpoint& remote, const Times& now) = 0;
};

}  // namespace sereus::net
