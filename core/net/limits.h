// The bounds of the network room, with their reasons. Everything a peer can make grow has its limit here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"

namespace sereus::net {

// --- names --------------------------------------------------------------------------------------------------------

inline constexpr size_t kIdentityMultihashMax = 42;  // libp2p peer-ids: longer public keys are named by their sha256
inline constexpr size_t kMultiaddrBytesMax = 1024;   // a relayed address with two dns names and two peer ids is ~600
inline constexpr size_t kMultiaddrTextMax = 2048;
inline constexpr size_t kMultiaddrPartsMax = 16;  // the longest sensible address (relayed wss) has 9
inline constexpr size_t kDnsNameMax = 253;        // RFC 1035 section 2.3.4 without the root's dot
inline constexpr size_t kZoneNameMax = 64;        // of an IPv6 address: names of interfaces have at most 15 on Linux
inline constexpr size_t kCertHashDigestMax = 64;  // the longest digest of any hash in use

// --- keys ---------------------------------------------------------------------------------------------------------

inline constexpr size_t kRsaBitsMin = 2048;         // as go-libp2p; smaller ones are within reach of an attacker
inline constexpr size_t kRsaBitsMax = 8192;         // as go-libp2p; verifying costs the square of it
inline constexpr size_t kPublicKeyBytesMax = 1100;  // RSA-8192 in its protobuf has 1067

// --- what peers say about themselves ------------------------------------------------------------------------------

inline constexpr size_t kIdentifyBytesMax = 8192;   // of one message, as js- and go-libp2p
inline constexpr size_t kIdentifyMessagesMax = 10;  // of one stream: go-libp2p sends its signed record in a second one
inline constexpr size_t kIdentifyTotalMax = 16384;  // of one stream
inline constexpr size_t kIdentifyInboundMax = 4;    // streams of one connection, identify and push together
inline constexpr uint64_t kIdentifyTimeoutUs = 5 * kMicrosPerSecond;  // as js-libp2p
inline constexpr size_t kIdentifyProtocolsMax = 512;                  // a busy go-libp2p node has about 40
inline constexpr size_t kIdentifyTextMax = 256;                 // of agent and protocol version: they end up in logs
inline constexpr size_t kPeerAddressesMax = 128;                // a host with relays has a few dozen
inline constexpr size_t kEnvelopeBytesMax = kIdentifyBytesMax;  // a record has to fit identify

// --- ping ---------------------------------------------------------------------------------------------------------

inline constexpr size_t kPingBytes = 32;                           // libp2p specs, ping
inline constexpr size_t kPingInboundMax = 2;                       // streams of one connection; libp2p specs, ping
inline constexpr uint64_t kPingTimeoutUs = 10 * kMicrosPerSecond;  // as js-libp2p

// --- certificates -------------------------------------------------------------------------------------------------

inline constexpr size_t kCertificateBytesMax = 8192;  // a libp2p certificate is ~350; RSA-8192 identity ~3.5 KiB
inline constexpr size_t kCertificateExtensionsMax = 16;
inline constexpr int64_t kCertificateSkewSeconds = 3600;  // clocks of honest devices differ; dates prove nothing here

// --- multistream-select -------------------------------------------------------------------------------------------

inline constexpr size_t kMultistreamLineMax = 1024;     // as js-libp2p: length of a line with its newline
inline constexpr size_t kMultistreamProposalsMax = 32;  // go and js clients try a handful of protocols
inline constexpr uint64_t kNegotiationTimeoutUs = 10 * kMicrosPerSecond;  // as js-libp2p

// --- QUIC: packets ------------------------------------------------------------------------------------------------

inline constexpr size_t kQuicCidLength = 8;       // ours: random, 2^64 of them
inline constexpr size_t kDatagramMax = 65527;     // largest UDP payload
inline constexpr size_t kQuicSegmentMax = 1452;   // Ethernet's 1500 less IPv6 and UDP; what PMTUD may reach
inline constexpr size_t kQuicBatchSegments = 44;  // 44 * 1452 = 63,888 fit one UDP GSO call (65,507 and 64 segments)
inline constexpr size_t kQuicBatchBytes = kQuicBatchSegments * kQuicSegmentMax;
inline constexpr size_t kQuicBatchesPerStep = 8;  // one connection's share before the next one's turn: 512 KiB

// --- QUIC: time ---------------------------------------------------------------------------------------------------

inline constexpr uint64_t kQuicIdleTimeoutUs = 10 * kMicrosPerSecond;  // as js-libp2p: a dead peer is noticed
inline constexpr uint64_t kQuicKeepAliveUs = 5 * kMicrosPerSecond;     // as js-libp2p; also keeps NAT bindings
inline constexpr uint64_t kQuicHandshakeTimeoutUs = 10 * kMicrosPerSecond;
inline constexpr uint64_t kRetryTokenLifeUs = 10 * kMicrosPerSecond;  // one round trip is enough

// --- QUIC: flow control and memory --------------------------------------------------------------------------------

// What a peer may send before the application reads: per stream enough for 20 MiB/s at 100 ms, grown by ngtcp2 when the
// round trip asks for it; per connection the bound on received bytes held in memory.
inline constexpr uint64_t kStreamWindow = 2 << 20;
inline constexpr uint64_t kStreamWindowMax = 8 << 20;
inline constexpr uint64_t kConnectionWindow = 16 << 20;
// What write() takes: bytes not yet sent (more would only be delay), and all bytes not yet acknowledged.
inline constexpr size_t kStreamUnsentMax = 512 << 10;
inline constexpr size_t kStreamUnackedMax = 8 << 20;
inline constexpr size_t kConnectionUnackedMax = 16 << 20;
// StreamWritable is told when at least this much fits again, so that writers do not wake for crumbs.
inline constexpr size_t kStreamWritableMin = 64 << 10;
inline constexpr uint64_t kIncomingStreamsMax = 256;  // open at once per connection; as js-libp2p

// --- QUIC: connections --------------------------------------------------------------------------------------------

inline constexpr size_t kConnectionsMax = 16384;  // default of the configuration
inline constexpr size_t kHalfOpenMax = 256;       // incoming handshakes under way; each costs ~100 KiB
inline constexpr size_t kHalfOpenRetry = 32;      // from here on an address proves itself first (RFC 9000 8.1.2)
inline constexpr size_t kDialsMax = 256;          // own handshakes under way
inline constexpr size_t kLingeringMax = 4096;     // closed connections that still answer (RFC 9000 10.2)
inline constexpr size_t kEventsMax = 16384;       // undrained events; beyond, datagrams are dropped as if lost
inline constexpr size_t kSocketsMax = 64;
// Answers without a connection (version negotiation, Retry, stateless reset): a token bucket against being a mirror.
inline constexpr uint64_t kStatelessPerSecond = 1000;
inline constexpr uint64_t kStatelessBurst = 200;

}  // namespace sereus::net
