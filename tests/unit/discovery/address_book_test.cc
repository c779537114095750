#include "core/discovery/address_book.h"

#include <gtest/gtest.h>

#include "core/net/peer_record.h"
#include "tests/support/net_world.h"

namespace sereus::discovery {
namespace {

class AddressBookTest : public ::testing::Test {
 protected:
  static net::PeerId peer(uint32_t number) {
    DeviceKey key;
    store_le<uint32_t>(key.bytes.data(), number);
    return net::PeerId::from_device_key(key);
  }
  static Bytes address(uint32_t number) {
    return {
        4, 20, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number), 6,
        0, 80};
  }
  const crypto::KeyPair key_ = test::NetWorld::key(1);
  const net::PeerId own_ = net::PeerId::from_device_key(key_.device_key());
  Bytes record(uint64_t seq, uint32_t where) const {
    return *net::seal_peer_record(key_, seq, {*net::Multiaddr::from_bytes(address(where))});
  }
  AddressBook book_;
};

TEST_F(AddressBookTest, WhatAPeerSignsComesBeforeWhatOthersSay) {
  book_.add(own_, {address(9)}, AddressSource::heard, peer(1), 1);
  EXPECT_EQ(book_.source(own_, 2), AddressSource::heard);
  ASSERT_TRUE(book_.add_record(own_, record(5, 1), 2).ok());
  EXPECT_EQ(book_.addresses(own_, 3), std::vector<Bytes>{address(1)});
  book_.add(own_, {address(9)}, AddressSource::heard, peer(1), 3);
  EXPECT_EQ(book_.addresses(own_, 4), (std::vector<Bytes>{address(1), address(9)}));
  // Older ones and others' change nothing.
  EXPECT_EQ(book_.add_record(own_, record(4, 2), 5).code(), Code::exists);
  EXPECT_EQ(book_.add_record(peer(7), record(9, 2), 5).code(), Code::denied);
  Bytes forged = record(9, 2);
  forged.back() ^= 1;
  EXPECT_EQ(book_.add_record(own_, forged, 5).code(), Code::bad_signature);
  EXPECT_EQ(book_.addresses(own_, 5, 1), std::vector<Bytes>{address(1)});
  // A newer one replaces it.
  ASSERT_TRUE(book_.add_record(own_, record(6, 3), 6).ok());
  EXPECT_EQ(book_.addresses(own_, 7, 1), std::vector<Bytes>{address(3)});
  EXPECT_EQ(book_.record_seq(own_, 7), 6u);
  EXPECT_TRUE(equal(book_.record(own_, 7), record(6, 3)));
}

TEST_F(AddressBookTest, EverythingEnds) {
  book_.add(peer(1), {address(1)}, AddressSource::heard, peer(2), 0);
  book_.add(peer(3), {address(3)}, AddressSource::told, {}, 0);
  book_.add(peer(4), {address(4)}, AddressSource::configured, {}, 0);
  ASSERT_TRUE(book_.add_record(own_, record(1, 1), 0).ok());
  EXPECT_FALSE(book_.knows(peer(1), kBookHeardLifeUs));
  EXPECT_TRUE(book_.knows(peer(3), kBookHeardLifeUs));
  EXPECT_TRUE(book_.record(own_, kBookCertifiedLifeUs).empty());
  book_.step(kBookCertifiedLifeUs);
  EXPECT_EQ(book_.size(), 1u);
  EXPECT_TRUE(book_.knows(peer(4), kBookCertifiedLifeUs));
}

TEST_F(AddressBookTest, OneSourceAndOnePeerGetLittle) {
  for (uint32_t i = 0; i < 5000; ++i) book_.add(peer(10 + i), {address(i)}, AddressSource::heard, peer(1), 1);
  EXPECT_EQ(book_.size(), kBookHeardSourceMax);
  // Another source has its own room, and who makes himself known is nobody's hearsay.
  book_.add(peer(10), {address(0)}, AddressSource::told, {}, 2);
  book_.add(peer(9999), {address(0)}, AddressSource::heard, peer(1), 2);
  EXPECT_TRUE(book_.knows(peer(9999), 3));
  for (uint32_t i = 0; i < 100; ++i) book_.add(peer(10), {address(i)}, AddressSource::heard, peer(1), 3);
  EXPECT_EQ(book_.addresses(peer(10), 4, 1000).size(), kBookAddressesMax);
  EXPECT_EQ(book_.addresses(peer(10), 4)[0], address(0));  // the peer's own word stays
}

TEST_F(AddressBookTest, AFullBookForgetsHearsayFirst) {
  BookSettings settings;
  settings.peers_max = 100;
  AddressBook book(settings);
  for (uint32_t i = 0; i < 50; ++i) book.add(peer(i), {address(i)}, AddressSource::told, {}, i);
  for (uint32_t i = 100; i < 400; ++i) book.add(peer(i), {address(i)}, AddressSource::heard, peer(9000 + i), i);
  EXPECT_LE(book.size(), 100u);
  for (uint32_t i = 0; i < 50; ++i) EXPECT_TRUE(book.knows(peer(i), 500)) << i;
  // Strangers displace strangers; the word of peers themselves displaces both.
  for (uint32_t i = 1000; i < 1100; ++i) book.add(peer(i), {address(i)}, AddressSource::told, {}, i);
  EXPECT_LE(book.size(), 100u);
  EXPECT_TRUE(book.knows(peer(1099), 1100));
}

TEST_F(AddressBookTest, AFailedDialForgetsHearsay) {
  book_.add(peer(1), {address(1)}, AddressSource::heard, peer(2), 1);
  book_.dial_failed(peer(1), 2);
  EXPECT_FALSE(book_.knows(peer(1), 3));
  book_.dial_succeeded(peer(1), address(5), 4);
  book_.add(peer(1), {address(6)}, AddressSource::told, {}, 5);
  EXPECT_EQ(book_.addresses(peer(1), 6)[0], address(5));
  book_.dial_failed(peer(1), 7);
  EXPECT_EQ(book_.addresses(peer(1), 8).size(), 2u);
}

TEST_F(AddressBookTest, IsSavedAndLoaded) {
  const Times then{5 * kMicrosPerHour, 1'767'225'600'000'000};
  book_.add(peer(1), {address(1)}, AddressSource::heard, peer(2), then.mono_us);
  book_.add(peer(3), {address(3)}, AddressSource::told, {}, then.mono_us);
  book_.dial_succeeded(peer(4), address(4), then.mono_us);
  ASSERT_TRUE(book_.add_record(own_, record(1, 7), then.mono_us).ok());
  const Bytes file = book_.save(then);
  AddressBook other;
  // Another run of the machine: the monotonic clock begins anew, and forty minutes have passed.
  const Times later{1'000'000, then.wall_us + static_cast<int64_t>(40 * kMicrosPerMinute)};
  ASSERT_TRUE(other.load(file, later).ok());
  EXPECT_FALSE(other.knows(peer(1), later.mono_us));
  EXPECT_FALSE(other.knows(peer(3), later.mono_us));  // half an hour was its life
  EXPECT_EQ(other.addresses(peer(4), later.mono_us), std::vector<Bytes>{address(4)});
  EXPECT_FALSE(other.knows(peer(4), later.mono_us + 21 * kMicrosPerMinute));
  EXPECT_EQ(other.addresses(own_, later.mono_us), std::vector<Bytes>{address(7)});
  EXPECT_EQ(other.record_seq(own_, later.mono_us), 1u);
  Bytes broken = file;
  broken.pop_back();
  EXPECT_EQ(AddressBook().load(broken, later).code(), Code::malformed);
  EXPECT_EQ(AddressBook().load(Bytes{0x83, 0x02, 0x00, 0x80}, later).code(), Code::too_new);
}

}  // namespace
}  // namespace sereus::discovery
