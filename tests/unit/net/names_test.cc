// Peer ids and multiaddrs: what is refused.
#include <gtest/gtest.h>

#include "core/net/limits.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"

namespace sereus::net {
namespace {

constexpr std::string_view kPeer = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

TEST(PeerId, RefusesWhatIsNoPeerId) {
  for (const std::string_view text :
       {"", "1", "12D3KooW", "Qm", "hello", "0OIl", "zQmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",  // a CID, of a file
        "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5 ",
        " 12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"}) {
    EXPECT_FALSE(PeerId::parse(text).has_value()) << text;
  }
  EXPECT_FALSE(PeerId::from_multihash({}).has_value());
  EXPECT_FALSE(PeerId::from_multihash(Bytes{0x00, 0x00}).has_value());
  EXPECT_FALSE(PeerId::from_multihash(Bytes{0x00, 0x02, 0x01}).has_value());
  EXPECT_FALSE(PeerId::from_multihash(Bytes{0x12, 0x01, 0x01}).has_value());
  Bytes long_identity(2 + 43, 1);
  long_identity[0] = 0x00;
  long_identity[1] = 43;
  EXPECT_FALSE(PeerId::from_multihash(long_identity).has_value());
  EXPECT_TRUE(PeerId::parse(kPeer).has_value());
  EXPECT_TRUE(PeerId().empty());
}

TEST(Multiaddr, RefusesWhatIsNoMultiaddr) {
  const std::string peer(kPeer);
  for (const std::string& text : std::vector<std::string>{"",
                                                          "/",
                                                          "ip4/1.2.3.4",
                                                          "/ip4",
                                                          "/ip4/",
                                                          "/ip4/1.2.3",
                                                          "/ip4/1.2.3.256",
                                                          "/ip4/::1",
                                                          "/ip6/1.2.3.4",
                                                          "/ip6/:::",
                                                          "/ip4/1.2.3.4/udp",
                                                          "/ip4/1.2.3.4/udp/65536",
                                                          "/ip4/1.2.3.4/udp/-1",
                                                          "/ip4/1.2.3.4/udp/01",
                                                          "/ip4/1.2.3.4/udp/4001/quic-v1/",
                                                          "/ip4/1.2.3.4//udp/1",
                                                          "/p2p/nobody",
                                                          "/dns4/",
                                                          "/dns4/a..b",
                                                          "/dns/.a",
                                                          "/dns/sp ace",
                                                          "/dns4/line\nbreak",
                                                          "/p2p/" + peer + "/",
                                                          "/p2p"}) {
    EXPECT_EQ(Multiaddr::parse(text).code(), Code::malformed) << text;
  }
  EXPECT_EQ(Multiaddr::parse("/ip4/1.2.3.4/udp/1/quic").code(), Code::unsupported);  // draft 29
  EXPECT_EQ(Multiaddr::parse("/unix/tmp").code(), Code::unsupported);
  EXPECT_EQ(Multiaddr::parse("/" + std::string(kMultiaddrTextMax, 'a')).code(), Code::too_large);
  std::string many;
  for (size_t i = 0; i <= kMultiaddrPartsMax; ++i) many += "/ws";
  EXPECT_EQ(Multiaddr::parse(many).code(), Code::too_large);
}

TEST(Multiaddr, RefusesBadBytes) {
  const auto code = [](std::string_view hex) { return Multiaddr::from_bytes(*from_hex(hex)).code(); };
  EXPECT_EQ(code(""), Code::malformed);
  EXPECT_EQ(code("04"), Code::malformed);
  EXPECT_EQ(code("047f0000"), Code::malformed);
  EXPECT_EQ(code("8104"), Code::unsupported);
  EXPECT_EQ(code("84007f000001"), Code::malformed);  // a code that is longer than needed
  EXPECT_EQ(code("3600"), Code::malformed);          // empty name
  EXPECT_EQ(code("3603612f62"), Code::malformed);    // a slash in a name
  EXPECT_EQ(code("36ffffffffffffffffff01"), Code::malformed);
  EXPECT_EQ(code("a5030400030101"), Code::malformed);  // peer id cut short
  EXPECT_EQ(Multiaddr::from_bytes(Bytes(kMultiaddrBytesMax + 1, 4)).code(), Code::too_large);
}

TEST(Multiaddr, RefusesBadZonesAndHashes) {
  for (const std::string& text : std::vector<std::string>{
           "/ip6zone/", "/ip6zone/a b", "/ip6zone/" + std::string(kZoneNameMax + 1, 'a'), "/sni/a..b", "/certhash/",
           "/certhash/u", "/certhash/uEiAk", "/certhash/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"}) {
    EXPECT_EQ(Multiaddr::parse(text).code(), Code::malformed) << text;
  }
  const auto code = [](std::string_view hex) { return Multiaddr::from_bytes(*from_hex(hex)).code(); };
  EXPECT_EQ(code("2a00"), Code::malformed);            // empty zone
  EXPECT_EQ(code("2a0161"), Code::ok);                 // /ip6zone/a
  EXPECT_EQ(code("2a012f"), Code::malformed);          // a slash
  EXPECT_EQ(code("d20303120101"), Code::ok);           // a hash of one byte
  EXPECT_EQ(code("d20303120201"), Code::malformed);    // cut short
  EXPECT_EQ(code("d203021200"), Code::malformed);      // no digest
  EXPECT_EQ(code("d2030412010101"), Code::malformed);  // a byte too many
  // Other bases are read; one is printed.
  EXPECT_EQ(Multiaddr::parse("/certhash/f120101")->to_string(), "/certhash/uEgEB");
}

TEST(Multiaddr, Parts) {
  const PeerId peer = *PeerId::parse(kPeer);
  const auto address = Multiaddr::parse("/ip6/2001:db8::1/udp/4001/quic-v1/p2p/" + std::string(kPeer));
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->peer_id(), peer);
  ASSERT_TRUE(address->quic_endpoint().has_value());
  EXPECT_EQ(to_string(*address->quic_endpoint()), "[2001:db8::1]:4001");
  EXPECT_EQ(address->without_peer_id().to_string(), "/ip6/2001:db8::1/udp/4001/quic-v1");
  EXPECT_EQ(address->without_peer_id().with_peer_id(peer), *address);
  EXPECT_EQ(address->with_peer_id(peer), *address);
  EXPECT_EQ(Multiaddr::quic(*address->quic_endpoint()), address->without_peer_id());
  EXPECT_FALSE(Multiaddr::parse("/ip4/1.2.3.4/tcp/4001")->quic_endpoint().has_value());
  EXPECT_FALSE(Multiaddr::parse("/ip4/1.2.3.4/udp/4001")->quic_endpoint().has_value());
  EXPECT_FALSE(Multiaddr::parse("/dns4/a.b/udp/4001/quic-v1")->quic_endpoint().has_value());
  EXPECT_EQ(Multiaddr::quic(IpEndpoint::loopback_v4(9)).to_string(), "/ip4/127.0.0.1/udp/9/quic-v1");
}

}  // namespace
}  // namespace sereus::net
