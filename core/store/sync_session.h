// One store, one peer, one stream: the sync protocol /sereus/sync/1.0.0 as a state machine (docs/formats/sync.md).
//
// Both sides announce their digest; when they differ, their tips; then each sends the ranges the other lacks, and goes
// on sending what is committed later. Symmetric, resumable at any entry, and bounded: it reads one range ahead, and
// stops taking bytes while too much waits to be ingested.
//
// Sans-I/O. Bytes from the stream go in with on_bytes(); bytes for it are taken with take_output(); ranges to be read
// or ingested are asked for through take_read() and take_received() and answered with on_read() and on_ingested().
// Thread rule: the node's thread.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/store/range.h"
#include "core/store/sync_frame.h"
#include "core/store/sync_store.h"

namespace sereus::store {

inline constexpr char kSyncProtocol[] = "/sereus/sync/1.0.0";
inline constexpr uint16_t kSyncVersion = 1;

// A peer that sends faster than we ingest is stopped at this many bytes of ranges (its writes then block on flow
// control); two ranges of the largest size keep both cores busy.
inline constexpr size_t kReceivedBytesMax = 4 * kRangeBytesMax;
inline constexpr size_t kOutputBytesMax = 2 * kRangeBytesMax;  // no further range is read while more waits to be sent
inline constexpr size_t kTipsPerFrame = 1024;
// What a waiting range costs beside its payload: without it a flood of empty ones would count as nothing.
inline constexpr size_t kReceivedRangeCost = 1024;
inline constexpr uint64_t kOpenUs = 30 * kMicrosPerSecond;  // for the peer to answer our Open

// Differing digests with nothing left to send either way (an author pending or refused): tips are exchanged again after
// this long, doubling up to the second.
inline constexpr uint64_t kRetryTipsUsMin = 500'000;
inline constexpr uint64_t kRetryTipsUsMax = 60 * kMicrosPerSecond;

// Entries that came from others are not passed on before this: where everybody is connected with everybody, their author has sent
// them to the peer as well, and the peer's State says so within that time. Longer than to store a range and to cross a local
// network; shorter than a person notices.
inline constexpr uint64_t kPassOnUs = 25'000;

struct ReceivedRange {
  RangeHeader header;
  Bytes payload;
};

struct SyncCounters {
  uint64_t entries_received = 0;  // durable here
  uint64_t entries_sent = 0;
  uint64_t entries_missing = 0;  // the peer has them, we do not yet; as far as its tips told
};

class SyncSession {
 public:
  enum class Stage : uint8_t {
    opening,  // waiting for the peer's Open
    open,
    failed,  // error() says why; the stream is to be reset
  };

  // The state of our replica now. `tips` by author.
  using TipMap = std::map<AuthorKey, AuthorTip>;

  // The opener sends its Open at once, and fails with Code::timeout when no answer comes within kOpenUs.
  static SyncSession initiate(const StoreId& store, const TipMap& tips, const Digest& digest, const Times& now);
  // The other side: `first` is the opener's Open frame, which named the store and let the node find it.
  static Result<SyncSession> accept(const Frame& first, const StoreId& store, const TipMap& tips, const Digest& digest);
  // Which store an opener asks for.
  static Result<StoreId> store_of(const Frame& first);
  // The bytes of a Refused frame.
  static Bytes refusal(Code code);

  SyncSession(SyncSession&&) = default;
  SyncSession& operator=(SyncSession&&) = default;

  // May be called while wants_bytes(); takes all. A breach of the protocol turns the stage to failed.
  void on_bytes(ByteView bytes, const Times& now);
  // False: leave the rest in the stream, so that flow control stops the peer.
  bool wants_bytes() const { return stage_ != Stage::failed && received_bytes_ < kReceivedBytesMax; }

  // Our replica moved (a commit, an ingest, from whomever). What `own` wrote is sent at once, the rest after kPassOnUs.
  void on_local(const std::vector<AuthorTip>& moved, const Digest& digest, const AuthorKey& own, const Times& now);
  // Authority changed: what was pending or refused is worth asking for again.
  void ask_again(const Times& now);

  // Asks the peer whether it has anything we lack; answered() reaches the returned number when it has said all it had.
  uint32_t ask();
  uint32_t answered() const { return answered_; }

  // The next range to read for the peer; at most one is under way.
  struct ReadRequest {
    AuthorKey author;
    uint64_t first_seq = 1;
    size_t bytes_max = kRangeBytesMax;
    bool proof = false;  // one entry, to show the peer that its history differs from ours
  };
  std::optional<ReadRequest> take_read();
  void on_read(Result<std::pair<RangeHeader, Bytes>> range);

  // Ranges received and not yet handed out. The caller verifies and ingests them in order, then reports each.
  std::optional<ReceivedRange> take_received();
  void on_ingested(size_t payload_bytes, uint32_t entries, const Status& outcome, const Times& now);

  // Bytes for the stream; the caller hands back what the stream did not take by not consuming it.
  ByteView output() const { return ByteView(output_).subspan(output_taken_); }
  void consume_output(size_t size);

  // Timers. `deadline` is monotonic us, kNever when none.
  void step(const Times& now);
  uint64_t deadline() const { return std::min(retry_at_, pass_on_at_); }

  Stage stage() const { return stage_; }
  const Error& error() const { return error_; }
  // Equal digests, told by the peer and true here now, with nothing under way.
  bool synced() const;
  // An author of whom the peer has another history than we.
  const std::set<AuthorKey>& forked() const { return forked_; }
  SyncCounters counters() const;
  // Bytes held for this peer: waiting to be sent, received and not yet ingested, and of a frame that is not whole.
  size_t memory() const { return output_.size() + received_bytes_ + frames_.buffered(); }

 private:
  struct PeerTip {
    uint64_t seq = 0;
    Hash hash;
  };
  SyncSession(const StoreId& store, const TipMap& tips, const Digest& digest);

  void fail_with(Code code, std::string detail);
  void on_frame(const Frame& frame, const Times& now);
  void on_open(const Frame& frame);
  void on_tips(const Frame& frame);
  void on_range(const Frame& frame);
  void on_state(const Frame& frame, const Times& now);
  void on_refused(const Frame& frame);
  void send_open();
  void send_tips();
  void send_range(const ReadRequest& request, const RangeHeader& header, ByteView payload);
  void send_state_if_idle();
  void compare_tips();
  void note_fork(const AuthorKey& author, uint64_t seq);
  void assume_equal();  // equal digests: the peer has what we have
  void pass_on();       // what waited for kPassOnUs
  bool sending_done() const;
  bool quiet() const;  // nothing to read, send, receive or ingest
  void arm_retry(const Times& now);

  StoreId store_;
  TipMap tips_;  // ours
  Digest digest_;
  std::map<AuthorKey, PeerTip> peer_;       // theirs, as told, or raised by what we sent and received
  bool peer_tips_known_ = false;            // their list is complete, or digests were equal
  std::map<AuthorKey, PeerTip> arriving_;   // a list of tips being received
  std::set<AuthorKey> to_send_;             // authors of whom the peer lacks entries
  std::set<AuthorKey> to_pass_on_;          // likewise, of entries that came from others: not before pass_on_at_
  std::map<AuthorKey, uint64_t> to_prove_;  // forked authors, and the sequence at which the peer's entry differs
  std::set<AuthorKey> forked_;
  std::optional<Digest> peer_digest_;  // in their last Open or State
  std::optional<Digest> state_sent_;   // our digest they were last told
  bool tips_sent_ = false;
  uint32_t asked_ = 0;  // our last question
  uint32_t ask_sent_ = 0;
  uint32_t answered_ = 0;
  uint32_t peer_ask_ = 0;  // the peer's last question
  uint32_t answer_sent_ = 0;

  FrameReader frames_;
  Bytes output_;
  size_t output_taken_ = 0;
  std::optional<ReadRequest> reading_;
  std::deque<ReceivedRange> received_;
  size_t received_bytes_ = 0;                             // handed out and not yet ingested ones included
  std::deque<std::pair<AuthorKey, uint64_t>> ingesting_;  // handed out and not yet reported: author and last sequence

  uint64_t entries_received_ = 0;
  uint64_t entries_sent_ = 0;
  uint64_t retry_at_ = kNever;  // while opening: the end of our patience
  uint64_t retry_delay_us_ = kRetryTipsUsMin;
  uint64_t pass_on_at_ = kNever;
  Stage stage_ = Stage::opening;
  Error error_;
};

}  // namespace sereus::store
