// Peers that break the protocol, lie, flood or fall silent: each is refused with a reason or harmless, nothing that was
// stored is lost, and memory stays bounded.

#include "tests/unit/store/forge.h"
#include "tests/unit/store/sync_pair.h"

namespace sereus::store {
namespace {

// A victim with ten entries of alice, and a session with a peer that is not one of ours.
struct Hostile : public ::testing::Test {
  Writer alice{1};
  Writer bob{2};
  Writer mallory{6};
  Party victim{1};
  std::optional<End> end;
  Hash state;

  void SetUp() override {
    for (int i = 0; i < 10; ++i) victim.replica.put(alice, "k" + std::to_string(i), "v");
    state = victim.replica.state();
    begin();
  }
  // A session in which the peer's Open has told another digest.
  void begin() {
    end.reset();
    end.emplace(victim);
    end->receive(open_frame(test_store_id(), Digest{}));
    ASSERT_TRUE(end->session.has_value());
    drain();
  }
  void drain() { end->session->consume_output(end->session->output().size()); }
  void send(ByteView frame) {
    end->receive(frame);
    while (end->work()) drain();
    drain();
  }
  Code failure() const {
    return end->session->stage() == SyncSession::Stage::failed ? end->session->error().code : Code::ok;
  }
  void expect_untouched() {
    EXPECT_EQ(victim.replica.state(), state);
    EXPECT_EQ(victim.replica.stats().entries, 10u);
    MUST_OK(victim.replica.store->verify());
  }
  // The session ended for `code`, says why, and takes and gives nothing more.
  void expect_failed(Code code) {
    EXPECT_EQ(code_name(failure()), code_name(code));
    if (failure() == Code::ok) return;
    EXPECT_FALSE(end->session->error().detail.empty());
    EXPECT_FALSE(end->session->wants_bytes());
    EXPECT_FALSE(end->session->synced());
    EXPECT_FALSE(end->session->take_read());
    end->receive(state_frame(victim.digest()));
    EXPECT_EQ(code_name(failure()), code_name(code));
    expect_untouched();
  }
};

// ---- Order and shape ------------------------------------------------------------------------------------------------

TEST_F(Hostile, AStreamBeginsWithOpen) {
  const Bytes others[] = {tips_frame({}), range_frame({}, Bytes(80)), state_frame({}),
                          SyncSession::refusal(Code::denied)};
  for (const Bytes& first : others) {
    End fresh(victim);
    fresh.receive(first);
    EXPECT_EQ(fresh.refused.code(), Code::protocol);
  }
  for (size_t i = 0; i < 3; ++i) {  // the same for who opened; a refusal is an answer to it
    End opener(victim);
    opener.initiate();
    opener.receive(others[i]);
    EXPECT_EQ(opener.session->error().code, Code::protocol);
  }
  End refused(victim);
  refused.initiate();
  refused.receive(others[3]);
  EXPECT_EQ(refused.session->error().code, Code::denied);
  expect_untouched();
}

TEST_F(Hostile, AnotherStoreOrVersion) {
  End opener(victim);
  opener.initiate();
  opener.receive(open_frame(test_store_id(9), Digest{}));
  EXPECT_EQ(opener.session->error().code, Code::wrong_store);
  for (const uint16_t version : {uint16_t{0}, uint16_t{2}, uint16_t{0xffff}}) {
    End other(victim);
    other.initiate();
    other.receive(open_frame(test_store_id(), Digest{}, version));
    EXPECT_EQ(other.session->error().code, Code::unsupported);
    End accepting(victim);
    accepting.receive(open_frame(test_store_id(), Digest{}, version));
    EXPECT_EQ(accepting.refused.code(), Code::unsupported);
  }
  expect_untouched();
}

TEST_F(Hostile, OpenTwice) {
  send(open_frame(test_store_id(), Digest{}));
  expect_failed(Code::protocol);
}

TEST_F(Hostile, ARefusalInTheMiddleEndsIt) {
  send(tips_frame({}));
  send(SyncSession::refusal(Code::denied));
  expect_failed(Code::denied);
}

TEST_F(Hostile, TypesThatAreNotOfSyncEndIt) {
  for (uint32_t type = 0; type <= 0xffff; type = type < 80 ? type + 1 : type * 2 + 1) {
    if (type >= 1 && type <= 5) continue;
    begin();
    Bytes frame;
    append_frame(frame, static_cast<FrameType>(type), Bytes(20));
    send(frame);
    EXPECT_EQ(failure(), Code::protocol) << type;
  }
  expect_untouched();
}

// A newer version may add fields at the end of a table.
TEST_F(Hostile, UnknownFieldsArePassedOver) {
  flatbuffers::FlatBufferBuilder builder;
  const auto digest = wire_id<wire::Bytes16>(victim.digest());
  const auto note = builder.CreateString("from the future");
  const auto start = builder.StartTable();
  builder.AddStruct(wire::State::VT_DIGEST, &digest);
  builder.AddElement<uint32_t>(wire::State::VT_ASK, 7, 0);
  builder.AddOffset(wire::State::VT_ANSWER + 2, note);
  builder.AddElement<uint64_t>(wire::State::VT_ANSWER + 4, 1, 0);
  end->receive(frame_of(FrameType::sync_state, builder, flatbuffers::Offset<wire::State>(builder.EndTable(start))));
  EXPECT_EQ(failure(), Code::ok);
  FrameReader reader;
  reader.feed(end->session->output());
  const auto answer = must(reader.next());
  ASSERT_TRUE(answer);
  EXPECT_EQ(flatbuffers::GetRoot<wire::State>(answer->payload.data())->answer(), 7u);
}

TEST_F(Hostile, PayloadsThatAreNoTables) {
  test::TestRandom draws(3);
  for (const FrameType type : {FrameType::sync_open, FrameType::sync_tips, FrameType::sync_range, FrameType::sync_state,
                               FrameType::sync_refused}) {
    for (size_t size = 0; size < 120; size += 1 + size / 8) {
      Bytes payload(size);
      draws.fill(payload);
      Bytes frame;
      append_frame(frame, type, payload);
      if (type == FrameType::sync_open) {
        End fresh(victim);
        fresh.receive(frame);
        EXPECT_EQ(fresh.refused.code(), Code::malformed);
        continue;
      }
      begin();
      send(frame);
      expect_failed(Code::malformed);
    }
  }
}

// Every bit of every kind of frame, flipped: refused, waited for, or without harm.
TEST_F(Hostile, FlippedBitsOfFrames) {
  Party other(2);
  other.replica.put(bob, "k", "v");
  const auto [header, payload] = must(other.replica.ranges->read_range(bob.key(), 1, kRangeBytesMax));
  const AuthorTip tip = *other.replica.store->tip(bob.key());
  // Some bits of a table mean nothing. What is judged at all is what bob signed.
  size_t judged = 0;
  victim.replica.authority.rule = [&](const AuthorBinding&, const EntryView& entry,
                                      const std::vector<Hash>&) -> Status {
    EXPECT_EQ(entry_hash(entry.body), tip.hash);
    ++judged;
    return fail(Code::denied, "not now");
  };
  size_t failed = 0;
  for (const Bytes& good : {open_frame(test_store_id(), Digest{}), tips_frame({tip}), range_frame(header, payload),
                            state_frame(Digest{}, 1, 1)}) {
    for (size_t bit = 0; bit<good.size() * 8; bit += good.size()> 300 ? 5 : 1) {
      Bytes frame = good;
      frame[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      if (good[5] == static_cast<uint8_t>(FrameType::sync_open)) {
        End fresh(victim);
        FrameReader reader;
        reader.feed(frame);
        const auto first = reader.next();
        if (!first.ok() || !first->has_value()) continue;
        const auto store = SyncSession::store_of(**first);
        if (!store.ok() || *store != test_store_id()) continue;  // the node looks for the store before it accepts
        fresh.receive(frame);
        continue;
      }
      begin();
      send(frame);
      failed += failure() != Code::ok ? 1 : 0;
      for (const Status& outcome : end->outcomes) EXPECT_FALSE(outcome.ok()) << "bit " << bit;
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(failed, 100u);
  EXPECT_GT(judged, 0u);
  expect_untouched();
}

// ---- Ranges ---------------------------------------------------------------------------------------------------------

TEST_F(Hostile, RangesWithAbsurdNumbers) {
  RangeHeader header;
  header.author = bob.key();
  const auto with = [&](uint64_t first_seq, uint32_t entries, size_t bytes) {
    begin();
    header.first_seq = first_seq;
    header.entries = entries;
    header.prev = Hash();
    if (first_seq > 1) header.prev.bytes[0] = 1;
    send(range_frame(header, Bytes(bytes)));
    return failure();
  };
  constexpr uint64_t kHuge = uint64_t{1} << 63;
  for (const uint32_t entries : {0u, uint32_t{kRangeEntriesMax} + 1, 0x80000000u, 0xffffffffu}) {
    EXPECT_EQ(with(1, entries, 100), Code::malformed) << entries;
  }
  for (const uint64_t first : {uint64_t{0}, UINT64_MAX, UINT64_MAX - kRangeEntriesMax + 1}) {
    EXPECT_EQ(with(first, 1, 100), Code::malformed) << first;
  }
  for (const uint64_t first : {kHuge - 1, kHuge, kHuge + 1, UINT64_MAX - kRangeEntriesMax}) {
    EXPECT_EQ(with(first, 1, 100), Code::malformed) << first;
    EXPECT_EQ(with(first, kRangeEntriesMax, 1'000'000), Code::malformed) << first;
  }
  EXPECT_EQ(with(1, kRangeEntriesMax, 100), Code::malformed);  // shorter than so many entries can be
  EXPECT_EQ(with(1, 1, 0), Code::malformed);
  EXPECT_EQ(with(1, 2, kRangeBytesMax + 1), Code::too_large);
  EXPECT_EQ(with(1, 1, kEntrySizeMax + 11), Code::too_large);
  expect_untouched();
}

TEST_F(Hostile, AbsurdTipsOfferNothingAndBreakNothing) {
  AuthorTip huge{alice.key(), UINT64_MAX, Hash()};
  AuthorTip unknown{bob.key(), uint64_t{1} << 63, Hash()};
  AuthorTip zero{mallory.key(), 0, Hash()};
  send(tips_frame({huge, unknown, zero, huge}));
  EXPECT_EQ(failure(), Code::ok);
  EXPECT_FALSE(end->synced());
  EXPECT_EQ(end->session->counters().entries_sent, 0u);
  victim.put(alice, "k", "more");
  while (end->work()) drain();
  EXPECT_EQ(failure(), Code::ok);
  EXPECT_EQ(victim.replica.stats().entries, 11u);
}

TEST_F(Hostile, AGapInAChain) {
  Party other(2);
  for (int i = 0; i < 20; ++i) other.replica.put(bob, "k", std::to_string(i));
  auto [header, payload] = must(other.replica.ranges->read_range(bob.key(), 6, kRangeBytesMax));
  send(range_frame(header, payload));  // behind nothing
  ASSERT_EQ(end->outcomes.size(), 1u);
  EXPECT_EQ(end->outcomes[0].code(), Code::gap);
  EXPECT_EQ(failure(), Code::ok);
  expect_untouched();
  // Inside a range.
  Forge forge(bob);
  forge.add({forge.put("k", "1")}, true);
  ++forge.seq;
  forge.add({forge.put("k", "3")}, false);
  begin();
  send(range_frame(forge.header, forge.payload));
  ASSERT_EQ(end->outcomes.size(), 1u);
  EXPECT_EQ(end->outcomes[0].code(), Code::gap);
  expect_untouched();
}

TEST_F(Hostile, AForgedSignatureAtTheEndUnderTheChainPolicy) {
  Forge forge(bob);
  for (int i = 0; i < 5; ++i) forge.add({forge.put("k", "forged")}, i == 0, 1, i != 4);
  send(range_frame(forge.header, forge.payload));
  expect_failed(Code::bad_signature);
}

// The last signature commits to all before it, so these are the author's all the same; they are passed on so that the
// next can tell as well.
TEST_F(Hostile, AForgedSignatureInTheMiddleUnderTheChainPolicy) {
  Forge forge(bob);
  for (int i = 0; i < 5; ++i) forge.add({forge.put("k", "v")}, i == 0, 1, i != 2);
  send(range_frame(forge.header, forge.payload));
  EXPECT_TRUE(end->outcomes.at(0).ok());
  EXPECT_EQ(victim.replica.stats().entries, 15u);
  MUST_OK(victim.replica.store->verify());
  for (uint64_t first = 1; first <= 5; ++first) {
    const auto [header, payload] = must(victim.replica.ranges->read_range(bob.key(), first, 1));
    EXPECT_TRUE(verify_range(header, payload, VerifyPolicy::chain, {}).ok()) << first;
  }
}

TEST_F(Hostile, ForgedSignaturesWithEverySignatureChecked) {
  for (int bad = 0; bad < 5; ++bad) {
    begin();
    end->policy = VerifyPolicy::every_signature;
    Forge forge(bob);
    for (int i = 0; i < 5; ++i) forge.add({forge.put("k", "forged")}, i == 0, 1, i != bad);
    send(range_frame(forge.header, forge.payload));
    expect_failed(Code::bad_signature);
  }
}

TEST_F(Hostile, EntriesOfAnotherStore) {
  Replica other(2, test_store_id(9));
  other.put(bob, "k", "v");
  auto [header, payload] = must(other.ranges->read_range(bob.key(), 1, kRangeBytesMax));
  send(range_frame(header, payload));  // the store's id is not sent: the signature is over another one
  expect_failed(Code::bad_signature);
}

TEST_F(Hostile, EntriesUnderAnothersName) {
  Party other(2);
  other.replica.put(mallory, "k", "v");
  auto [header, payload] = must(other.replica.ranges->read_range(mallory.key(), 1, kRangeBytesMax));
  header.author = bob.key();
  send(range_frame(header, payload));
  expect_failed(Code::bad_signature);
  // Behind what alice wrote.
  header.author = alice.key();
  begin();
  send(range_frame(header, payload));
  expect_failed(Code::bad_signature);
}

TEST_F(Hostile, AnAuthorWithoutAuthority) {
  Party other(2);
  for (int i = 0; i < 20; ++i) other.replica.put(mallory, "k", std::to_string(i));
  auto [header, payload] = must(other.replica.ranges->read_range(mallory.key(), 1, kRangeBytesMax));
  for (const Code code : {Code::denied, Code::pending}) {
    victim.replica.authority.rule = [&](const AuthorBinding& binding, const EntryView&,
                                        const std::vector<Hash>&) -> Status {
      if (binding.party == mallory.party.party_key()) return fail(code, "a stranger");
      return {};
    };
    begin();
    send(range_frame(header, payload));
    ASSERT_EQ(end->outcomes.size(), 1u);
    EXPECT_EQ(end->outcomes[0].code(), code);
    EXPECT_EQ(failure(), Code::ok) << "others' entries may still come";
    EXPECT_EQ(victim.replica.stats().authors, 1u);
    expect_untouched();
  }
}

TEST_F(Hostile, EntriesPastTheirCutoff) {
  Party other(2);
  for (int i = 0; i < 20; ++i) other.replica.put(bob, "b" + std::to_string(i), "v");
  victim.replica.authority.rule = [&](const AuthorBinding&, const EntryView& entry,
                                      const std::vector<Hash>&) -> Status {
    if (entry.author == bob.key() && entry.seq > 5) return fail(Code::denied, "removed");
    return {};
  };
  auto [header, payload] = must(other.replica.ranges->read_range(bob.key(), 1, kRangeBytesMax));
  send(range_frame(header, payload));
  EXPECT_EQ(end->outcomes.at(0).code(), Code::denied);
  EXPECT_EQ(victim.replica.store->tip(bob.key())->seq, 5u);
  EXPECT_EQ(victim.replica.get("b4"), "v");
  EXPECT_EQ(victim.replica.get("b5"), "(SEREUS_E_NOT_FOUND)");
  auto [more, beyond] = must(other.replica.ranges->read_range(bob.key(), 6, kRangeBytesMax));
  send(range_frame(more, beyond));
  EXPECT_EQ(end->outcomes.at(1).code(), Code::denied);
  EXPECT_EQ(victim.replica.store->tip(bob.key())->seq, 5u);
  EXPECT_EQ(failure(), Code::ok);
  MUST_OK(victim.replica.store->verify());
}

TEST_F(Hostile, TheSameEntriesAgainAndUnasked) {
  Party other(2);
  for (int i = 0; i < 8; ++i) other.replica.put(bob, "b" + std::to_string(i), "v");
  const auto [header, payload] = must(other.replica.ranges->read_range(bob.key(), 1, kRangeBytesMax));
  // Before any tips were told, and many times.
  for (int i = 0; i < 50; ++i) send(range_frame(header, payload));
  ASSERT_EQ(end->outcomes.size(), 50u);
  for (const Status& outcome : end->outcomes) EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(victim.replica.stats().entries, 18u);
  // Our own entries given back to us.
  const auto [ours, ours_payload] = must(victim.replica.ranges->read_range(alice.key(), 3, kRangeBytesMax));
  send(range_frame(ours, ours_payload));
  EXPECT_TRUE(end->outcomes.back().ok());
  EXPECT_EQ(victim.replica.stats().entries, 18u);
  // Twice within one range.
  Forge twice(mallory);
  twice.add({twice.put("k", "1")}, true);
  append(twice.payload, to_bytes(ByteView(twice.payload)));
  ++twice.header.entries;
  send(range_frame(twice.header, twice.payload));
  EXPECT_EQ(end->outcomes.back().code(), Code::malformed);
  EXPECT_EQ(victim.replica.stats().authors, 2u);
  MUST_OK(victim.replica.store->verify());
}

// ---- Silence and floods ---------------------------------------------------------------------------------------------

TEST_F(Hostile, APeerThatNeverAnswersIsWaitedForOnlySoLong) {
  End opener(victim);
  opener.now.mono_us = 5 * kMicrosPerSecond;
  opener.initiate();
  const uint64_t deadline = opener.session->deadline();
  EXPECT_EQ(deadline, opener.now.mono_us + kOpenUs);
  // A byte now and then is no answer.
  const Bytes open = open_frame(test_store_id(), Digest{});
  for (size_t i = 0; i + 1 < open.size(); ++i) {
    opener.now.mono_us += 1000;
    opener.receive(ByteView(open).subspan(i, 1));
    opener.session->step(opener.now);
  }
  EXPECT_EQ(opener.session->stage(), SyncSession::Stage::opening);
  EXPECT_EQ(opener.session->deadline(), deadline);
  opener.now.mono_us = deadline;
  opener.session->step(opener.now);
  EXPECT_EQ(opener.session->error().code, Code::timeout);
  EXPECT_EQ(opener.session->deadline(), kNever);
  // One that answers in time is not ended by it.
  End second(victim);
  second.now.mono_us = 0;
  second.initiate();
  second.receive(open_frame(test_store_id(), victim.digest()));
  second.now.mono_us = 2 * kOpenUs;
  second.session->step(second.now);
  EXPECT_TRUE(second.session->output().size() > 0);
  second.session->consume_output(second.session->output().size());
  EXPECT_TRUE(second.synced());
  expect_untouched();
}

// The peer asks and asks, and never takes an answer.
TEST_F(Hostile, AskingWithoutReadingTakesBoundedMemory) {
  send(tips_frame({*victim.replica.store->tip(alice.key())}));
  for (uint32_t ask = 1; ask <= 200'000; ++ask) end->receive(state_frame(Digest{}, ask));
  EXPECT_EQ(failure(), Code::ok);
  EXPECT_LT(end->session->memory(), kOutputBytesMax + 64 * 1024);
  // Once it reads, it gets the last answer.
  uint32_t answer = 0;
  FrameReader reader;
  while (!end->session->output().empty()) {
    reader.feed(end->session->output());
    drain();
    while (const auto frame = must(reader.next())) {
      if (frame->type != FrameType::sync_state) continue;
      answer = flatbuffers::GetRoot<wire::State>(frame->payload.data())->answer();
    }
  }
  EXPECT_EQ(answer, 200'000u);
}

// Ranges with next to nothing in them cost us more than their bytes.
TEST_F(Hostile, TinyRangesAreCountedToo) {
  RangeHeader header;
  header.author = bob.key();
  header.first_seq = 1;
  header.entries = 1;
  for (const size_t size : {0u, 1u, 80u}) {
    begin();
    const Bytes frame = range_frame(header, Bytes(size));
    size_t taken = 0;
    while (end->session->wants_bytes() && taken < 100'000) {
      end->receive(frame);
      ++taken;
    }
    EXPECT_LT(taken, 20'000u) << size;
    EXPECT_EQ(failure(), Code::ok);
    EXPECT_LT(end->session->memory(), 2 * kReceivedBytesMax);
    // All are handed out, judged, and the stream ends for them.
    while (end->work()) drain();
    expect_failed(Code::malformed);
  }
}

TEST_F(Hostile, AFastSenderIsStopped) {
  Party other(2);
  other.replica.put(bob, "k", std::string(1'000'000, 'v'));
  const auto [header, payload] = must(other.replica.ranges->read_range(bob.key(), 1, kRangeBytesMax));
  const Bytes frame = range_frame(header, payload);
  size_t taken = 0;
  while (end->session->wants_bytes() && taken < 100) {
    end->receive(frame);
    ++taken;
  }
  EXPECT_LE(taken, 5u);
  EXPECT_LT(end->session->memory(), kReceivedBytesMax + 2 * frame.size());
  while (end->work()) drain();
  EXPECT_TRUE(end->session->wants_bytes());
  EXPECT_EQ(victim.replica.stats().entries, 11u);
}

// A receiver that never quite takes everything: what was taken is let go of.
TEST_F(Hostile, ASlowReaderDoesNotMakeUsKeepWhatItTook) {
  for (int i = 0; i < 30; ++i) victim.replica.put(bob, "b" + std::to_string(i), std::string(900'000, 'v'));
  end.reset();
  end.emplace(victim);
  end->receive(open_frame(test_store_id(), Digest{}));
  end->receive(tips_frame({}));
  size_t largest = 0;
  uint64_t carried = 0;
  while (end->work() || end->session->output().size() > 1000) {
    const size_t size = end->session->output().size();
    if (size > 1000) end->session->consume_output(std::min<size_t>(size - 1000, 100'000));
    carried += 100'000;
    largest = std::max(largest, end->session->memory());
    ASSERT_LT(carried, 100'000'000u);
  }
  EXPECT_EQ(end->session->counters().entries_sent, 40u);
  EXPECT_LT(largest, 2 * (kOutputBytesMax + kFrameSizeMax));
}

TEST_F(Hostile, MoreAuthorsThanAStoreMayHave) {
  std::vector<AuthorTip> tips(8192);
  uint64_t number = 0;
  while (failure() == Code::ok && number < 20 * tips.size()) {
    for (AuthorTip& tip : tips) {
      store_be<uint64_t>(tip.author.bytes.data(), ++number);
      tip.seq = 1;
    }
    send(tips_frame(tips, false));
  }
  EXPECT_LE(number, kAuthorsMax + tips.size());
  expect_failed(Code::too_large);
}

}  // namespace
}  // namespace sereus::store
