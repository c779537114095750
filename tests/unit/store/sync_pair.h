// Sync sessions over real stores and pipes in memory, with what a node does around them: it verifies and ingests what
// comes, reads what is asked for, and tells every session of a store when the store moved.
#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "core/store/schema/sync_generated.h"
#include "core/store/sync_session.h"
#include "tests/unit/store/store_test_base.h"

namespace sereus::store {

class End;

// A replica and the sessions it has.
class Party {
 public:
  explicit Party(uint64_t seed) : replica(seed) {}
  SyncSession::TipMap tips() const {
    SyncSession::TipMap tips;
    for (const AuthorTip& tip : replica.store->tips()) tips[tip.author] = tip;
    return tips;
  }
  Digest digest() const { return replica.store->digest(); }
  // A write while sessions are open.
  void put(const Writer& writer, std::string_view key, std::string_view value) {
    own = writer.key();
    replica.put(writer, key, value);
    moved({*replica.store->tip(writer.key())});
  }
  void moved(const std::vector<AuthorTip>& tips);

  Replica replica;
  std::vector<End*> ends;
  AuthorKey own;  // who wrote here last
};

// One end of a stream.
class End {
 public:
  explicit End(Party& party) : party_(party) { party_.ends.push_back(this); }
  ~End() { std::erase(party_.ends, this); }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  void initiate() { session = SyncSession::initiate(party_.replica.store->id(), party_.tips(), party_.digest(), now); }
  // The stream broke: nothing of the session is left.
  void reset() {
    session.reset();
    early_ = FrameReader();
  }
  bool wants_bytes() const { return !session || session->wants_bytes(); }
  void receive(ByteView bytes) {
    if (session) return session->on_bytes(bytes, now);
    early_.feed(bytes);
    const auto first = must(early_.next());
    if (!first) return;
    auto accepted = SyncSession::accept(*first, party_.replica.store->id(), party_.tips(), party_.digest());
    if (!accepted.ok()) {
      refused = accepted.error();
      return;
    }
    session = std::move(accepted).value();
    const Bytes rest = early_.take_rest();
    if (!rest.empty()) session->on_bytes(rest, now);
  }
  // Ingests what came, and reads one range. False when there was nothing to do.
  bool work() {
    if (!session) return false;
    bool worked = false;
    while (auto range = session->take_received()) {
      worked = true;
      ingest(*range);
    }
    if (const auto request = session->take_read()) {
      worked = true;
      session->on_read(party_.replica.ranges->read_range(request->author, request->first_seq, request->bytes_max));
    }
    return worked;
  }
  bool synced() const { return session && session->synced(); }
  Party& party() { return party_; }

  std::optional<SyncSession> session;
  Status refused;                // why an Open was not accepted
  std::vector<Status> outcomes;  // of each range that came, in order
  VerifyPolicy policy = VerifyPolicy::chain;
  Times now = at_ms(kStartMs);

 private:
  void ingest(const ReceivedRange& range) {
    Status outcome;
    auto verified = verify_range(range.header, range.payload, policy, {});
    if (verified.ok()) {
      std::vector<VerifiedRange> all;
      all.push_back(std::move(verified).value());
      std::vector<Status> each;
      Replica& replica = party_.replica;
      const auto report = replica.store->ingest(std::move(all), replica.authority, replica.now, &each);
      outcome = report.ok() ? each.at(0) : Status(report.error());
      if (report.ok()) party_.moved(report->tips);
    } else {
      outcome = verified.error();
    }
    outcomes.push_back(outcome);
    session->on_ingested(range.payload.size(), range.header.entries, outcome, now);
  }

  Party& party_;
  FrameReader early_;
};

inline void Party::moved(const std::vector<AuthorTip>& tips) {
  for (End* end : ends) {
    if (end->session) end->session->on_local(tips, digest(), own, end->now);
  }
}

// A stream between two ends. It carries pieces of drawn sizes, and breaks after a number of bytes when told to.
class Pipe {
 public:
  static constexpr uint64_t kWhole = std::numeric_limits<uint64_t>::max();

  Pipe(Party& a, Party& b, uint64_t seed = 1) : left(a), right(b), draws_(seed) {}

  // `left` opens the stream.
  void open() {
    left.reset();
    right.reset();
    left.initiate();
  }
  // Until nothing moves, or `bytes` more have been carried. False when it was cut.
  bool run(uint64_t bytes = kWhole) {
    uint64_t left_over = bytes;
    while (true) {
      const bool carried = carry(left, right, left_over) | carry(right, left, left_over);
      const bool worked = left.work() | right.work();
      if (left_over == 0) return false;
      if (!carried && !worked) return true;
    }
  }
  // Runs, lets timers come due, until both are in step. False after `rounds` of timers.
  bool run_until_synced(int rounds = 8) {
    for (int round = 0; round < rounds; ++round) {
      run();
      if (left.synced() && right.synced()) return true;
      elapse();
    }
    return false;
  }
  // On to the next deadline of either.
  void elapse() {
    uint64_t next = kNever;
    for (End* end : {&left, &right}) {
      if (end->session) next = std::min(next, end->session->deadline());
    }
    if (next == kNever) return;
    for (End* end : {&left, &right}) {
      end->now.mono_us = std::max(end->now.mono_us, next);
      if (end->session) end->session->step(end->now);
    }
  }
  uint64_t carried() const { return carried_; }

  End left;
  End right;
  size_t piece_max = 70'000;

 private:
  bool carry(End& from, End& to, uint64_t& left_over) {
    if (!from.session || !to.wants_bytes() || left_over == 0) return false;
    const ByteView output = from.session->output();
    if (output.empty()) return false;
    const size_t size = std::min<uint64_t>({output.size(), 1 + draws_.below(piece_max), left_over});
    const Bytes piece = to_bytes(output.first(size));
    from.session->consume_output(size);
    carried_ += size;
    if (left_over != kWhole) left_over -= size;
    to.receive(piece);
    return true;
  }

  test::TestRandom draws_;
  uint64_t carried_ = 0;
};

inline void expect_equal(Party& a, Party& b) {
  EXPECT_EQ(a.digest(), b.digest());
  EXPECT_EQ(a.replica.state(), b.replica.state());
  EXPECT_EQ(a.replica.stats().entries, b.replica.stats().entries);
}

// ---- Frames by hand -------------------------------------------------------------------------------------------------

template <typename Wire, typename Id>
Wire wire_id(const Id& id) {
  return Wire(flatbuffers::span<const uint8_t, Id::kSize>(id.bytes.data(), Id::kSize));
}

template <typename Offset>
Bytes frame_of(FrameType type, flatbuffers::FlatBufferBuilder& builder, Offset root) {
  builder.Finish(root);
  Bytes out;
  append_frame(out, type, ByteView(builder.GetBufferPointer(), builder.GetSize()));
  return out;
}

inline Bytes open_frame(const StoreId& store, const Digest& digest, uint16_t version = kSyncVersion) {
  flatbuffers::FlatBufferBuilder builder;
  const auto wire_store = wire_id<wire::Bytes16>(store);
  const auto wire_digest = wire_id<wire::Bytes16>(digest);
  return frame_of(FrameType::sync_open, builder, wire::CreateOpen(builder, version, &wire_store, &wire_digest));
}

inline Bytes tips_frame(const std::vector<AuthorTip>& tips, bool last = true) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<wire::Tip> list;
  for (const AuthorTip& tip : tips) {
    list.emplace_back(wire_id<wire::Bytes32>(tip.author), tip.seq, wire_id<wire::Bytes32>(tip.hash));
  }
  return frame_of(FrameType::sync_tips, builder, wire::CreateTips(builder, builder.CreateVectorOfStructs(list), last));
}

inline Bytes range_frame(const RangeHeader& header, ByteView payload) {
  flatbuffers::FlatBufferBuilder builder(payload.size() + 256);
  const auto author = wire_id<wire::Bytes32>(header.author);
  const auto prev = wire_id<wire::Bytes32>(header.prev);
  const auto bytes = builder.CreateVector(payload.data(), payload.size());
  return frame_of(FrameType::sync_range, builder,
                  wire::CreateRange(builder, &author, header.first_seq, &prev, header.entries, bytes));
}

inline Bytes state_frame(const Digest& digest, uint32_t ask = 0, uint32_t answer = 0) {
  flatbuffers::FlatBufferBuilder builder;
  const auto wire_digest = wire_id<wire::Bytes16>(digest);
  return frame_of(FrameType::sync_state, builder, wire::CreateState(builder, &wire_digest, ask, answer));
}

}  // namespace sereus::store
