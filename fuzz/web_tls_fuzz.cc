// TLS below WebSocket, both roles: whatever arrives, in whatever parts, before, in or after the handshake, it never faults and
// carries nothing that the other side did not seal.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/web_tls_channel.h"
#include "tests/support/fuzz_random.h"
#include "tests/support/web_certificate.h"

using namespace sereus;
using namespace sereus::net;

namespace {

struct Web {
  test::MixedRandom random;
  test::WebAuthority authority{random};
  TlsServerCertificate certificate{random};
  TlsTrust trust{[this]() -> Result<Bytes> { return to_bytes(as_bytes(authority.anchor())); }, random};

  Web() {
    const auto shown = authority.server({{"a.example"}, {}});
    SEREUS_ASSERT(certificate.load(as_bytes(shown.chain), as_bytes(shown.key)).ok());
  }
};

Status feed_in_parts(Channel& channel, ByteView in, size_t step, Bytes& out, Bytes& plain) {
  while (!in.empty()) {
    const ByteView part = in.first(in.size() < step ? in.size() : step);
    SEREUS_TRY(channel.feed(part, out, plain));
    in = in.subspan(part.size());
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Web* const web = new Web;
  if (size < 2) return 0;
  const uint8_t mode = data[0] % 5;
  const size_t step = data[1] == 0 ? size : data[1];
  const ByteView input(data + 2, size - 2);
  const Times now{1'000'000, 1'767'225'600'000'000};
  const TcpAddress address{{false, {192, 0, 2, 1}, 443}, TcpWrap::wss, "a.example"};
  const auto client =
      WebTlsChannel::client(web->trust.context().value(), WebTlsChannel::Verify::all, address, web->random, now)
          .value();
  const auto server = WebTlsChannel::server(web->certificate.context(), web->random, now).value();
  Bytes to_server, to_client, plain;
  SEREUS_ASSERT(client->start(to_server).ok() && server->start(to_client).ok());
  if (mode <= 1) {  // a stranger dials, a stranger answers
    (void)feed_in_parts(mode == 0 ? *server : *client, input, step, mode == 0 ? to_client : to_server, plain);
    SEREUS_ASSERT(plain.empty());
    return 0;
  }
  // The handshake, with what is on the way to the client changed at one place.
  SEREUS_ASSERT(server->feed(to_server, to_client, plain).ok());
  to_server.clear();
  if (mode == 2) {
    for (size_t i = 0; i + 2 < input.size(); i += 3) {
      to_client[(input[i] * 256u + input[i + 1]) % to_client.size()] ^= input[i + 2];
    }
    (void)feed_in_parts(*client, to_client, step, to_server, plain);
    SEREUS_ASSERT(plain.empty());
    return 0;
  }
  SEREUS_ASSERT(client->feed(to_client, to_server, plain).ok());
  to_client.clear();
  SEREUS_ASSERT(server->feed(to_server, to_client, plain).ok() && server->state() == Channel::State::established);
  to_server.clear();
  if (mode == 3) {  // instead of records
    (void)feed_in_parts(*server, input, step, to_client, plain);
    SEREUS_ASSERT(plain.empty());
    return 0;
  }
  SEREUS_ASSERT(client->seal(input, to_server).ok());
  SEREUS_ASSERT(feed_in_parts(*server, to_server, step, to_client, plain).ok() && equal(plain, input));
  return 0;
}
