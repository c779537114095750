#include "sim/workload_streams.h"

#include <algorithm>
#include <memory>

#include "core/node/limits.h"
#include "sim/fault_mix.h"
#include "sim/node_run.h"
#include "sim/shared_store.h"

namespace sereus::sim {
namespace {

using node::Query;
using node::QueryKind;
using node::Request;
using node::RequestKind;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr const char* kProtocol = "/sim/echo/1.0.0";
constexpr const char* kDeafProtocol = "/sim/deaf/1.0.0";  // nobody reads its streams
constexpr size_t kFloodWrites = 10;
constexpr size_t kFloodWriteSize = 256 * 1024;
constexpr int kManyStreams = 12;
constexpr size_t kNonceSize = 8;
constexpr size_t kWriteMax = 600'000;

enum ActionKind : uint32_t { kEcho, kReset, kDisconnect, kPing, kFlood, kMany };

// What a stream carries: its number, then bytes that follow from the number and their place.
uint8_t byte_at(uint64_t nonce, uint64_t offset) {
  if (offset < kNonceSize) return static_cast<uint8_t>(nonce >> (8 * offset));
  return static_cast<uint8_t>((nonce + offset) * 0x9e3779b97f4a7c15u >> 56);
}

Bytes bytes_of(uint64_t nonce, uint64_t offset, size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = byte_at(nonce, offset + i);
  return out;
}

// Takes what one end receives and sees whether it is what the other end sent.
class Received {
 public:
  explicit Received(std::optional<uint64_t> nonce = std::nullopt) : nonce_(nonce) {}
  bool take(ByteView data) {
    for (const uint8_t byte : data) {
      if (!nonce_ || at_ < kNonceSize) {
        head_ |= uint64_t{byte} << (8 * std::min<uint64_t>(at_, kNonceSize - 1));
        if (nonce_ && byte != byte_at(*nonce_, at_)) return false;
        if (++at_ == kNonceSize && !nonce_) nonce_ = head_;
        continue;
      }
      if (byte != byte_at(*nonce_, at_++)) return false;
    }
    return true;
  }
  uint64_t size() const { return at_; }

 private:
  std::optional<uint64_t> nonce_;
  uint64_t head_ = 0;
  uint64_t at_ = 0;
};

// One stream as the machine sees it that opened it.
struct Exchange {
  size_t machine = 0;
  size_t to = 0;
  uint64_t nonce = 0;
  uint64_t size = 0;
  uint64_t connection = 0;
  uint64_t stream = 0;
  uint64_t written = 0;
  Received received;
  bool over = false;      // whatever became of it
  bool complete = false;  // every byte came back, and the end
};
using ExchangePtr = std::shared_ptr<Exchange>;

struct Serving {
  Received received;
};

class StreamsRun : public NodeWorkload {
 public:
  bool set_up(NodeRun& run) override;
  void act(NodeRun& run, const Action& action) override;
  void on_up(NodeRun& run, size_t i) override;
  void on_down(NodeRun& run, size_t i) override;
  void on_event(NodeRun& run, size_t i, const node::Event& event) override;
  bool settled(NodeRun& run) override;
  std::string states(NodeRun& run) override;
  size_t dials() const override { return nonces_; }
  uint64_t memory() const override;
  void check(NodeRun& run) override;

 private:
  ExchangePtr echo(NodeRun& run, size_t i, size_t to, uint64_t size);
  void open(NodeRun& run, const ExchangePtr& exchange);
  void write(NodeRun& run, const ExchangePtr& exchange);
  void read(NodeRun& run, const ExchangePtr& exchange);
  void serve(NodeRun& run, size_t i, uint64_t stream, const std::shared_ptr<Serving>& serving);
  void open_to_flood(NodeRun& run, size_t i, uint64_t connection);
  void flood(NodeRun& run, size_t i, uint64_t stream);
  void simple(NodeRun& run, size_t i, RequestKind kind, uint64_t of);

  std::vector<std::string> peers_;
  std::vector<std::string> addresses_;
  std::vector<std::vector<ExchangePtr>> open_;  // by machine
  std::vector<ExchangePtr> last_;               // those that must complete, once all is healed
  uint64_t nonces_ = 0;
};

bool StreamsRun::set_up(NodeRun& run) {
  open_.resize(run.nodes());
  for (size_t i = 0; i < run.nodes(); ++i) {
    const node::InfoRow info = info_of(run.machine(i));
    peers_.push_back(info.peer);
    addresses_.push_back(info.addresses);
  }
  return true;
}

void StreamsRun::on_up(NodeRun& run, size_t i) {
  Request request;
  request.kind = RequestKind::protocol_add;
  for (const char* const protocol : {kProtocol, kDeafProtocol}) {
    request.x = to_bytes(protocol);
    run.submit(i, request, [&run](const node::Event* done) {
      if (done != nullptr && done->status != Code::ok && done->status != Code::closed)
        run.expect_ok(*done, "protocol_add");
    });
  }
}

void StreamsRun::on_down(NodeRun&, size_t i) {
  if (open_.empty()) return;
  for (const ExchangePtr& exchange : open_[i]) exchange->over = true;
  open_[i].clear();
}

void StreamsRun::act(NodeRun& run, const Action& action) {
  const size_t i = action.machine;
  if (!run.up(i)) return;
  SimRandom draws(action.draws);
  if (action.kind == kEcho) {
    const size_t to = (i + 1 + draws.below(run.nodes() - 1)) % run.nodes();
    const auto most = static_cast<uint64_t>(run.knob("size_max", 100'000));
    echo(run, i, to, draw_scale(draws, kNonceSize, most));
    return;
  }
  if (action.kind == kMany) {
    // At once, to one that may look at its events later.
    const size_t to = (i + 1 + draws.below(run.nodes() - 1)) % run.nodes();
    for (int n = 0; n < kManyStreams; ++n) echo(run, i, to, kNonceSize);
    return;
  }
  if (open_[i].empty()) return;
  const ExchangePtr exchange = open_[i][draws.below(open_[i].size())];
  if (action.kind == kFlood && exchange->connection != 0) return open_to_flood(run, i, exchange->connection);
  if (action.kind == kReset && exchange->stream != 0) simple(run, i, RequestKind::stream_reset, exchange->stream);
  if (action.kind == kDisconnect && exchange->connection != 0)
    simple(run, i, RequestKind::disconnect, exchange->connection);
  if (action.kind == kPing && exchange->connection != 0) simple(run, i, RequestKind::ping, exchange->connection);
}

void StreamsRun::simple(NodeRun& run, size_t i, RequestKind kind, uint64_t of) {
  Request request;
  request.kind = kind;
  request.store = of;
  run.submit(i, std::move(request));
}

// ---- More than is read ----------------------------------------------------------------------------------------------

void StreamsRun::open_to_flood(NodeRun& run, size_t i, uint64_t connection) {
  Request request;
  request.kind = RequestKind::stream_open;
  request.store = connection;
  request.x = to_bytes(kDeafProtocol);
  run.submit(i, std::move(request), [this, &run, i](const node::Event* done) {
    if (done != nullptr && done->status == Code::ok && run.up(i)) flood(run, i, done->stream);
  });
}

// Writes without waiting. What is taken and waits is bounded; the others are told to try again.
void StreamsRun::flood(NodeRun& run, size_t i, uint64_t stream) {
  auto waiting = std::make_shared<size_t>(0);
  for (size_t n = 0; n < kFloodWrites; ++n) {
    Request request;
    request.kind = RequestKind::stream_write;
    request.store = stream;
    request.x.resize(kFloodWriteSize);
    *waiting += kFloodWriteSize;
    run.submit(i, std::move(request), [waiting](const node::Event*) { *waiting -= kFloodWriteSize; });
  }
  run.count("floods");
  // Answered at once, whatever the answer: by then all before it were looked at.
  Request last;
  last.kind = RequestKind::protocol_add;
  last.x = to_bytes(kDeafProtocol);
  run.submit(i, std::move(last), [this, &run, i, stream, waiting](const node::Event* done) {
    if (done == nullptr) return;
    if (*waiting > node::kAppWriteAheadMax + kFloodWriteSize) {
      run.violated("bounds", "a stream of machine " + std::to_string(i) + " holds " + std::to_string(*waiting) +
                                 " bytes that its peer does not read");
    }
    if (run.up(i)) simple(run, i, RequestKind::stream_reset, stream);
  });
}

// ---- The side that opens --------------------------------------------------------------------------------------------

ExchangePtr StreamsRun::echo(NodeRun& run, size_t i, size_t to, uint64_t size) {
  auto exchange = std::make_shared<Exchange>();
  exchange->machine = i;
  exchange->to = to;
  exchange->nonce = (++nonces_ << 20) ^ run.plan().seed;
  exchange->size = std::max<uint64_t>(size, kNonceSize);
  exchange->received = Received(exchange->nonce);
  open_[i].push_back(exchange);
  run.count("streams asked for");
  run.note(i, "sends " + std::to_string(size) + " bytes to " + std::to_string(to));
  Request dial;
  dial.kind = RequestKind::dial;
  dial.x = to_bytes(peers_[to]);
  dial.y = to_bytes(addresses_[to]);
  run.submit(i, std::move(dial), [this, &run, exchange](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok) {
      exchange->over = true;
      return;
    }
    exchange->connection = done->connection;
    open(run, exchange);
  });
  return exchange;
}

void StreamsRun::open(NodeRun& run, const ExchangePtr& exchange) {
  if (!run.up(exchange->machine)) return;
  Request request;
  request.kind = RequestKind::stream_open;
  request.store = exchange->connection;
  request.x = to_bytes(kProtocol);
  run.submit(exchange->machine, std::move(request), [this, &run, exchange](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok) {
      exchange->over = true;
      return;
    }
    exchange->stream = done->stream;
    run.count("streams");
    write(run, exchange);
    read(run, exchange);
  });
}

void StreamsRun::write(NodeRun& run, const ExchangePtr& exchange) {
  if (!run.up(exchange->machine) || exchange->over) return;
  Request request;
  request.kind = RequestKind::stream_write;
  request.store = exchange->stream;
  const size_t size = std::min<uint64_t>(exchange->size - exchange->written, kWriteMax);
  request.x = bytes_of(exchange->nonce, exchange->written, size);
  exchange->written += size;
  const bool last = exchange->written == exchange->size;
  request.a = last ? 1 : 0;
  run.submit(exchange->machine, std::move(request), [this, &run, exchange, last](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok) {
      exchange->over = true;
    } else if (!last) {
      write(run, exchange);
    }
  });
}

void StreamsRun::read(NodeRun& run, const ExchangePtr& exchange) {
  if (!run.up(exchange->machine)) return;
  Request request;
  request.kind = RequestKind::stream_read;
  request.store = exchange->stream;
  run.submit(exchange->machine, std::move(request), [this, &run, exchange](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok) {
      exchange->over = true;
      return;
    }
    const std::string what =
        "a stream from machine " + std::to_string(exchange->machine) + " to " + std::to_string(exchange->to);
    run.count("bytes echoed", done->data.size());
    if (!exchange->received.take(done->data)) {
      run.violated("stream", what + " brought back other bytes than were sent, at about " +
                                 std::to_string(exchange->received.size()));
      return;
    }
    if (exchange->received.size() > exchange->size) run.violated("stream", what + " brought back more than was sent");
    if (!done->finished) return read(run, exchange);
    exchange->over = exchange->complete = true;
    if (exchange->received.size() != exchange->size)
      run.violated("stream", what + " ended in order before all was there");
    run.count("streams complete");
  });
}

// ---- The side that serves -------------------------------------------------------------------------------------------

void StreamsRun::on_event(NodeRun& run, size_t i, const node::Event& event) {
  if (event.kind == node::EventKind::stream && event.name == kProtocol) {
    serve(run, i, event.stream, std::make_shared<Serving>());
  }
  if (event.kind != node::EventKind::stream_closed || open_.empty()) return;
  for (const ExchangePtr& exchange : open_[i]) {
    if (exchange->stream == event.stream) exchange->over = true;
  }
}

void StreamsRun::serve(NodeRun& run, size_t i, uint64_t stream, const std::shared_ptr<Serving>& serving) {
  if (!run.up(i)) return;
  Request request;
  request.kind = RequestKind::stream_read;
  request.store = stream;
  run.submit(i, std::move(request), [this, &run, i, stream, serving](const node::Event* done) {
    if (done == nullptr || done->status != Code::ok || !run.up(i)) return;
    if (!serving->received.take(done->data)) {
      run.violated("stream", "machine " + std::to_string(i) + " received other bytes than were sent");
      return;
    }
    Request answer;
    answer.kind = RequestKind::stream_write;
    answer.store = stream;
    answer.x = done->data;
    answer.a = done->finished ? 1 : 0;
    // The next read when this was taken: who does not read its echo is not read either.
    run.submit(i, std::move(answer),
               [this, &run, i, stream, serving, last = done->finished](const node::Event* written) {
                 if (written != nullptr && written->status == Code::ok && !last) serve(run, i, stream, serving);
               });
  });
}

// ---- Afterwards -----------------------------------------------------------------------------------------------------

// Everybody reaches the first machine, and gets back every byte. Tried again: the first dial may meet what is left of before.
bool StreamsRun::settled(NodeRun& run) {
  if (last_.empty()) last_.resize(run.nodes());
  bool all = true;
  for (size_t i = 1; i < run.nodes(); ++i) {
    if (last_[i] != nullptr && last_[i]->complete) continue;
    all = false;
    if (last_[i] == nullptr || last_[i]->over)
      last_[i] = echo(run, i, 0, static_cast<uint64_t>(run.knob("last_size", 50'000)));
  }
  // What hangs is ended: an exchange with a peer that went away silently may wait for a long time.
  for (auto& mine : open_) std::erase_if(mine, [](const ExchangePtr& exchange) { return exchange->over; });
  if (!all) return false;
  for (size_t i = 0; i < run.nodes(); ++i) {
    for (const ExchangePtr& exchange : open_[i]) {
      if (exchange->stream != 0) simple(run, i, RequestKind::stream_reset, exchange->stream);
    }
  }
  return true;
}

// A stream holds a write, what is written ahead and the windows of both ends, in both directions.
uint64_t StreamsRun::memory() const {
  uint64_t bytes = 0;
  for (const auto& mine : open_) {
    for (const ExchangePtr& exchange : mine) bytes += 2 * std::min<uint64_t>(exchange->size, node::kAppWriteAheadMax);
  }
  return bytes;
}

std::string StreamsRun::states(NodeRun& run) {
  std::string text;
  for (size_t i = 1; i < run.nodes() && i < last_.size(); ++i) {
    if (last_[i] == nullptr || last_[i]->complete) continue;
    text += " machine " + std::to_string(i) + " has " + std::to_string(last_[i]->received.size()) + " of " +
            std::to_string(last_[i]->size) + " bytes back";
  }
  for (size_t i = 0; i < run.nodes(); ++i)
    text += " [" + std::to_string(i) + ": pending " + std::to_string(run.pending(i)) + "]";
  return text;
}

void StreamsRun::check(NodeRun& run) {
  for (size_t i = 0; i < run.nodes(); ++i) {
    Query query;
    query.kind = QueryKind::hosts;
    const auto rows = run.machine(i).query(query);
    if (!rows.ok()) return (void)run.violated("read", "no hosts: " + rows.error().detail);
    if (std::get<std::vector<node::HostRow>>(*rows).empty()) run.violated("read", "the node's own host is missing");
  }
}

void draw_streams(SimRandom& random, Plan& plan) {
  SimRandom own = random.fork("streams");
  if (plan.duration_us == 0) plan.duration_us = own.between(3 * kSecondUs, 30 * kSecondUs);
  plan.knobs["families"] = static_cast<int64_t>(own.below(3));
  plan.knobs["look_us"] = static_cast<int64_t>(draw_scale(own, 1'000, 50'000));
  plan.knobs["size_max"] = static_cast<int64_t>(draw_scale(own, 1'000, 2'000'000));
  // More than any window, in some runs.
  plan.knobs["last_size"] = own.chance(30) ? 2'000'000 : 50'000;
  const uint64_t count = own.between(5, 60);
  plan.actions.reserve(count);
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t dice = own.below(100);
    const uint32_t kind = dice < 70   ? kEcho
                          : dice < 80 ? kReset
                          : dice < 85 ? kDisconnect
                          : dice < 94 ? kPing
                          : dice < 97 ? kFlood
                                      : kMany;
    plan.actions.push_back({own.below(plan.duration_us), own.below(plan.nodes), kind, own.next_u64()});
  }
  SimRandom faults = random.fork("faults");
  draw_faults(faults, plan, all_survivable_faults());
}

}  // namespace

const Workload kStreamsWorkload = {"streams",
                                   "applications open streams to each other and echo every byte",
                                   12,
                                   2,
                                   4,
                                   draw_streams,
                                   run_nodes<StreamsRun>};

}  // namespace sereus::sim
