// Peer records (libp2p specs, RFC 0003): a host's addresses, signed by it, so that they can be passed on by anyone.
// docs/formats/transport.md.
#pragma once

#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"

namespace sereus::net {

struct PeerRecord {
  PeerId peer;
  uint64_t seq = 0;  // orders the records of one peer and means nothing else, though many use a time
  std::vector<Multiaddr> addresses;
  // Addresses that stood there but are none we can read, be it for a protocol that is newer than we are.
  size_t skipped = 0;
};

// Whether `record` takes the place of `known`: it is the same peer's and of a higher seq. Equal ones do not (RFC 0003).
bool supersedes(const PeerRecord& record, const PeerRecord& known);

// The envelope's signature and the record in it; the signer is the peer that the record is about. Errors: those of
// open_envelope; malformed; denied (signed by another peer); too_large (over kPeerAddressesMax addresses).
Result<PeerRecord> open_peer_record(ByteView envelope);

// The record of `device`; `addresses` without a trailing /p2p.
Result<Bytes> seal_peer_record(const crypto::KeyPair& device, uint64_t seq, const std::vector<Multiaddr>& addresses);

// Adds what `bytes` says to a list that a peer sent, and counts in `skipped` what is not to be read. Code::too_large beyond
// kPeerAddressesMax of either.
Status add_peer_address(ByteView bytes, std::vector<Multiaddr>& addresses, size_t& skipped);

}  // namespace sereus::net
