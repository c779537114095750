// vectors/entry.json, which tools/vectors/entry_vectors.py writes from docs/formats/entry.md without our code; and what
// no list of cases covers: every single changed byte.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/store/range.h"
#include "tests/support/draft_of.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/test_random.h"

namespace sereus::store {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json all = [] {
    const auto text = test::read_text_file(SEREUS_SOURCE_DIR "/vectors/entry.json");
    EXPECT_TRUE(text.has_value());
    return json::parse(text.value_or("null"), nullptr, false);
  }();
  return all;
}

Bytes bytes_of(const json& value) { return from_hex(value.get<std::string>()).value(); }
template <typename Id>
Id id_of(const json& value) {
  return Id::from(bytes_of(value)).value();
}
std::vector<Hash> hashes_of(const json& list) {
  std::vector<Hash> hashes;
  for (const json& one : list) hashes.push_back(id_of<Hash>(one));
  return hashes;
}

Op op_of(const json& one) {
  Op op;
  const std::string kind = one["kind"];
  if (kind == "put" || kind == "delete") {
    op.kind = kind == "put" ? OpKind::put : OpKind::remove;
    op.key = bytes_of(one["key"]);
    if (kind == "put") op.value = bytes_of(one["value"]);
    op.parents = hashes_of(one["parents"]);
  } else if (kind == "author") {
    op.kind = OpKind::author;
    for (const json& certificate : one["certificates"]) op.certificates.push_back(bytes_of(certificate));
  } else {
    op.kind = OpKind::genesis;
    op.party = id_of<PartyKey>(one["party"]);
    const Bytes nonce = bytes_of(one["nonce"]);
    std::copy(nonce.begin(), nonce.end(), op.nonce.begin());
  }
  return op;
}

EntryDraft draft_of(const json& one) {
  EntryDraft draft;
  draft.store = id_of<StoreId>(one["store"]);
  draft.author = id_of<AuthorKey>(one["author"]);
  draft.prev = id_of<Hash>(one["prev"]);
  draft.seq = one["seq"];
  draft.hlc.wall_ms = one["hlc_wall_ms"];
  draft.hlc.counter = one["hlc_counter"];
  if (!one["authority"].is_null()) draft.authority = hashes_of(one["authority"]);
  for (const json& op : one["ops"]) draft.ops.push_back(op_of(op));
  return draft;
}

void expect_same(const EntryDraft& draft, const EntryView& view) {
  EXPECT_EQ(view.store, draft.store);
  EXPECT_EQ(view.author, draft.author);
  EXPECT_EQ(view.prev, draft.prev);
  EXPECT_EQ(view.seq, draft.seq);
  EXPECT_EQ(view.hlc, draft.hlc);
  EXPECT_EQ(view.authority, draft.authority);
  ASSERT_EQ(view.ops.size(), draft.ops.size());
  for (size_t i = 0; i < view.ops.size(); ++i) {
    EXPECT_EQ(view.ops[i].kind, draft.ops[i].kind);
    EXPECT_TRUE(equal(view.ops[i].key, draft.ops[i].key));
    EXPECT_TRUE(equal(view.ops[i].value, draft.ops[i].value));
    EXPECT_EQ(view.ops[i].parents, draft.ops[i].parents);
    EXPECT_EQ(view.ops[i].party, draft.ops[i].party);
    ASSERT_EQ(view.ops[i].certificates.size(), draft.ops[i].certificates.size());
    for (size_t j = 0; j < view.ops[i].certificates.size(); ++j) {
      EXPECT_TRUE(equal(view.ops[i].certificates[j], draft.ops[i].certificates[j]));
    }
  }
}

TEST(EntryVectors, Valid) {
  const KeyPair author = KeyPair::from_seed(SecretBytes<32>(bytes_of(vectors()["author_seed"])));
  ASSERT_GE(vectors()["valid"].size(), 12u);
  for (const json& one : vectors()["valid"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const EntryDraft draft = draft_of(one);
    EXPECT_TRUE(check_draft(draft).ok());
    const Bytes body = encode_body(draft);
    EXPECT_EQ(to_hex(body), one["body"].get<std::string>());
    const Hash hash = entry_hash(body);
    EXPECT_EQ(hash.hex(), one["hash"].get<std::string>());
    EXPECT_EQ(sign_entry(author, hash).hex(), one["signature"].get<std::string>());
    EXPECT_TRUE(verify_entry(author.author_key(), hash, id_of<Signature>(one["signature"])));
    EXPECT_TRUE(equal(entry_prefix(draft.store, draft.author, draft.prev), ByteView(body).first(kEntryPrefixSize)));
    const auto view = parse_body(body);
    ASSERT_TRUE(view.ok()) << view.error().detail;
    expect_same(draft, *view);
  }
}

TEST(EntryVectors, Invalid) {
  ASSERT_GE(vectors()["invalid"].size(), 70u);
  for (const json& one : vectors()["invalid"]) {
    EXPECT_EQ(code_name(parse_body(bytes_of(one["body"])).code()), one["code"].get<std::string>()) << one["name"];
  }
}

TEST(EntryVectors, Ranges) {
  for (const json& one : vectors()["ranges"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    RangeHeader header;
    header.store = id_of<StoreId>(one["store"]);
    header.author = id_of<AuthorKey>(one["author"]);
    header.first_seq = one["first_seq"];
    header.prev = id_of<Hash>(one["prev"]);
    header.entries = one["entries"];
    Bytes payload = bytes_of(one["payload"]);
    if (one.contains("payload_zeros")) payload.resize(one["payload_zeros"].get<size_t>());
    const auto every = verify_range(header, payload, VerifyPolicy::every_signature, {});
    const auto chain = verify_range(header, payload, VerifyPolicy::chain, {});
    EXPECT_EQ(code_name(every.code()), one["every_signature"].get<std::string>());
    EXPECT_EQ(code_name(chain.code()), one["chain"].get<std::string>());
    EXPECT_TRUE(!every.ok() || every->every_signature_checked);
    if (!chain.ok() || !one.contains("hashes")) continue;
    EXPECT_FALSE(chain->every_signature_checked);
    const std::vector<Hash> hashes = hashes_of(one["hashes"]);
    ASSERT_EQ(chain->entries.size(), hashes.size());
    for (size_t i = 0; i < hashes.size(); ++i) EXPECT_EQ(chain->entries[i].hash, hashes[i]);
  }
}

TEST(EntryVectors, RootStoreId) {
  const json& root = vectors()["root_store"];
  EXPECT_EQ(root_store_id(id_of<PartyKey>(root["party"]), bytes_of(root["nonce"])).hex(),
            root["id"].get<std::string>());
}

// One value has one encoding: whatever parses is what its content encodes to.
void expect_canonical(ByteView body) {
  const auto view = parse_body(body);
  if (!view.ok()) return;
  const EntryDraft draft = draft_of(*view);
  EXPECT_TRUE(check_draft(draft).ok());
  ASSERT_TRUE(equal(encode_body(draft), body));
}

TEST(Entry, EveryChangedByteIsRefusedOrAnotherEntry) {
  const KeyPair author = KeyPair::from_seed(SecretBytes<32>(bytes_of(vectors()["author_seed"])));
  for (const json& one : vectors()["valid"]) {
    Bytes body = bytes_of(one["body"]);
    if (body.size() > 1500) continue;
    const auto signature = id_of<Signature>(one["signature"]);
    for (size_t at = 0; at < body.size(); ++at) {
      const uint8_t was = body[at];
      for (const int to :
           {0, 1, 0x17, 0x18, 0x1f, 0x20, 0x40, 0x58, 0x7f, 0x80, 0x98, 0x9f, 0xf6, 0xff, was ^ 1, was ^ 0x80}) {
        body[at] = static_cast<uint8_t>(to);
        if (body[at] == was) continue;
        expect_canonical(body);
      }
      body[at] = was ^ 4;
      EXPECT_FALSE(verify_entry(author.author_key(), entry_hash(body), signature));
      body[at] = was;
    }
    for (size_t size = 0; size < body.size(); ++size) EXPECT_FALSE(parse_body(ByteView(body).first(size)).ok());
  }
}

TEST(Entry, LimitsOfADraft) {
  const EntryDraft good = draft_of(vectors()["valid"][0]);
  const auto refused = [&](auto change) {
    EntryDraft draft = good;
    change(draft);
    return check_draft(draft).code();
  };
  EXPECT_EQ(refused([](EntryDraft&) {}), Code::ok);
  EXPECT_EQ(refused([](EntryDraft& d) { d.seq = 0; }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.prev = Hash(); }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.hlc.wall_ms = kHlcWallMsMax + 1; }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.key_epoch = 1; }), Code::unsupported);
  EXPECT_EQ(refused([](EntryDraft& d) { d.authority.emplace(); }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.authority.emplace(9); }), Code::too_large);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops.clear(); }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops.push_back(d.ops[0]); }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops[0].key.clear(); }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops[0].key.resize(kKeySizeMax + 1); }), Code::too_large);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops[0].value.resize(kValueSizeMax + 1); }), Code::too_large);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops[0].parents.resize(2); }), Code::malformed);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops[0].parents.resize(65); }), Code::too_large);
  EXPECT_EQ(refused([](EntryDraft& d) { d.ops.resize(kOpsPerEntryMax + 1, d.ops[0]); }), Code::too_large);
}

TEST(Hlc, GoesOnWhateverTheWallClockSays) {
  HlcClock clock;
  const auto at = [](int64_t ms) { return Times{0, ms * 1000}; };
  EXPECT_EQ(clock.next(at(100)), (Hlc{100, 0}));
  EXPECT_EQ(clock.next(at(100)), (Hlc{100, 1}));
  EXPECT_EQ(clock.next(at(50)), (Hlc{100, 2}));
  clock.observe({200, UINT16_MAX});
  EXPECT_EQ(clock.next(at(150)), (Hlc{201, 0}));
  clock.observe({10, 0});
  EXPECT_EQ(clock.next(at(300)), (Hlc{300, 0}));
  EXPECT_EQ(clock.next({0, -1}), (Hlc{300, 1}));
  EXPECT_EQ(Hlc::unpack(Hlc({123456, 77}).packed()), (Hlc{123456, 77}));
  EXPECT_LE((Hlc{kHlcWallMsMax, UINT16_MAX}).packed(), static_cast<uint64_t>(INT64_MAX));
  EXPECT_FALSE(HlcClock::too_far_ahead({kHlcAheadMsMax, 0}, at(0)));
  EXPECT_TRUE(HlcClock::too_far_ahead({kHlcAheadMsMax + 1, 0}, at(0)));
}

TEST(Range, RandomBytesNeverPass) {
  test::TestRandom random(5);
  for (int i = 0; i < 20'000; ++i) {
    Bytes payload(random.below(400));
    random.fill(payload);
    RangeHeader header;
    header.entries = static_cast<uint32_t>(random.below(4));
    EXPECT_FALSE(verify_range(header, payload, VerifyPolicy::chain, {}).ok());
  }
}

}  // namespace
}  // namespace sereus::store
