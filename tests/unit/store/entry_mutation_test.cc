// A signed entry and a range of them with anything changed: every flipped bit and every other spelling of the same
// content is refused.

#include "core/codec/varint.h"
#include "tests/unit/store/forge.h"

namespace sereus::store {
namespace {

// Five entries of one author with every kind of operation, as a range.
struct Batch {
  Writer alice{1};
  Forge forge{alice};
  std::vector<Hash> hashes;

  Batch() {
    Hash other;
    other.bytes.fill(3);
    Op remove;
    remove.kind = OpKind::remove;
    remove.key = to_bytes("gone");
    hashes.push_back(forge.add({forge.put("k", "1")}, true));
    hashes.push_back(forge.add({forge.put("k", "2", {hashes[0], other})}, false, 1, true, std::vector<Hash>{other}));
    hashes.push_back(forge.add({remove, forge.put("a", ""), forge.put("b", std::string(30, 'x'))}, false, 300));
    hashes.push_back(forge.add({forge.put("k", "3")}, false));
    hashes.push_back(forge.add({forge.put("k", "4")}, false));
  }
  // Where each signature begins in the payload.
  std::vector<size_t> signatures() const {
    std::vector<size_t> at;
    ByteView rest = forge.payload;
    while (!rest.empty()) {
      const size_t size = static_cast<size_t>(varint_read(rest).value_or(0));
      at.push_back(forge.payload.size() - rest.size() + size);
      rest = rest.subspan(size + kSignatureSize);
    }
    return at;
  }
};

TEST(EntryMutation, EveryFlippedBitOfARangeIsRefused) {
  const Batch batch;
  const std::vector<size_t> signatures = batch.signatures();
  ASSERT_EQ(signatures.size(), 5u);
  ASSERT_TRUE(verify_range(batch.forge.header, batch.forge.payload, VerifyPolicy::every_signature, {}).ok());
  for (size_t bit = 0; bit < batch.forge.payload.size() * 8; ++bit) {
    Bytes payload = batch.forge.payload;
    payload[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(verify_range(batch.forge.header, payload, VerifyPolicy::every_signature, {}).ok()) << "bit " << bit;
    const auto chain = verify_range(batch.forge.header, payload, VerifyPolicy::chain, {});
    // The chain policy looks at the last signature, which commits to all entries and not to their signatures.
    const bool in_earlier_signature = std::any_of(signatures.begin(), signatures.end() - 1, [&](size_t at) {
      return bit / 8 >= at && bit / 8 < at + kSignatureSize;
    });
    EXPECT_EQ(chain.ok(), in_earlier_signature) << "bit " << bit;
    if (!chain.ok()) continue;
    for (size_t i = 0; i < batch.hashes.size(); ++i) ASSERT_EQ(chain->entries[i].hash, batch.hashes[i]);
  }
}

TEST(EntryMutation, EveryFlippedBitOfAHeaderIsRefused) {
  const Batch batch;
  const auto refused = [&](const RangeHeader& header) {
    for (const VerifyPolicy policy : {VerifyPolicy::chain, VerifyPolicy::every_signature}) {
      EXPECT_FALSE(verify_range(header, batch.forge.payload, policy, {}).ok());
    }
  };
  for (size_t bit = 0; bit < 256; ++bit) {
    const auto mask = static_cast<uint8_t>(1u << (bit % 8));
    RangeHeader header = batch.forge.header;
    header.author.bytes[bit / 8] ^= mask;
    refused(header);
    header = batch.forge.header;
    header.prev.bytes[bit / 8] ^= mask;
    refused(header);
    header = batch.forge.header;
    if (bit < 128) header.store.bytes[bit / 8] ^= mask;
    if (bit < 64) header.first_seq ^= uint64_t{1} << bit;
    if (bit < 32) header.entries ^= uint32_t{1} << bit;
    if (bit < 128) refused(header);
  }
}

TEST(EntryMutation, CutAndGrownRangesAreRefused) {
  const Batch batch;
  for (size_t size = 0; size < batch.forge.payload.size(); ++size) {
    EXPECT_FALSE(
        verify_range(batch.forge.header, ByteView(batch.forge.payload).first(size), VerifyPolicy::chain, {}).ok());
  }
  for (const uint8_t more : {0x00, 0x01, 0x80, 0xff}) {
    Bytes payload = batch.forge.payload;
    payload.push_back(more);
    EXPECT_FALSE(verify_range(batch.forge.header, payload, VerifyPolicy::chain, {}).ok());
  }
  // Entries in another order, one left out, one twice.
  const std::vector<size_t> ends = batch.signatures();
  const auto piece = [&](size_t i) {
    const size_t from = i == 0 ? 0 : ends[i - 1] + kSignatureSize;
    return ByteView(batch.forge.payload).subspan(from, ends[i] + kSignatureSize - from);
  };
  for (const std::vector<size_t>& order :
       {std::vector<size_t>{1, 0, 2, 3, 4}, {0, 2, 1, 3, 4}, {0, 1, 2, 4}, {0, 1, 1, 3, 4}, {0, 1, 2, 3, 4, 4}}) {
    Bytes payload;
    for (const size_t i : order) append(payload, piece(i));
    RangeHeader header = batch.forge.header;
    header.entries = static_cast<uint32_t>(order.size());
    EXPECT_FALSE(verify_range(header, payload, VerifyPolicy::chain, {}).ok());
  }
}

// ---- Other spellings ------------------------------------------------------------------------------------------------

// The CBOR items of a body, by where their heads begin.
struct Item {
  size_t at = 0;
  size_t head = 1;  // bytes of the head
  uint8_t major = 0;
  uint64_t argument = 0;
};

std::vector<Item> items_of(ByteView body) {
  std::vector<Item> items;
  for (size_t at = 0; at < body.size();) {
    Item item;
    item.at = at;
    item.major = body[at] >> 5;
    const uint8_t info = body[at] & 0x1f;
    item.argument = info;
    if (info >= 24 && info <= 27) {
      item.head = 1 + (size_t{1} << (info - 24));
      item.argument = 0;
      for (size_t i = 1; i < item.head; ++i) item.argument = item.argument << 8 | body[at + i];
    }
    at += item.head;
    if (item.major == 2 || item.major == 3) at += static_cast<size_t>(item.argument);
    items.push_back(item);
  }
  return items;
}

Bytes head_of(uint8_t major, uint64_t argument, size_t width) {
  Bytes head{static_cast<uint8_t>(major << 5 | (width == 1 ? 24 : width == 2 ? 25 : width == 4 ? 26 : 27))};
  for (size_t i = width; i > 0; --i) head.push_back(static_cast<uint8_t>(argument >> (8 * (i - 1))));
  return head;
}

Bytes replaced(ByteView body, size_t at, size_t size, ByteView with) {
  Bytes out = to_bytes(body.first(at));
  append(out, with);
  append(out, body.subspan(at + size));
  return out;
}

// The same content, signed over another spelling of it: the signature holds, the encoding does not.
TEST(EntryMutation, OtherSpellingsOfEachItemAreRefused) {
  const Batch batch;
  const auto range = verify_range(batch.forge.header, batch.forge.payload, VerifyPolicy::chain, {});
  ASSERT_TRUE(range.ok());
  size_t tried = 0;
  const auto expect_refused = [&](const Bytes& body, size_t at, const char* how) {
    ++tried;
    EXPECT_FALSE(parse_body(body).ok()) << how << " at byte " << at;
  };
  for (const VerifiedEntry& entry : range->entries) {
    const ByteView body = ByteView(range->bytes).subspan(entry.offset, entry.body_size);
    ASSERT_TRUE(parse_body(body).ok());
    for (const Item& item : items_of(body)) {
      if (item.major == 7) {  // null
        for (const uint8_t other : {0xf4, 0xf5, 0xf7, 0xf9, 0xff}) {
          expect_refused(replaced(body, item.at, 1, Bytes{other}), item.at, "another simple value");
        }
        continue;
      }
      for (size_t width = 1; width <= 8; width *= 2) {
        if (width + 1 <= item.head) continue;
        expect_refused(replaced(body, item.at, item.head, head_of(item.major, item.argument, width)), item.at,
                       "a longer head");
      }
      for (const uint8_t reserved : {28, 29, 30}) {
        const Bytes head{static_cast<uint8_t>(item.major << 5 | reserved)};
        expect_refused(replaced(body, item.at, item.head, head), item.at, "a reserved head");
      }
      expect_refused(replaced(body, item.at, 0, Bytes{0xc1}), item.at, "a tag");
      if (item.major == 4) {
        Bytes indefinite = replaced(body, item.at, item.head, Bytes{0x9f});
        indefinite.push_back(0xff);
        expect_refused(indefinite, item.at, "an array of unknown length");
      }
      if (item.major == 2) {
        Bytes chunked{0x5f};
        append(chunked, body.subspan(item.at, item.head + static_cast<size_t>(item.argument)));
        chunked.push_back(0xff);
        expect_refused(replaced(body, item.at, item.head + static_cast<size_t>(item.argument), chunked), item.at,
                       "bytes in chunks");
        const Bytes as_text{static_cast<uint8_t>(body[item.at] | 0x20)};
        expect_refused(replaced(body, item.at, 1, as_text), item.at, "text instead of bytes");
      }
      if (item.major == 0) {
        const Bytes negative{static_cast<uint8_t>(body[item.at] | 0x20)};
        expect_refused(replaced(body, item.at, 1, negative), item.at, "a negative number");
      }
    }
  }
  EXPECT_GT(tried, 500u);
}

// And such an entry, rightly signed, does not get into a store.
TEST(EntryMutation, ASignedOtherSpellingIsNotTaken) {
  const Writer alice(1);
  Forge forge(alice);
  forge.add({forge.put("k", "v")}, true);
  const auto good = verify_range(forge.header, forge.payload, VerifyPolicy::chain, {});
  ASSERT_TRUE(good.ok());
  const ByteView body = ByteView(good->bytes).first(good->entries[0].body_size);
  for (const Item& item : items_of(body)) {
    if (item.at < kEntryPrefixSize || item.major == 7 || item.head > 2) continue;
    const Bytes other = replaced(body, item.at, item.head, head_of(item.major, item.argument, 4));
    Bytes payload;
    varint_append(payload, other.size() - kEntryPrefixSize);
    append(payload, ByteView(other).subspan(kEntryPrefixSize));
    append(payload, sign_entry(alice.author, entry_hash(other)).view());
    EXPECT_EQ(verify_range(forge.header, payload, VerifyPolicy::chain, {}).code(), Code::malformed) << item.at;
  }
  // The size in front of an entry has one spelling as well.
  ByteView rest = forge.payload;
  const uint64_t size = varint_read(rest).value_or(0);
  Bytes longer;
  for (uint64_t left = size; left > 0; left >>= 7) longer.push_back(static_cast<uint8_t>(left | 0x80));
  longer.push_back(0);
  append(longer, rest);
  EXPECT_EQ(verify_range(forge.header, longer, VerifyPolicy::chain, {}).code(), Code::malformed);
}

}  // namespace
}  // namespace sereus::store
