#include "bench/raw_streams.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/ssl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "bench/support.h"
#include "core/net/limits.h"
#include "core/net/tls_certificate.h"
#include "core/net/wolfssl_scope.h"
#include "drivers/posix/descriptor.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_thread.h"
#include "drivers/posix/posix_times.h"
#include "drivers/posix/socket_address.h"

namespace sereus::bench {
namespace {

using posix::Descriptor;

constexpr size_t kCall = 64 * 1024;
constexpr double kMicros = 1e6;

[[noreturn]] void die_of(const char* what) { die(fail(Code::io, what)); }

void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Two connected sockets.
struct TcpPair {
  TcpPair() : near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    posix::SocketAddress at = posix::to_socket_address(IpEndpoint::loopback_v4(0));
    if (::bind(listener.get(), at.any(), at.size) != 0 || ::listen(listener.get(), 1) != 0 ||
        getsockname(listener.get(), at.any(), &at.size) != 0 || ::connect(near.get(), at.any(), at.size) != 0) {
      die_of("cannot make a TCP connection");
    }
    far_fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (far_fd < 0) die_of("cannot accept a TCP connection");
    no_delay(near.get());
    no_delay(far_fd);
  }
  ~TcpPair() { ::close(far_fd); }
  TcpPair(const TcpPair&) = delete;
  TcpPair& operator=(const TcpPair&) = delete;

  Descriptor near;
  int far_fd = -1;
};

// Sends from this thread what a thread receives, and returns the bytes a second.
template <typename Send, typename Receive>
double stream_rate(uint64_t bytes, Send send, Receive receive) {
  const double from = now_s();
  auto thread = must(posix::PosixThread::start("bench-receiver", [&] {
    Bytes chunk(kCall);
    for (uint64_t got = 0; got < bytes;) {
      const auto count = receive(chunk);
      if (count <= 0) die_of("the raw stream broke");
      got += static_cast<uint64_t>(count);
    }
  }));
  const Bytes chunk(kCall, 7);
  for (uint64_t sent = 0; sent < bytes;) {
    const auto count = send(ByteView(chunk).first(std::min<uint64_t>(kCall, bytes - sent)));
    if (count <= 0) die_of("the raw stream broke");
    sent += static_cast<uint64_t>(count);
  }
  thread.reset();
  return static_cast<double>(bytes) / (now_s() - from);
}

using Context = std::unique_ptr<WOLFSSL_CTX, decltype(&wolfSSL_CTX_free)>;
using Session = std::unique_ptr<WOLFSSL, decltype(&wolfSSL_free)>;

// `fd` is read by the session as long as it lives.
Session make_session(WOLFSSL_CTX* context, const net::TlsIdentity& identity, int& fd) {
  const Bytes& chain = identity.chain.at(0);
  if (wolfSSL_CTX_use_certificate_buffer(context, chain.data(), static_cast<long>(chain.size()), SSL_FILETYPE_ASN1) !=
          WOLFSSL_SUCCESS ||
      wolfSSL_CTX_use_PrivateKey_buffer(context, identity.private_key.data(),
                                        static_cast<long>(identity.private_key.size()),
                                        SSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS ||
      wolfSSL_CTX_set_cipher_list(context, "TLS13-AES128-GCM-SHA256") != WOLFSSL_SUCCESS) {
    die_of("wolfSSL refused the raw TLS configuration");
  }
  wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, nullptr);
  wolfSSL_CTX_SetIORecv(context, [](WOLFSSL* /*ssl*/, char* out, int size, void* at) {
    const ssize_t got = ::recv(*static_cast<int*>(at), out, static_cast<size_t>(size), 0);
    return got > 0 ? static_cast<int>(got) : static_cast<int>(WOLFSSL_CBIO_ERR_CONN_CLOSE);
  });
  wolfSSL_CTX_SetIOSend(context, [](WOLFSSL* /*ssl*/, char* data, int size, void* at) {
    const ssize_t sent = ::send(*static_cast<int*>(at), data, static_cast<size_t>(size), MSG_NOSIGNAL);
    return sent >= 0 ? static_cast<int>(sent) : static_cast<int>(WOLFSSL_CBIO_ERR_GENERAL);
  });
  Session out(wolfSSL_new(context), wolfSSL_free);
  wolfSSL_SetIOReadCtx(out.get(), &fd);
  wolfSSL_SetIOWriteCtx(out.get(), &fd);
  return out;
}

}  // namespace

double raw_tcp(uint64_t bytes) {
  const TcpPair pair;
  return stream_rate(
      bytes, [&](ByteView data) { return ::send(pair.near.get(), data.data(), data.size(), MSG_NOSIGNAL); },
      [&](Bytes& out) { return ::recv(pair.far_fd, out.data(), out.size(), 0); });
}

double raw_tls(uint64_t bytes) {
  posix::PosixRandom random;
  crypto::SecretBytes<32> seed;
  random.fill(ByteSpan(seed.data(), crypto::kSeedSize));
  const net::TlsIdentity identity = must(net::make_tls_identity(crypto::KeyPair::from_seed(seed), random));
  wolfSSL_Init();
  const TcpPair pair;
  const Context client_context(wolfSSL_CTX_new(wolfTLSv1_3_client_method()), wolfSSL_CTX_free);
  const Context server_context(wolfSSL_CTX_new(wolfTLSv1_3_server_method()), wolfSSL_CTX_free);
  int near_fd = pair.near.get();
  int far_fd = pair.far_fd;
  const int64_t wall_us = posix::now().wall_us;
  const net::WolfsslScope scope(random, wall_us);
  const Session client = make_session(client_context.get(), identity, near_fd);
  const Session server = make_session(server_context.get(), identity, far_fd);
  auto handshake = must(posix::PosixThread::start("bench-handshake", [&] {
    posix::PosixRandom own;
    const net::WolfsslScope inner(own, wall_us);
    if (wolfSSL_accept(server.get()) != WOLFSSL_SUCCESS) die_of("the raw TLS handshake failed");
  }));
  if (wolfSSL_connect(client.get()) != WOLFSSL_SUCCESS) die_of("the raw TLS handshake failed");
  handshake.reset();
  return stream_rate(
      bytes, [&](ByteView data) { return wolfSSL_write(client.get(), data.data(), static_cast<int>(data.size())); },
      [&](Bytes& out) { return wolfSSL_read(server.get(), out.data(), static_cast<int>(out.size())); });
}

std::vector<double> raw_pings(uint64_t count) {
  const TcpPair pair;
  std::array<uint8_t, net::kPingBytes> payload{};
  auto thread = must(posix::PosixThread::start("bench-echo", [&pair] {
    std::array<uint8_t, net::kPingBytes> echoed{};
    while (::recv(pair.far_fd, echoed.data(), echoed.size(), MSG_WAITALL) == static_cast<ssize_t>(echoed.size())) {
      if (::send(pair.far_fd, echoed.data(), echoed.size(), MSG_NOSIGNAL) < 0) return;
    }
  }));
  std::vector<double> out;
  for (uint64_t i = 0; i < count; ++i) {
    const double from = now_s();
    if (::send(pair.near.get(), payload.data(), payload.size(), MSG_NOSIGNAL) < 0 ||
        ::recv(pair.near.get(), payload.data(), payload.size(), MSG_WAITALL) <= 0) {
      die_of("the raw pings broke");
    }
    out.push_back((now_s() - from) * kMicros);
  }
  ::shutdown(pair.near.get(), SHUT_RDWR);
  thread.reset();
  return out;
}

}  // namespace sereus::bench
