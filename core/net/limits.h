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

// --- Noise --------------------------------------------------------------------------------------------------------

inline constexpr size_t kNoiseMessageMax = 65535;  // Noise section 3, and what 16 bits of length say
// Key, signature and extensions: 4 KiB for RSA-8192 with its signature, the rest for certificate hashes and muxers. Until
// the handshake is done a stranger can make us hold this much and no more.
inline constexpr size_t kNoisePayloadMax = 8192;
inline constexpr size_t kNoiseMuxersMax = 16;  // there are two in use

// --- TLS over byte streams -----------------------------------------------------------------------------------------

// Received before the handshake is done: a certificate of kCertificateBytesMax, the rest is below 2 KiB. Until then a
// stranger can make us hold twice this much (a record, and a message that is put together of records) and no more.
inline constexpr size_t kTlsHandshakeBytesMax = 16 << 10;
// Records that carry no data: KeyUpdates (honest ones come after 2^24 records), tickets (OpenSSL sends 2), empty ones.
inline constexpr uint64_t kTlsIdleBurst = 32;
inline constexpr uint64_t kTlsIdlePerSecond = 1;

// --- yamux: streams ----------------------------------------------------------------------------------------------

inline constexpr size_t kYamuxIncomingMax = 256;        // as QUIC's; js-libp2p opens up to 1000 and takes a reset well
inline constexpr size_t kYamuxOutgoingMax = 1000;       // js-libp2p's limit of incoming ones
inline constexpr size_t kYamuxUnacknowledgedMax = 256;  // libp2p specs, yamux, "ACK backlog"
inline constexpr size_t kYamuxSkippedMax = 256;  // ids whose SYN may still come: as many as may be opening at once
inline constexpr size_t kYamuxEventsMax = 4096;  // from here on nothing is accepted until events are taken

// --- yamux: flow control and memory ------------------------------------------------------------------------------

inline constexpr uint64_t kYamuxWindowInitial = 256 << 10;   // libp2p specs, yamux, "Flow Control"
inline constexpr uint64_t kYamuxWindowMax = 16 << 20;        // as js-libp2p: 160 MiB/s at 100 ms
inline constexpr uint64_t kYamuxSendWindowMax = UINT32_MAX;  // no sum of 32-bit deltas of an honest peer gets there
inline constexpr uint64_t kYamuxRttFloorUs = 1'000;          // below it scheduling is measured, not the path
inline constexpr size_t kYamuxFrameSendMax = 64 << 10;       // as js and go: one stream's turn
inline constexpr size_t kYamuxFrameReceiveMax = 1 << 20;     // as rust-libp2p; js and go send 64 KiB
// By how much the windows of all streams together may be above their initial size: one fast stream gets all of it.
inline constexpr uint64_t kYamuxGrowthMax = 16 << 20;
// Received and not yet read, all streams. Windows keep a connection with 64 unread streams and one grown one below it; when
// more come together, the stream that holds most is reset: its reader is the one that does not keep up.
inline constexpr size_t kYamuxReceivedMax = 32 << 20;
// What write() takes. Above the total every stream still has its reserve, so that slow ones do not stop the others.
inline constexpr size_t kYamuxUnsentMax = 512 << 10;
inline constexpr size_t kYamuxUnsentReserve = 16 << 10;
inline constexpr size_t kYamuxUnsentTotalMax = 16 << 20;

// --- yamux: time -------------------------------------------------------------------------------------------------

inline constexpr uint64_t kYamuxKeepAliveUs =
    15 * kMicrosPerSecond;  // half of js-libp2p's 30 s; NATs drop TCP after minutes
inline constexpr uint64_t kYamuxPingTimeoutUs = 20 * kMicrosPerSecond;     // with nothing at all received
inline constexpr uint64_t kYamuxStalledTimeoutUs = 60 * kMicrosPerSecond;  // nothing taken of what is to be sent
inline constexpr size_t kYamuxPingsMax = 4;

// --- yamux: frames that cost a peer nothing ----------------------------------------------------------------------

inline constexpr size_t kYamuxPongsMax = 32;     // not yet sent; an honest peer has one ping under way
inline constexpr size_t kYamuxResetsMax = 1024;  // not yet sent
inline constexpr uint64_t kYamuxPingsBurst = 32;
inline constexpr uint64_t kYamuxPingsPerSecond = 4;
inline constexpr uint64_t kYamuxResetsBurst = 1024;  // a large node that stops a lookup cancels hundreds of streams
inline constexpr uint64_t kYamuxResetsPerSecond = 256;
inline constexpr uint64_t kYamuxRefusalsBurst = 1024;  // SYN beyond kYamuxIncomingMax
inline constexpr uint64_t kYamuxRefusalsPerSecond = 64;
// Frames without any effect: empty ones, and those for streams that are gone (a window update crossing our FIN).
inline constexpr uint64_t kYamuxIdleBurst = 8192;
inline constexpr uint64_t kYamuxIdlePerSecond = 4096;

// --- TCP ------------------------------------------------------------------------------------------------------------

inline constexpr uint64_t kTcpHandshakeTimeoutUs = 10 * kMicrosPerSecond;  // connecting, Noise and yamux together
// One connection's share before the next one's turn.
inline constexpr size_t kTcpReadBytes = 64 << 10;  // in one call
inline constexpr size_t kTcpReadsPerStep = 8;
inline constexpr size_t kTcpProduceBytes = 64 << 10;  // sealed at once: about one Noise frame
inline constexpr size_t kTcpWritesPerStep = 8;
inline constexpr size_t kTcpListenersMax = 64;

// --- WebSocket ------------------------------------------------------------------------------------------------------

inline constexpr size_t kHttpHeadMax =
    8192;  // request or status line with all fields; as nginx and others, less cookies
inline constexpr size_t kHttpFieldsMax = 64;  // a browser behind two proxies sends about 25
inline constexpr size_t kWebSocketOriginsMax = 64;
inline constexpr size_t kWebSocketFrameSendMax = 128 << 10;  // what a connection seals at once is one frame
inline constexpr size_t kWebSocketControlMax = 125;          // RFC 6455 section 5.5
// Frames that carry nothing: pings (which are answered), pongs, empty fragments. Keep-alives come every few seconds.
inline constexpr uint64_t kWebSocketIdleBurst = 64;
inline constexpr uint64_t kWebSocketIdlePerSecond = 8;

// --- TLS around WebSocket ------------------------------------------------------------------------------------------

// Received before the handshake is done: chains of servers have up to 10 KiB, with RSA-4096 all along 20. As what wolfSSL puts
// together is a part of it, a stranger can make us hold twice as much and no more.
inline constexpr size_t kWebTlsHandshakeMax = 32 << 10;
inline constexpr uint64_t kWebTlsAnswersBurst = 32;  // honest KeyUpdates come after 2^24 records
inline constexpr uint64_t kWebTlsAnswersPerSecond = 1;
inline constexpr size_t kWebTlsPemMax = 256 << 10;   // of a chain's or a key's file
inline constexpr size_t kWebTlsBundleMax = 8 << 20;  // Debian's has 220 KiB

// --- QUIC: packets ------------------------------------------------------------------------------------------------

inline constexpr size_t kQuicCidLength = 8;       // ours: random, 2^64 of them
inline constexpr size_t kDatagramMax = 65527;     // largest UDP payload
inline constexpr size_t kQuicSegmentMax = 1452;   // Ethernet's 1500 less IPv6 and UDP; what PMTUD may reach
inline constexpr size_t kQuicBatchSegments = 44;  // 44 * 1452 = 63,888 fit one UDP GSO call (65,507 and 64 segments)
inline constexpr size_t kQuicBatchBytes = kQuicBatchSegments * kQuicSegmentMax;
inline constexpr size_t kQuicTurnBytes = 16 << 10;  // one connection's turn under a limit of bandwidth
inline constexpr size_t kQuicBatchesPerStep = 8;    // one connection's share before the next one's turn: 512 KiB

// After the network changed: how long a connection has to show that it lives. A round trip with one loss on a slow path.
inline constexpr uint64_t kProbeTimeoutUs = 3 * kMicrosPerSecond;

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
inline constexpr uint64_t kLimitedWindowMin = 64 << 10;  // with the slowest limit of bandwidth: a message still fits
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

// --- AutoNAT --------------------------------------------------------------------------------------------------------

inline constexpr size_t kAutoNatAddressesMax = 64;      // of one request; go-libp2p asks for up to 50
inline constexpr size_t kAutoNatMessageMax = 16384;     // kAutoNatAddressesMax of 250 bytes; data comes in less
inline constexpr size_t kAutoNatUnsentMax = 128 << 10;  // all that a server may ask for, with its framing
inline constexpr size_t kAutoNatTextMax = 256;          // of a status: it ends up in logs
// libp2p specs, autonat-v2, "Amplification Attack Prevention": a handshake costs below 10 kB, so this much makes it a bad bargain.
inline constexpr uint64_t kAutoNatDataMin = 30'000;
inline constexpr uint64_t kAutoNatDataMax = 100'000;
inline constexpr size_t kAutoNatDataChunkMax = 4096;  // likewise
// Messages that the data may come in: an honest one has more than this many bytes, except the last.
inline constexpr size_t kAutoNatDataPerMessage = 100;
inline constexpr uint64_t kAutoNatRequestTimeoutUs =
    30 * kMicrosPerSecond;                                                 // data, a dial that nobody answers, and back
inline constexpr uint64_t kAutoNatServeTimeoutUs = 25 * kMicrosPerSecond;  // less, so that the asking side hears of it
inline constexpr uint64_t kAutoNatDialBackTimeoutUs =
    10 * kMicrosPerSecond;                                                  // connecting and telling the nonce together
inline constexpr uint64_t kAutoNatReceiveTimeoutUs = 5 * kMicrosPerSecond;  // of a dial-back that comes in
inline constexpr size_t kAutoNatServingMax = 32;                            // requests served at once
inline constexpr size_t kAutoNatV1DialsMax = 4;      // addresses dialed for one request of version 1
inline constexpr size_t kAutoNatReceivingMax = 32;   // dial-backs coming in at once
inline constexpr size_t kAutoNatAskingMax = 4;       // requests of ours at once, each of another server
inline constexpr size_t kAutoNatCandidatesMax = 16;  // addresses of ours that are looked at
inline constexpr size_t kAutoNatVotesMax = 16;       // servers' verdicts that are kept for one address
inline constexpr size_t kAutoNatSourcesMax = 4096;   // peers and subnets whose rates a server remembers
// What a server does for others in a minute: each costs a handshake, and at most kAutoNatDataMax bytes received.
inline constexpr uint64_t kAutoNatServePerMinute = 60;
inline constexpr uint64_t kAutoNatServePeerPerMinute = 12;    // five addresses and both versions, asked again once
inline constexpr uint64_t kAutoNatServeSubnetPerMinute = 24;  // a household
inline constexpr size_t kObserversMax = 128;                  // connections whose word on our address is kept

// --- hole punching --------------------------------------------------------------------------------------------------

inline constexpr size_t kHolePunchBytesMax = 4096;    // libp2p specs, DCUtR: "SHOULD refuse larger"
inline constexpr size_t kHolePunchAddressesMax = 64;  // of one message; more than 4 KiB hold
// Of what a peer names: an honest one has one or two for each transport and family.
inline constexpr size_t kHolePunchTargetsMax = 8;
inline constexpr size_t kHolePunchesMax = 64;       // under way at once, either role
inline constexpr size_t kHolePunchAttemptsMax = 3;  // libp2p specs, DCUtR
inline constexpr uint64_t kHolePunchesPeerPerMinute = 6;
inline constexpr uint64_t kHolePunchMessageTimeoutUs = 5 * kMicrosPerSecond;  // CONNECT there and back, over a relay
inline constexpr uint64_t kHolePunchDialTimeoutUs = 5 * kMicrosPerSecond;     // as go-libp2p
// The lead that dialing the peer's own addresses has before punching: what answers has answered by then, and the rest may go on.
inline constexpr uint64_t kHolePunchDirectLeadUs = 500 * kMicrosPerMilli;
inline constexpr uint64_t kHolePunchRttMaxUs = 10 * kMicrosPerSecond;
// Intervals of probes: libp2p specs, DCUtR, step 5.
inline constexpr uint64_t kProbeIntervalMinUs = 10 * kMicrosPerMilli;
inline constexpr uint64_t kProbeIntervalMaxUs = 200 * kMicrosPerMilli;
inline constexpr size_t kProbeBytes = 20;  // below what a stateless reset answers (RFC 9000 section 10.3)

// --- the swarm ----------------------------------------------------------------------------------------------------

inline constexpr size_t kDialAddressesMax =
    64;  // of one attempt, resolved ones included: a host with relays has a few dozen
inline constexpr size_t kDialNamesMax = 8;  // looked up for one attempt
// Of one /dnsaddr: names that refer to names, all names together, and addresses. The public network's bootstrap nodes stand two
// deep, in six names.
inline constexpr size_t kDnsaddrDepthMax = 4;
inline constexpr size_t kDnsaddrNamesMax = 32;
inline constexpr size_t kDnsaddrAddressesMax = 128;
inline constexpr size_t kDnsaddrLookupsMax = 64;  // under way; as many as the system's resolver is asked for at once
inline constexpr size_t kDialPeersMax = 1024;     // attempts under way
inline constexpr size_t kBackoffEntriesMax = 4096;
// RFC 8305 section 5 and go-libp2p: about a round trip, within which the better address would have answered.
inline constexpr uint64_t kDialDelayUs = 250 * kMicrosPerMilli;
inline constexpr uint64_t kDialDelayLocalUs = 30 * kMicrosPerMilli;  // the own network answers sooner; as go-libp2p
// Two connections in opposite directions within this time come from a simultaneous open.
inline constexpr uint64_t kSimultaneousOpenUs = 10 * kMicrosPerSecond;
// Of a simultaneous open: how long our own handshake, which would be kept, has when the peer's connection is there already; and
// how long the one that is not kept stays at least, for what is on its way.
inline constexpr uint64_t kSimultaneousHurryUs = kMicrosPerSecond;
inline constexpr uint64_t kDuplicateGraceUs = kMicrosPerSecond;
inline constexpr uint64_t kAddressesIntervalUs = kMicrosPerSecond;  // how often changes of our addresses are looked for
inline constexpr size_t kExternalAddressesMax = 32;  // of one source: relays with their addresses, a few families
inline constexpr size_t kPushesPerStep = 64;         // each costs a stream: a change reaches all in turns
inline constexpr size_t kSwarmEventsMax = 4096;      // undrained; more wait with the transports
inline constexpr uint64_t kRefusedIntervalUs = kMicrosPerSecond;  // between two alike events
inline constexpr size_t kHandshakeSourcesMax = 16384;             // remembered addresses: about 2 MiB

// --- circuits (libp2p specs, relay/circuit-v2): both sides ------------------------------------------------------------

inline constexpr size_t kCircuitMessageMax = 4096;  // as go-libp2p; 16 addresses and a voucher have about 1,500
inline constexpr size_t kCircuitAddressesMax =
    32;                                           // of a reservation; a relay on both families and all transports has 8
inline constexpr size_t kVoucherBytesMax = 2048;  // signed with RSA-4096 about 1,100
// Limit.duration is in seconds. js-libp2p writes milliseconds: a limit of more than ten hours is none that a relay would set, and
// is taken for milliseconds. What is read is only shown; the relay ends the circuit.
inline constexpr uint64_t kCircuitMillisecondsFrom = 36'000;
inline constexpr uint64_t kCircuitAnswerTimeoutUs = 10 * kMicrosPerSecond;  // of a request, and of the target's answer

// --- circuits: the relay ------------------------------------------------------------------------------------------------

// Defaults of RelayServerSettings. go-libp2p's figures, of the time when relays became small and many.
inline constexpr size_t kRelayReservationsMax = 128;
inline constexpr size_t kRelayReservationsIpMax = 8;  // an IPv4 address or an IPv6 /64: a household's devices
inline constexpr size_t kRelayReservationsSubnetMax =
    32;  // an IPv4 /24 or an IPv6 /48: a quarter is the most of one network
inline constexpr uint64_t kRelayReservationLifeUs = 3600 * kMicrosPerSecond;
inline constexpr size_t kRelayCircuitsMax = 512;     // two streams each: the plan's 1,024
inline constexpr size_t kRelayCircuitsPeerMax = 16;  // to or from one peer
inline constexpr size_t kRelayRequestsMax = 1024;    // hop streams that have not said yet what they want
inline constexpr size_t kRelayRequestsPeerMax = 16;  // likewise, of one peer
// Requests for a reservation of one peer; an honest one asks every half hour, and again when it lost the connection.
inline constexpr uint64_t kRelayReservesBurst = 8;
inline constexpr uint64_t kRelayReservesPerSecond = 1;
inline constexpr uint64_t kRelayHopTimeoutUs =
    10 * kMicrosPerSecond;  // a hop stream that says nothing, or does not end
inline constexpr uint64_t kRelayControlBytes = 128
                                               << 10;  // of a circuit, each direction: hole punching takes about 10 KiB
inline constexpr uint64_t kRelayControlDurationUs = 120 * kMicrosPerSecond;
inline constexpr uint64_t kRelayControlDayBytes = 16 << 20;  // of one peer, both directions
inline constexpr uint64_t kRelayContentBytes = 4 << 20;
inline constexpr uint64_t kRelayContentDurationUs = 600 * kMicrosPerSecond;
inline constexpr uint64_t kRelayContentDayBytes = 20 << 20;  // the control quota and 4 MiB of content
inline constexpr uint64_t kRelaySubnetDayBytes = 64 << 20;   // of an IPv4 /24 or an IPv6 /48: four peers' control quota
inline constexpr size_t kRelayBufferBytes = 32
                                            << 10;    // held of a circuit for each direction while a side takes nothing
inline constexpr size_t kRelayPumpBytes = 256 << 10;  // of a circuit before the next one's turn
inline constexpr size_t kRelayBucketsMax = 16384;     // remembered quotas: about 2 MiB
// Between the last byte that is allowed and the reset, which would overtake it.
inline constexpr uint64_t kRelayResetGraceUs = kMicrosPerSecond;
inline constexpr size_t kRelayEventsMax = 1024;  // undrained; more are counted and dropped

// --- circuits: the client -----------------------------------------------------------------------------------------------

inline constexpr size_t kRelayReservationsWanted = 2;  // one relay may go at any time
inline constexpr size_t kRelayCandidatesMax = 64;      // learnt ones with the worst health make room
inline constexpr size_t kRelayAddressesMax = 16;       // of one candidate
// Of one reservation: identify has to hold those of all, twice.
inline constexpr size_t kRelayAddressesToldMax = 4;
inline constexpr uint64_t kRelayLifeMaxUs =
    24 * 3600 * kMicrosPerSecond;                            // longer ones are renewed as if they were this long
inline constexpr uint64_t kRelayRetryUs = kMicrosPerSecond;  // doubled by each failure, half of it drawn
inline constexpr uint64_t kRelayRetryMaxUs = 300 * kMicrosPerSecond;
inline constexpr uint64_t kRelayRefusedUs =
    60 * kMicrosPerSecond;  // a relay that said no is not asked again for this long
inline constexpr uint64_t kRelayRotationUs = 1800 * kMicrosPerSecond;  // how often a better relay is looked for
inline constexpr size_t kCircuitsInboundMax = 64;                      // being accepted, of all relays
inline constexpr size_t kCircuitsLingeringMax = 64;                    // closed here, and not yet by the other side
inline constexpr uint64_t kCircuitLingerUs = 2 * kMicrosPerSecond;
inline constexpr uint64_t kCircuitHandshakeTimeoutUs = 15 * kMicrosPerSecond;  // the way to the relay is part of it
// After the direct addresses of a peer, so that they win where they work; as go-libp2p.
inline constexpr uint64_t kDialDelayRelayUs = 500 * kMicrosPerMilli;

// --- what peers may take of us: defaults of ResourceSettings ---------------------------------------------------------

// Both transports in both directions, and what crosses in a simultaneous open, are four; a peer that comes back before its old
// ones are found dead has them twice.
inline constexpr size_t kConnectionsPeerMax = 8;
// A core does about 2,000 handshakes a second; what strangers begin may take a quarter of it, a start of everybody at once more.
inline constexpr uint64_t kHandshakesPerSecond = 512;
inline constexpr uint64_t kHandshakesBurst = 1024;
// A household or an office behind one address that comes back at once, and then more than anybody dials by hand.
inline constexpr uint64_t kHandshakesAddressPerSecond = 8;
inline constexpr uint64_t kHandshakesAddressBurst = 64;
inline constexpr size_t kStreamsMax = 65536;          // four for each of kConnectionsMax; reserved, half of kMemoryMax
inline constexpr size_t kStreamsPeerInMax = 512;      // two connections of kIncomingStreamsMax
inline constexpr size_t kStreamsPeerOutMax = 2048;    // two connections of kYamuxOutgoingMax: ours are ours to bound
inline constexpr size_t kStreamsProtocolMax = 32768;  // one protocol leaves the others half
inline constexpr size_t kStreamsProtocolPeerInMax = 256;    // as of a connection: one protocol leaves the others half
inline constexpr size_t kStreamsProtocolPeerOutMax = 1024;  // likewise
// A quarter of a small server's 4 GiB. Phones set less.
inline constexpr uint64_t kMemoryMax = uint64_t{1} << 30;
// One connection with all that flow control allows (kYamuxReceivedMax and kYamuxUnsentTotalMax) and the reserves of eight with
// their streams; sixteen peers at their worst fill kMemoryMax.
inline constexpr uint64_t kMemoryPeerMax = 64 << 20;
// Reserved for a connection and for a stream: machines' state, tables, small buffers, as measured (docs/network.md). What they
// have in buffers beyond it is measured again and again.
inline constexpr uint64_t kConnectionMemory = 96 << 10;
inline constexpr uint64_t kStreamMemory = 8 << 10;
// How often buffers are measured; the shorter one when more than half of a limit is taken. Flow control bounds what comes between.
inline constexpr uint64_t kMemoryIntervalUs = kMicrosPerSecond;
inline constexpr uint64_t kMemoryTightIntervalUs = 100 * kMicrosPerMilli;

}  // namespace sereus::net
