#include "bench/raw_net.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/support.h"
#include "core/net/wolfssl_scope.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_thread.h"
#include "drivers/posix/socket_address.h"

namespace sereus::bench {
namespace {

constexpr int kBufferBytes = 4 << 20;  // as the driver's sockets
constexpr uint64_t kWindow = 1 << 20;  // sent and not received: fits the receiver's buffer with its overhead
constexpr size_t kBatch = 16;          // as the driver's recvmmsg
constexpr size_t kSegments = 44;       // as a QUIC connection's batch
constexpr size_t kReceiveBytes = 65536;
constexpr double kStallSeconds = 0.2;  // nothing arrives any more: something was lost all the same
constexpr size_t kTagSize = 16;

class UdpSocket {
 public:
  UdpSocket() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    posix::SocketAddress local = posix::to_socket_address(IpEndpoint::loopback_v4(0));
    set(SOL_SOCKET, SO_RCVBUF, kBufferBytes);
    set(SOL_SOCKET, SO_SNDBUF, kBufferBytes);
    const timeval timeout{0, 50'000};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (fd_ < 0 || ::bind(fd_, local.any(), local.size) != 0) die(fail(Code::io, "cannot bind a UDP socket"));
    address_.size = sizeof address_.storage;
    getsockname(fd_, address_.any(), &address_.size);
  }
  ~UdpSocket() { ::close(fd_); }
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  bool set(int level, int name, int value) { return setsockopt(fd_, level, name, &value, sizeof value) == 0; }
  int fd() const { return fd_; }
  posix::SocketAddress& address() { return address_; }

 private:
  int fd_;
  posix::SocketAddress address_;
};

// Messages for one recvmmsg or sendmmsg.
struct Messages {
  Messages(size_t count, size_t size) : bytes(count * size, 7), parts(count), heads(count) {
    for (size_t i = 0; i < count; ++i) {
      parts[i] = {bytes.data() + i * size, size};
      heads[i].msg_hdr.msg_iov = &parts[i];
      heads[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::vector<uint8_t> bytes;
  std::vector<iovec> parts;
  std::vector<mmsghdr> heads;
};

void receive(int fd, size_t batch, uint64_t bytes, const std::atomic<bool>& stopped, std::atomic<uint64_t>& received) {
  Messages messages(batch, kReceiveBytes);
  while (received < bytes && !stopped) {
    const int count = recvmmsg(fd, messages.heads.data(), static_cast<unsigned>(batch), MSG_WAITFORONE, nullptr);
    uint64_t size = 0;
    for (int i = 0; i < count; ++i) size += messages.heads[static_cast<size_t>(i)].msg_len;
    received += size;
  }
}

// Returns when all was received, or nothing arrives any more.
void send(UdpSocket& from, UdpSocket& to, size_t batch, size_t size, uint64_t bytes,
          const std::atomic<uint64_t>& received) {
  Messages messages(batch, size);
  for (mmsghdr& head : messages.heads) {
    head.msg_hdr.msg_name = to.address().any();
    head.msg_hdr.msg_namelen = to.address().size;
  }
  uint64_t sent = 0;
  uint64_t seen = 0;
  double seen_at = now_s();
  while (received < bytes) {
    if (sent < bytes && sent - received < kWindow) {
      const int count = sendmmsg(from.fd(), messages.heads.data(), static_cast<unsigned>(batch), 0);
      if (count > 0) sent += static_cast<uint64_t>(count) * size;
      continue;
    }
    if (received != seen) {
      seen = received;
      seen_at = now_s();
    } else if (now_s() - seen_at > kStallSeconds) {
      return;
    }
    std::this_thread::yield();
  }
}

}  // namespace

double raw_udp(size_t datagram_size, uint64_t bytes, UdpCalls calls) {
  UdpSocket from;
  UdpSocket to;
  size_t batch = calls == UdpCalls::many ? kBatch : 1;
  size_t size = datagram_size;
  if (calls == UdpCalls::segmented) {
#if defined(UDP_SEGMENT) && defined(UDP_GRO)
    if (!from.set(IPPROTO_UDP, UDP_SEGMENT, static_cast<int>(datagram_size))) return 0;
    to.set(IPPROTO_UDP, UDP_GRO, 1);
    size = datagram_size * kSegments;
#else
    return 0;
#endif
  }
  std::atomic<bool> stopped{false};
  std::atomic<uint64_t> received{0};
  const double begin = now_s();
  auto thread =
      must(posix::PosixThread::start("bench-receiver", [&] { receive(to.fd(), batch, bytes, stopped, received); }));
  send(from, to, batch, size, bytes, received);
  const double seconds = now_s() - begin;
  stopped = true;
  thread.reset();
  return static_cast<double>(received) / seconds;
}

double raw_aead(size_t packet_size, uint64_t bytes) {
  const std::array<uint8_t, 16> key{1};
  std::array<uint8_t, 12> nonce{};
  const std::array<uint8_t, 16> associated{};
  std::vector<uint8_t> packet(packet_size, 7);
  std::array<uint8_t, kTagSize> tag{};
  Aes aes;
  if (wc_AesInit(&aes, nullptr, INVALID_DEVID) != 0 || wc_AesGcmSetKey(&aes, key.data(), key.size()) != 0) std::abort();
  const double from = now_s();
  uint64_t done = 0;
  for (; done < bytes; done += packet_size) {
    store_le(nonce.data(), done);
    if (wc_AesGcmEncrypt(&aes, packet.data(), packet.data(), static_cast<word32>(packet.size()), nonce.data(),
                         nonce.size(), tag.data(), tag.size(), associated.data(), associated.size()) != 0) {
      std::abort();
    }
  }
  const double rate = static_cast<double>(done) / (now_s() - from);
  wc_AesFree(&aes);
  return rate;
}

double raw_handshakes(uint64_t count) {
  posix::PosixRandom random;
  const net::WolfsslScope scope(random, 0);
  WC_RNG rng;
  ecc_key certificate;
  bool ok = wc_InitRng(&rng) == 0 && wc_ecc_init(&certificate) == 0 &&
            wc_ecc_make_key_ex(&rng, 32, &certificate, ECC_SECP256R1) == 0;
  const std::array<uint8_t, 32> digest{1};
  std::array<uint8_t, 80> signature{};
  uint8_t device_public[32];
  uint8_t device_secret[64];
  uint8_t device_signature[64];
  crypto_sign_keypair(device_public, device_secret);
  crypto_sign_detached(device_signature, nullptr, digest.data(), digest.size(), device_secret);
  const double from = now_s();
  for (uint64_t i = 0; i < count * 2 && ok; ++i) {
    // One side: an ephemeral key and the exchange, one signature, and the peer's three: of the handshake, of its
    // certificate by itself, and of the certificate's key by the device.
    curve25519_key ours;
    std::array<uint8_t, 32> shared{};
    word32 shared_size = shared.size();
    word32 size = signature.size();
    int valid = 0;
    ok = wc_curve25519_init(&ours) == 0 && wc_curve25519_make_key(&rng, 32, &ours) == 0 &&
         wc_curve25519_shared_secret(&ours, &ours, shared.data(), &shared_size) == 0 &&
         wc_ecc_sign_hash(digest.data(), digest.size(), signature.data(), &size, &rng, &certificate) == 0;
    for (int j = 0; j < 2 && ok; ++j) {
      ok = wc_ecc_verify_hash(signature.data(), size, digest.data(), digest.size(), &valid, &certificate) == 0 &&
           valid == 1;
    }
    ok = ok && crypto_sign_verify_detached(device_signature, digest.data(), digest.size(), device_public) == 0;
    wc_curve25519_free(&ours);
  }
  const double rate = static_cast<double>(count) / (now_s() - from);
  if (!ok) die(fail(Code::internal, "wolfCrypt failed"));
  wc_ecc_free(&certificate);
  wc_FreeRng(&rng);
  return rate;
}

}  // namespace sereus::bench
