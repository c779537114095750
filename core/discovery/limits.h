// The bounds of the discovery room, with their reasons. Everything a peer can make grow has its limit here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"

namespace sereus::discovery {

inline constexpr uint64_t kMicrosPerMinute = 60 * kMicrosPerSecond;
inline constexpr uint64_t kMicrosPerHour = 60 * kMicrosPerMinute;

// --- Kad: messages ------------------------------------------------------------------------------------------------

// 20 peers with 8 relayed addresses of 150 bytes and a signed record each are 50 KiB; the rest is for a value.
inline constexpr size_t kKadMessageMax = 128 << 10;
inline constexpr size_t kKadUnsentMax = 2 * kKadMessageMax;  // on one stream: two answers may wait
inline constexpr size_t kKadKeyMax = 512;                    // a path of names and a multihash
inline constexpr size_t kKadValueMax = 64 << 10;
inline constexpr size_t kKadTimeMax = 40;           // of a date in a record: RFC 3339 with nanoseconds has 35
inline constexpr size_t kKadPeersMax = 64;          // of one list: others answer with 20, and with some providers more
inline constexpr size_t kKadAddressesMax = 64;      // of one peer in a message; a host with relays has a few dozen
inline constexpr size_t kKadAddressesTold = 8;      // of one peer in an answer of ours
inline constexpr size_t kKadRecordBytesMax = 4096;  // of a signed peer record on this wire: 16 relayed addresses

// --- Kad: the table -----------------------------------------------------------------------------------------------

inline constexpr size_t kKadK = 20;                   // libp2p specs, kad-dht, "Replication parameter"
inline constexpr size_t kKadSubnetBucketMax = 2;      // peers of one /24 or /48 in a bucket
inline constexpr size_t kKadSubnetTableMax = 8;       // and in the table: an address range is not a crowd
inline constexpr size_t kKadCandidatesSourceMax = 8;  // of a bucket's candidates, how many one peer may have named
inline constexpr uint64_t kKadStaleUs = 10 * kMicrosPerMinute;  // unseen for so long, a peer is asked before it is kept

// --- Kad: queries -------------------------------------------------------------------------------------------------

inline constexpr size_t kKadQueriesMax = 256;        // at once; each holds up to 2,000 candidates
inline constexpr size_t kKadQueryRequestsMax = 120;  // of one query: six times what an honest network of 10,000 needs
inline constexpr size_t kKadInFlightMax = 512;       // requests under way, all queries: half of the swarm's dials
// Of one query, different peers that are dialed at one endpoint when nobody signed that they are there, and at one relay. A
// stranger who names a victim's address for a hundred peers costs the victim two dials.
inline constexpr size_t kKadDialsEndpointMax = 2;
inline constexpr size_t kKadDialsRelayMax = 8;
inline constexpr size_t kKadQuerySubnetMax = 4;    // peers of one /24 or /48 that one query asks
inline constexpr size_t kKadIntroducedBadMax = 3;  // failures before what else a peer named is not believed
inline constexpr size_t kKadProvidersFoundMax = 256;
inline constexpr size_t kKadEventsMax = 4096;  // undrained; traces beyond are dropped, answers never

// --- Kad: time ----------------------------------------------------------------------------------------------------

inline constexpr uint64_t kKadTimeoutMinUs = 300 * kMicrosPerMilli;  // below it scheduling is measured, not the path
inline constexpr uint64_t kKadHedgeMinUs =
    100 * kMicrosPerMilli;  // before another peer is asked beside one that is slow
inline constexpr uint64_t kKadHedgeFirstUs = 400 * kMicrosPerMilli;
inline constexpr uint64_t kKadTimeoutFirstUs = kMicrosPerSecond;  // before anything was measured
inline constexpr uint64_t kKadTimeoutMaxUs = 5 * kMicrosPerSecond;
inline constexpr uint64_t kKadRequestMaxUs = 10 * kMicrosPerSecond;  // then it is over, however slow the network is
inline constexpr uint64_t kKadQueryMaxUs = 60 * kMicrosPerSecond;
inline constexpr uint64_t kKadIdleUs = 30 * kMicrosPerSecond;  // of an incoming stream between two requests

// --- Kad: what others may have of us ------------------------------------------------------------------------------

inline constexpr size_t kKadInboundStreamsPeer = 32;  // js opens one for each request, up to 10 at a time a query
inline constexpr size_t kKadInboundStreams = 4096;
inline constexpr uint64_t kKadRequestsBurst = 256;     // of one peer: a node that starts, with ten queries at once
inline constexpr uint64_t kKadRequestsPerSecond = 32;  // a busy node does one lookup a second
inline constexpr size_t kKadRequestersMax = 4096;      // remembered for it

// --- Kad: stores --------------------------------------------------------------------------------------------------

inline constexpr size_t kKadValuesMax = 16384;
inline constexpr size_t kKadValueBytesMax = 16 << 20;  // the default of the storage knob
inline constexpr size_t kKadValuesPeerMax = 256;       // put by one peer
inline constexpr size_t kKadValuesSubnetMax = 1024;
inline constexpr size_t kKadProvidersMax = 65536;       // records; about 200 bytes each
inline constexpr size_t kKadProvidersKeyMax = 64;       // of one key
inline constexpr size_t kKadProvidersKeySubnetMax = 8;  // of one key from one subnet: nobody fills a key from one place
inline constexpr size_t kKadProvidersPeerMax = 4096;
inline constexpr size_t kKadProvidersSubnetMax = 16384;
inline constexpr size_t kKadProvidersTold = 32;                               // in one answer
inline constexpr uint64_t kKadProviderLifeUs = 48 * kMicrosPerHour;           // libp2p specs, kad-dht
inline constexpr uint64_t kKadProviderAddressLifeUs = 30 * kMicrosPerMinute;  // likewise: the table's refresh interval
inline constexpr uint64_t kKadRepublishUs = 22 * kMicrosPerHour;              // likewise
inline constexpr uint64_t kKadValueLifeUs = 48 * kMicrosPerHour;
inline constexpr size_t kKadOwnRecordsMax = 4096;  // that we republish ourselves
inline constexpr size_t kKadRecordNameMax = 128;

// --- peer exchange ------------------------------------------------------------------------------------------------

inline constexpr size_t kPexPeersMax = 32;  // of one answer: each costs who takes it a signature
// 32 records of 500 bytes, or a few of kKadRecordBytesMax.
inline constexpr size_t kPexMessageMax = 32 << 10;
inline constexpr size_t kPexFrameMax = 64;  // what a FlatBuffer has around a record
inline constexpr uint64_t kPexIntervalUs = 5 * kMicrosPerMinute;
inline constexpr uint64_t kPexAskedUsMin = 30 * kMicrosPerSecond;  // one peer is not answered more often
inline constexpr uint64_t kPexTimeoutUs = 10 * kMicrosPerSecond;
inline constexpr uint64_t kPexFreshUs = 30 * kMicrosPerMinute;  // half of the life of a signed record
inline constexpr size_t kPexPeersSourceMax = 64;                // places in the book for whom one peer named
inline constexpr size_t kPexSourcesMax = 4096;                  // remembered; below them the oldest id goes
inline constexpr size_t kPexEventsMax = 64;

// --- local discovery ----------------------------------------------------------------------------------------------

inline constexpr size_t kDnsQuestionsMax = 64;
inline constexpr size_t kDnsRecordsMax = 256;               // of one packet of 9,000 bytes
inline constexpr size_t kDnsNameTextMax = 255;              // RFC 1035 section 2.3.4
inline constexpr uint64_t kMdnsFirstUs = kMicrosPerSecond;  // then doubled up to the interval
inline constexpr uint64_t kMdnsIntervalUs = kMicrosPerMinute;
inline constexpr uint64_t kMdnsAnswerUsMin =
    20 * kMicrosPerMilli;  // RFC 6762 section 6: drawn, so that not all answer at once
inline constexpr uint64_t kMdnsAnswerUsMax = 120 * kMicrosPerMilli;
inline constexpr uint64_t kMdnsAnswersUs = kMicrosPerSecond;  // likewise: not more often
inline constexpr uint32_t kMdnsTtlS = 120;                    // likewise, section 10
inline constexpr size_t kMdnsAddressesMax = 16;               // told, and of one peer believed
inline constexpr size_t kMdnsPeersPacketMax = 16;             // an honest packet has one
inline constexpr size_t kMdnsPeersMax = 1024;                 // a link of 1024 nodes is a large one
inline constexpr size_t kMdnsPacketsPerStep = 64;             // more wait, and are lost when the socket is full

// --- the address book ---------------------------------------------------------------------------------------------

inline constexpr size_t kBookPeersMax = 8192;       // about 4 MiB
inline constexpr size_t kBookAddressesMax = 16;     // of one peer
inline constexpr size_t kBookHeardSourceMax = 512;  // peers known only because one peer named them
inline constexpr size_t kBookFileMax = 8 << 20;
inline constexpr uint64_t kBookHeardLifeUs = 10 * kMicrosPerMinute;  // named by somebody else
inline constexpr uint64_t kBookToldLifeUs = 30 * kMicrosPerMinute;   // told by the peer itself
inline constexpr uint64_t kBookCertifiedLifeUs = kMicrosPerHour;     // signed by the peer
inline constexpr uint64_t kBookConnectedLifeUs = kMicrosPerHour;     // a dial of ours succeeded
// What a published record's seq is ahead of the wall clock: identify seals records of the same peer, with the addresses that it listens
// on alone, and those must not take the place of the published one, which has the relayed addresses, too.
inline constexpr uint64_t kRecordLeadMs = 10 * 60 * 1000;
inline constexpr uint64_t kBookSweepUs = kMicrosPerMinute;

}  // namespace sereus::discovery
