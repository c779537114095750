// The network's limits without Sereus: datagrams over the loopback interface, and the cryptography of QUIC and of its
// handshake by wolfCrypt.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sereus::bench {

enum class UdpCalls : uint8_t {
  single,     // one datagram a call
  many,       // 16 a call: sendmmsg, recvmmsg
  segmented,  // 44 a call, cut and joined by the kernel: UDP_SEGMENT, UDP_GRO
};

// Bytes a second that a thread received from another; 0 when the kernel cannot do it. Nothing is lost: the sender is told
// what has arrived without any datagram, which no protocol could be.
double raw_udp(size_t datagram_size, uint64_t bytes, UdpCalls calls);

// Bytes a second sealed with AES-128-GCM, the cipher that QUIC prefers here, in packets of this size.
double raw_aead(size_t packet_size, uint64_t bytes);

// Handshakes a second, one core: only what both sides together sign, verify and exchange with wolfCrypt and libsodium.
double raw_handshakes(uint64_t count);

}  // namespace sereus::bench
