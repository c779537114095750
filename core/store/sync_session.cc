#include "core/store/sync_session.h"

#include <algorithm>

#include "core/codec/wire_table.h"
#include "core/store/schema/sync_generated.h"

namespace sereus::store {
namespace {

template <typename Wire, typename Id>
Wire to_wire(const Id& id) {
  return Wire(flatbuffers::span<const uint8_t, Id::kSize>(id.bytes.data(), Id::kSize));
}

template <typename Id, typename Wire>
Id from_wire(const Wire& wire) {
  Id id;
  for (uint32_t i = 0; i < Id::kSize; ++i) id.bytes[i] = wire.bytes()->Get(i);
  return id;
}

template <typename Offset>
void append_table(Bytes& out, FrameType type, flatbuffers::FlatBufferBuilder& builder, Offset root) {
  builder.Finish(root);
  append_frame(out, type, ByteView(builder.GetBufferPointer(), builder.GetSize()));
}

}  // namespace

// ---- Opening --------------------------------------------------------------------------------------------------------

SyncSession::SyncSession(const StoreId& store, const TipMap& tips, const Digest& digest)
    : store_(store), tips_(tips), digest_(digest) {}

SyncSession SyncSession::initiate(const StoreId& store, const TipMap& tips, const Digest& digest, const Times& now) {
  SyncSession session(store, tips, digest);
  session.retry_at_ = now.mono_us + kOpenUs;
  session.send_open();
  return session;
}

Result<SyncSession> SyncSession::accept(const Frame& first, const StoreId& store, const TipMap& tips,
                                        const Digest& digest) {
  SEREUS_ASSIGN(const StoreId asked, store_of(first));
  SEREUS_ASSERT(asked == store);
  SyncSession session(store, tips, digest);
  session.send_open();
  session.on_open(first);
  if (session.stage_ == Stage::failed) return session.error_;
  return Result<SyncSession>(std::move(session));
}

Result<StoreId> SyncSession::store_of(const Frame& first) {
  if (first.type != FrameType::sync_open) return fail(Code::protocol, "a sync stream must begin with Open");
  const auto* open = verified_table<wire::Open>(first.payload);
  if (open == nullptr) return fail(Code::malformed, "an Open frame does not parse");
  if (open->version() != kSyncVersion) return fail(Code::unsupported, "the peer speaks another version of sync");
  return from_wire<StoreId>(*open->store());
}

Bytes SyncSession::refusal(Code code) {
  Bytes out;
  flatbuffers::FlatBufferBuilder builder(64);
  append_table(out, FrameType::sync_refused, builder, wire::CreateRefused(builder, static_cast<int32_t>(code)));
  return out;
}

void SyncSession::send_open() {
  flatbuffers::FlatBufferBuilder builder(128);
  const auto store = to_wire<wire::Bytes16>(store_);
  const auto digest = to_wire<wire::Bytes16>(digest_);
  append_table(output_, FrameType::sync_open, builder, wire::CreateOpen(builder, kSyncVersion, &store, &digest));
  state_sent_ = digest_;
}

// ---- Frames in ------------------------------------------------------------------------------------------------------

void SyncSession::on_bytes(ByteView bytes, const Times& now) {
  if (stage_ == Stage::failed) return;
  frames_.feed(bytes);
  while (stage_ != Stage::failed) {
    Result<std::optional<Frame>> frame = frames_.next();
    if (!frame.ok()) return fail_with(frame.error().code, frame.error().detail);
    if (!frame->has_value()) break;
    on_frame(**frame, now);
  }
  send_state_if_idle();
  arm_retry(now);
}

void SyncSession::on_frame(const Frame& frame, const Times& now) {
  if (frame.type == FrameType::sync_refused) return on_refused(frame);
  if (stage_ == Stage::opening) {
    if (frame.type != FrameType::sync_open) return fail_with(Code::protocol, "a sync stream must begin with Open");
    return on_open(frame);
  }
  switch (frame.type) {
    case FrameType::sync_tips:
      return on_tips(frame);
    case FrameType::sync_range:
      return on_range(frame);
    case FrameType::sync_state:
      return on_state(frame, now);
    default:
      return fail_with(Code::protocol, "a frame that does not belong in sync");
  }
}

void SyncSession::on_open(const Frame& frame) {
  const auto* open = verified_table<wire::Open>(frame.payload);
  if (open == nullptr) return fail_with(Code::malformed, "an Open frame does not parse");
  if (open->version() != kSyncVersion) return fail_with(Code::unsupported, "the peer speaks another version of sync");
  if (from_wire<StoreId>(*open->store()) != store_)
    return fail_with(Code::wrong_store, "the peer opened another store");
  stage_ = Stage::open;
  retry_at_ = kNever;
  peer_digest_ = from_wire<Digest>(*open->digest());
  if (*peer_digest_ == digest_) {
    assume_equal();
  } else {
    send_tips();
  }
}

void SyncSession::on_tips(const Frame& frame) {
  const auto* tips = verified_table<wire::Tips>(frame.payload);
  if (tips == nullptr) return fail_with(Code::malformed, "a Tips frame does not parse");
  if (tips->tips() != nullptr) {
    for (const wire::Tip* tip : *tips->tips()) {
      arriving_[from_wire<AuthorKey>(tip->author())] = {tip->seq(), from_wire<Hash>(tip->hash())};
    }
  }
  if (arriving_.size() > kAuthorsMax)
    return fail_with(Code::too_large, "the peer names more authors than a store may have");
  if (!tips->last()) return;
  peer_ = std::exchange(arriving_, {});
  peer_tips_known_ = true;
  if (!tips_sent_) send_tips();
  compare_tips();
}

void SyncSession::on_range(const Frame& frame) {
  const auto* range = verified_table<wire::Range>(frame.payload);
  if (range == nullptr) return fail_with(Code::malformed, "a Range frame does not parse");
  if (range->entries() == 0 || range->entries() > kRangeEntriesMax || range->first_seq() == 0 ||
      range->first_seq() > UINT64_MAX - kRangeEntriesMax) {
    return fail_with(Code::malformed, "a Range frame is out of bounds");
  }
  ReceivedRange received;
  received.header.store = store_;
  received.header.author = from_wire<AuthorKey>(*range->author());
  received.header.first_seq = range->first_seq();
  received.header.prev = from_wire<Hash>(*range->prev());
  received.header.entries = range->entries();
  received.payload.assign(range->payload()->begin(), range->payload()->end());
  PeerTip& theirs = peer_[received.header.author];
  if (peer_.size() > kAuthorsMax)
    return fail_with(Code::too_large, "the peer names more authors than a store may have");
  const uint64_t last = received.header.first_seq + received.header.entries - 1;
  if (last > theirs.seq) theirs = {last, Hash{}};  // its hash is not known before the range was verified
  received_bytes_ += received.payload.size() + kReceivedRangeCost;
  received_.push_back(std::move(received));
}

void SyncSession::on_state(const Frame& frame, const Times& now) {
  const auto* state = verified_table<wire::State>(frame.payload);
  if (state == nullptr) return fail_with(Code::malformed, "a State frame does not parse");
  peer_digest_ = from_wire<Digest>(*state->digest());
  if (*peer_digest_ == digest_) assume_equal();
  peer_ask_ = std::max(peer_ask_, state->ask());
  if (peer_ask_ != answer_sent_) pass_on();  // it waits for all that we have
  answered_ = std::max(answered_, state->answer());
  arm_retry(now);
}

void SyncSession::on_refused(const Frame& frame) {
  const auto* refused = verified_table<wire::Refused>(frame.payload);
  if (refused == nullptr) return fail_with(Code::malformed, "a Refused frame does not parse");
  fail_with(Code::denied, "the peer does not share this store with us");
}

void SyncSession::fail_with(Code code, std::string detail) {
  if (stage_ == Stage::failed) return;
  stage_ = Stage::failed;
  retry_at_ = pass_on_at_ = kNever;
  error_ = fail(code, std::move(detail));
}

// ---- Comparing ------------------------------------------------------------------------------------------------------

void SyncSession::assume_equal() {
  // The same authors as a rule: only what differs is written.
  auto theirs = peer_.begin();
  for (const auto& [author, tip] : tips_) {
    while (theirs != peer_.end() && theirs->first < author) theirs = peer_.erase(theirs);
    if (theirs == peer_.end() || theirs->first != author) theirs = peer_.emplace_hint(theirs, author, PeerTip{});
    theirs->second = {tip.seq, tip.hash};
    ++theirs;
  }
  peer_.erase(theirs, peer_.end());
  peer_tips_known_ = true;
  to_send_.clear();
  to_pass_on_.clear();
  pass_on_at_ = kNever;
  retry_at_ = kNever;
  retry_delay_us_ = kRetryTipsUsMin;
}

void SyncSession::compare_tips() {
  for (const auto& [author, tip] : tips_) {
    if (forked_.contains(author)) continue;
    const auto theirs = peer_.find(author);
    if (theirs == peer_.end() || theirs->second.seq < tip.seq) {
      to_send_.insert(author);
    } else if (theirs->second.seq == tip.seq && !theirs->second.hash.is_zero() && theirs->second.hash != tip.hash) {
      note_fork(author, tip.seq);
    }
  }
}

void SyncSession::note_fork(const AuthorKey& author, uint64_t seq) {
  to_send_.erase(author);
  to_pass_on_.erase(author);
  if (forked_.insert(author).second) to_prove_[author] = seq;
}

void SyncSession::on_local(const std::vector<AuthorTip>& moved, const Digest& digest, const AuthorKey& own,
                           const Times& now) {
  const bool awaited = peer_ask_ != answer_sent_ || asked_ != answered_;
  for (const AuthorTip& tip : moved) {
    tips_[tip.author] = tip;
    if (!peer_tips_known_ || forked_.contains(tip.author)) continue;
    const auto theirs = peer_.find(tip.author);
    if (theirs != peer_.end() && theirs->second.seq >= tip.seq) continue;
    if (tip.author == own || awaited) {
      to_send_.insert(tip.author);
    } else if (!to_send_.contains(tip.author)) {
      to_pass_on_.insert(tip.author);
      if (pass_on_at_ == kNever) pass_on_at_ = now.mono_us + kPassOnUs;
    }
  }
  digest_ = digest;
  // It had told of this before it was here.
  if (stage_ == Stage::open && peer_digest_ && *peer_digest_ == digest_) assume_equal();
  send_state_if_idle();
}

void SyncSession::pass_on() {
  pass_on_at_ = kNever;
  for (const AuthorKey& author : std::exchange(to_pass_on_, {})) {
    const auto ours = tips_.find(author);
    const auto theirs = peer_.find(author);
    if (theirs == peer_.end() || theirs->second.seq < ours->second.seq) to_send_.insert(author);
  }
}

void SyncSession::ask_again(const Times& now) {
  if (stage_ != Stage::open || synced()) return;
  retry_delay_us_ = kRetryTipsUsMin;
  retry_at_ = now.mono_us;
}

bool SyncSession::synced() const {
  if (stage_ != Stage::open || !quiet()) return false;
  if (peer_digest_ && *peer_digest_ == digest_ && state_sent_ == digest_) return true;
  if (forked_.empty() || !peer_tips_known_ || !tips_sent_) return false;
  // Digests cannot become equal past a fork: all but the forked authors must be.
  const auto settled = [this](const auto& from, const auto& to) {
    return std::all_of(from.begin(), from.end(), [&](const auto& item) {
      const auto other = to.find(item.first);
      return forked_.contains(item.first) || (other != to.end() && other->second.seq >= item.second.seq);
    });
  };
  return settled(tips_, peer_) && settled(peer_, tips_);
}

SyncCounters SyncSession::counters() const {
  SyncCounters counters{entries_received_, entries_sent_, 0};
  for (const auto& [author, theirs] : peer_) {
    const auto ours = tips_.find(author);
    const uint64_t have = ours == tips_.end() ? 0 : ours->second.seq;
    if (theirs.seq > have && !forked_.contains(author)) counters.entries_missing += theirs.seq - have;
  }
  return counters;
}

// ---- Sending --------------------------------------------------------------------------------------------------------

void SyncSession::send_tips() {
  tips_sent_ = true;
  auto tip = tips_.begin();
  do {
    flatbuffers::FlatBufferBuilder builder(1024);
    std::vector<wire::Tip> chunk;
    for (; tip != tips_.end() && chunk.size() < kTipsPerFrame; ++tip) {
      chunk.emplace_back(to_wire<wire::Bytes32>(tip->first), tip->second.seq, to_wire<wire::Bytes32>(tip->second.hash));
    }
    const auto tips = builder.CreateVectorOfStructs(chunk);
    append_table(output_, FrameType::sync_tips, builder, wire::CreateTips(builder, tips, tip == tips_.end()));
  } while (tip != tips_.end());
}

std::optional<SyncSession::ReadRequest> SyncSession::take_read() {
  if (stage_ != Stage::open || reading_ || output().size() >= kOutputBytesMax) return std::nullopt;
  if (!to_prove_.empty()) {
    const auto [author, seq] = *to_prove_.begin();
    to_prove_.erase(to_prove_.begin());
    reading_ = ReadRequest{author, seq, 1, true};
  } else if (!to_send_.empty()) {
    const AuthorKey author = *to_send_.begin();
    const auto theirs = peer_.find(author);
    reading_ = ReadRequest{author, theirs == peer_.end() ? 1 : theirs->second.seq + 1, kRangeBytesMax, false};
  }
  return reading_;
}

void SyncSession::on_read(Result<std::pair<RangeHeader, Bytes>> range) {
  if (!reading_) return;
  const ReadRequest request = *reading_;
  reading_.reset();
  if (stage_ != Stage::open) return;
  if (range.ok()) {
    send_range(request, range->first, range->second);
  } else {
    to_send_.erase(request.author);
    if (range.code() != Code::not_found) return fail_with(range.error().code, range.error().detail);
  }
  send_state_if_idle();
}

void SyncSession::send_range(const ReadRequest& request, const RangeHeader& header, ByteView payload) {
  if (!request.proof) {
    PeerTip& theirs = peer_[request.author];
    // Our entry before the first must be the peer's tip; if it is not, the author signed two histories.
    if (theirs.seq + 1 == header.first_seq && theirs.seq > 0 && !theirs.hash.is_zero() && theirs.hash != header.prev) {
      return note_fork(request.author, theirs.seq);
    }
    if (theirs.seq + 1 != header.first_seq) return;  // it told of more meanwhile; the author is asked for again
    theirs = {header.first_seq + header.entries - 1, Hash{}};
    const auto ours = tips_.find(request.author);
    if (ours == tips_.end() || theirs.seq >= ours->second.seq) {
      to_send_.erase(request.author);
      to_pass_on_.erase(request.author);
    }
  }
  flatbuffers::FlatBufferBuilder builder(payload.size() + 256);
  const auto author = to_wire<wire::Bytes32>(header.author);
  const auto prev = to_wire<wire::Bytes32>(header.prev);
  const auto bytes = builder.CreateVector(payload.data(), payload.size());
  append_table(output_, FrameType::sync_range, builder,
               wire::CreateRange(builder, &author, header.first_seq, &prev, header.entries, bytes));
  entries_sent_ += header.entries;
}

bool SyncSession::sending_done() const { return to_send_.empty() && to_prove_.empty() && !reading_; }

bool SyncSession::quiet() const {
  return sending_done() && to_pass_on_.empty() && output().empty() && received_.empty() && ingesting_.empty();
}

// Tells our digest once all is sent, and again when ingest changed it: the peer then knows whether it is equal, also while
// something waits to be passed on, which it may have. A peer that asks and does not read gets one answer when it does.
void SyncSession::send_state_if_idle() {
  if (stage_ != Stage::open || !peer_tips_known_ || !sending_done() || !ingesting_.empty() || !received_.empty())
    return;
  if (output().size() >= kOutputBytesMax) return;
  const uint32_t answer = to_pass_on_.empty() ? peer_ask_ : answer_sent_;
  if (state_sent_ == digest_ && ask_sent_ == asked_ && answer_sent_ == answer) return;
  flatbuffers::FlatBufferBuilder builder(64);
  const auto digest = to_wire<wire::Bytes16>(digest_);
  append_table(output_, FrameType::sync_state, builder,
               wire::CreateState(builder, &digest, ask_sent_ == asked_ ? 0 : asked_, answer));
  state_sent_ = digest_;
  ask_sent_ = asked_;
  answer_sent_ = answer;
}

uint32_t SyncSession::ask() {
  ++asked_;
  pass_on();
  send_state_if_idle();
  return asked_;
}

void SyncSession::consume_output(size_t size) {
  SEREUS_ASSERT(size <= output().size());
  output_taken_ += size;
  // Move the rest down only when that frees more than it copies.
  if (output_taken_ >= output_.size() - output_taken_) {
    output_.erase(output_.begin(), output_.begin() + static_cast<ptrdiff_t>(output_taken_));
    output_taken_ = 0;
  }
  send_state_if_idle();
}

// ---- Ingesting ------------------------------------------------------------------------------------------------------

std::optional<ReceivedRange> SyncSession::take_received() {
  if (received_.empty()) return std::nullopt;
  ReceivedRange range = std::move(received_.front());
  received_.pop_front();
  ingesting_.push_back({range.header.author, range.header.first_seq + range.header.entries - 1});
  return range;
}

void SyncSession::on_ingested(size_t payload_bytes, uint32_t entries, const Status& outcome, const Times& now) {
  SEREUS_ASSERT(!ingesting_.empty() && received_bytes_ >= payload_bytes + kReceivedRangeCost);
  const auto [author, last_seq] = ingesting_.front();
  ingesting_.pop_front();
  received_bytes_ -= payload_bytes + kReceivedRangeCost;
  if (outcome.ok()) {
    entries_received_ += entries;
  } else if (outcome.code() == Code::fork) {
    // The peer, whose history is the other one, may not have seen ours.
    const auto ours = tips_.find(author);
    if (ours != tips_.end()) note_fork(author, std::min(last_seq, ours->second.seq));
  } else if (outcome.code() != Code::pending && outcome.code() != Code::denied && outcome.code() != Code::gap) {
    // Bytes that cannot be: malformed, forged, of another store. The peer is broken or hostile.
    return fail_with(outcome.error().code, outcome.error().detail);
  }
  send_state_if_idle();
  arm_retry(now);
}

// ---- Timers ---------------------------------------------------------------------------------------------------------

void SyncSession::arm_retry(const Times& now) {
  if (stage_ == Stage::opening) return;  // a byte of an Open is no answer yet
  if (stage_ != Stage::open || synced()) {
    retry_at_ = kNever;
    return;
  }
  if (quiet() && retry_at_ == kNever) retry_at_ = now.mono_us + retry_delay_us_;
}

void SyncSession::step(const Times& now) {
  if (stage_ == Stage::failed) return;
  if (now.mono_us >= pass_on_at_) {
    pass_on();
    send_state_if_idle();
  }
  if (now.mono_us < retry_at_) return;
  if (stage_ == Stage::opening) return fail_with(Code::timeout, "the peer does not answer");
  retry_at_ = kNever;
  if (synced()) return;
  if (quiet()) {
    send_tips();
    state_sent_.reset();
    send_state_if_idle();
  }
  retry_delay_us_ = std::min(retry_delay_us_ * 2, kRetryTipsUsMax);
  retry_at_ = now.mono_us + retry_delay_us_;
}

}  // namespace sereus::store
