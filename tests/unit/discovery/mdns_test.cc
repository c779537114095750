// Local discovery between swarms on one simulated link.
#include "core/discovery/mdns.h"

#include <gtest/gtest.h>

#include "tests/support/swarm_world.h"

namespace sereus::discovery {
namespace {

using test::SwarmWorld;

constexpr uint64_t kSecond = kMicrosPerSecond;

// A link: what one sends all get, itself included.
class Link {
 public:
  class End final : public Multicast {
   public:
    explicit End(Link& link) : link_(link) { link.ends_.push_back(this); }
    void send(ByteView packet) override {
      ++sent;
      for (End* end : link_.ends_) end->packets_.push_back({IpEndpoint::loopback_v4(5353), to_bytes(packet)});
    }
    std::optional<Packet> next_packet() override {
      if (packets_.empty()) return std::nullopt;
      Packet packet = std::move(packets_.front());
      packets_.pop_front();
      return packet;
    }
    size_t sent = 0;

   private:
    Link& link_;
    std::deque<Packet> packets_;
  };

 private:
  std::vector<End*> ends_;
};

class MdnsTest : public testing::Test {
 protected:
  struct Party {
    SwarmWorld::Node* node = nullptr;
    std::unique_ptr<Link::End> end;
    AddressBook book;
    std::unique_ptr<Mdns> mdns;
    std::deque<MdnsFound> found;
  };
  Party& add(std::string_view network = "", bool listens = true) {
    parties.push_back(std::make_unique<Party>());
    Party& party = *parties.back();
    party.node = &world.add();
    if (listens) world.listen(*party.node);
    party.end = std::make_unique<Link::End>(link);
    MdnsSettings settings;
    settings.service = mdns_service_of(network);
    party.mdns = std::make_unique<Mdns>(*party.node->swarm, *party.end, *party.node->random, party.book, settings);
    return party;
  }
  // Only time passes; each machine is stepped when it wants to be.
  void run(uint64_t us) {
    const uint64_t end = now_us + us;
    while (now_us < end) {
      uint64_t next = end;
      for (auto& party : parties) {
        next = std::min(next, std::max(party->mdns->step({now_us, 0}), now_us + 1));
        while (auto event = party->mdns->next_event()) party->found.push_back(std::move(*event));
      }
      now_us = next;
    }
  }
  static Bytes answer_of(const std::vector<std::string>& texts, const std::string& name = "x._p2p._udp.local") {
    DnsMessage message;
    message.response = true;
    message.records.push_back({name, DnsType::txt, 120, {}, texts});
    return encode_dns(message);
  }

  SwarmWorld world{1};
  Link link;
  std::vector<std::unique_ptr<Party>> parties;
  uint64_t now_us = 1000;
};

TEST_F(MdnsTest, NodesOfOneLinkFindEachOther) {
  Party& alice = add();
  Party& bob = add();
  run(kSecond);
  ASSERT_EQ(alice.found.size(), 1u);
  EXPECT_EQ(alice.found[0].peer, bob.node->swarm->peer_id());
  ASSERT_EQ(alice.found[0].addresses.size(), 2u);
  EXPECT_EQ(alice.found[0].addresses[0].to_string(), world.quic_address(*bob.node));
  EXPECT_EQ(alice.book.best_addresses(bob.node->swarm->peer_id(), now_us).size(), 2u);
  ASSERT_EQ(bob.found.size(), 1u);
  EXPECT_EQ(bob.found[0].peer, alice.node->swarm->peer_id());
}

TEST_F(MdnsTest, NetworksDoNotSeeEachOther) {
  Party& alice = add("home");
  Party& bob = add("work");
  Party& carol = add("home");
  run(5 * kSecond);
  ASSERT_EQ(alice.found.size(), 1u);
  EXPECT_EQ(alice.found[0].peer, carol.node->swarm->peer_id());
  EXPECT_TRUE(bob.found.empty());
  EXPECT_NE(mdns_service_of("home"), mdns_service_of("work"));
  EXPECT_EQ(mdns_service_of(""), "_p2p._udp.local");
}

TEST_F(MdnsTest, AQuietLinkStaysQuiet) {
  Party& alice = add();
  Party& bob = add();
  run(600 * kSecond);
  // A question a minute and half of that at the most, and an answer to each, after the first few.
  EXPECT_LE(alice.end->sent + bob.end->sent, 100u);
  EXPECT_GE(alice.end->sent, 10u);
  // And told again now and then, since whoever is silent may be gone.
  EXPECT_LE(alice.found.size(), 12u);
}

TEST_F(MdnsTest, ManyQuestionsHaveFewAnswers) {
  Party& alice = add();
  Link::End other(link);
  DnsMessage question;
  question.questions.push_back({"_p2p._udp.local", DnsType::ptr});
  const size_t before = alice.end->sent;
  for (size_t i = 0; i < 100; ++i) {
    other.send(encode_dns(question));
    run(100 * kMicrosPerMilli);
  }
  EXPECT_LE(alice.end->sent - before, 10u + 5u);
  EXPECT_GE(alice.end->sent - before, 8u);
}

TEST_F(MdnsTest, WhoListensNowhereTellsNothing) {
  Party& alice = add("", false);
  Party& bob = add();
  run(3 * kSecond);
  EXPECT_EQ(alice.found.size(), 1u);
  EXPECT_TRUE(bob.found.empty());
}

TEST_F(MdnsTest, ANewNetworkIsAskedAnew) {
  Party& alice = add();
  Party& bob = add();
  run(300 * kSecond);
  alice.found.clear();
  const size_t before = alice.end->sent;
  alice.mdns->on_notice(net::NetworkChanged{}, {now_us, 0});
  run(500 * kMicrosPerMilli);
  EXPECT_GE(alice.end->sent, before + 2);  // asked, and told
  ASSERT_FALSE(alice.found.empty());
  EXPECT_EQ(alice.found[0].peer, bob.node->swarm->peer_id());
}

TEST_F(MdnsTest, WhatIsNoAddressOfAPeerIsLeftOut) {
  Party& alice = add();
  Link::End other(link);
  const std::string id = net::PeerId::from_device_key(test::NetWorld::key(9).device_key()).to_string();
  const std::string own = alice.node->swarm->peer_id().to_string();
  other.send(answer_of({"dnsaddr=/ip4/10.0.0.9/tcp/1", "dnsaddr=nonsense", "hello", "",
                        "dnsaddr=/ip4/10.0.0.9/tcp/1/p2p/" + own,
                        "dnsaddr=/ip4/10.0.0.9/tcp/1/p2p/" + id + "/p2p-circuit/p2p/" + id}));
  other.send(answer_of({"dnsaddr=/ip4/10.0.0.9/tcp/1/p2p/" + id}, "x._ipp._tcp.local"));
  other.send(Bytes(40, 0xff));
  run(kSecond);
  EXPECT_TRUE(alice.found.empty());
  other.send(answer_of({"dnsaddr=/ip4/10.0.0.9/tcp/1/p2p/" + id}));
  run(kSecond);
  ASSERT_EQ(alice.found.size(), 1u);
  EXPECT_EQ(alice.found[0].addresses[0].to_string(), "/ip4/10.0.0.9/tcp/1");
}

TEST_F(MdnsTest, PeersAndAddressesOfAPacketAreBounded) {
  Party& alice = add();
  Link::End other(link);
  std::vector<std::string> texts;
  for (uint8_t peer = 10; peer < 10 + kMdnsPeersPacketMax + 10; ++peer) {
    const std::string id = net::PeerId::from_device_key(test::NetWorld::key(peer).device_key()).to_string();
    for (int port = 1; port <= 20; ++port) {
      std::string text = "dnsaddr=/ip4/10.0.0.9/tcp/";
      text += std::to_string(port);
      text += "/p2p/";
      text += id;
      texts.push_back(std::move(text));
    }
  }
  other.send(answer_of(texts));
  run(kSecond);
  EXPECT_EQ(alice.found.size(), kMdnsPeersPacketMax);
  EXPECT_EQ(alice.found[0].addresses.size(), kMdnsAddressesMax);
}

}  // namespace
}  // namespace sereus::discovery
