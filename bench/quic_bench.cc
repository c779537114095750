// `sereus-bench quic`: QUIC over real sockets on the loopback interface, each side on a thread of its own. Parts, for
// --only: stream, handshakes, catch-up.

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <variant>

#include "bench/bench.h"
#include "bench/bench_node.h"
#include "bench/raw.h"
#include "bench/raw_net.h"
#include "bench/support.h"
#include "core/net/limits.h"
#include "core/store/limits.h"
#include "drivers/posix/posix_times.h"

namespace sereus::bench {
namespace {

constexpr char kProtocol[] = "/sereus-bench/1.0.0";
constexpr size_t kChunk = 64 * 1024;  // what a node reads and writes at once
constexpr size_t kHandshakesAtOnce = 8;
constexpr uint64_t kHandshakes = 1'000;
constexpr uint64_t kWarmUpShare = 250'000;  // bytes of --bytes for one handshake, so that a warm-up is short
constexpr uint64_t kAhead = 20'000;         // puts submitted and not answered
constexpr uint64_t kEntriesOfTarget = 100'000;
constexpr size_t kLogBytes = 230;  // of one put's entry in the log, with its frame

// A host on its own sockets, and what happens to it. The thread that calls turn() is the host's.
class Side {
 public:
  Side() : loop_(must(posix::PosixLoop::make())), hosts_(*loop_, random_, nullptr) {
    crypto::SecretBytes<32> seed;
    random_.fill(ByteSpan(seed.data(), crypto::kSeedSize));
    parts_ = must(hosts_.make_host(seed));
    host_ = parts_.host.get();
    host_->set_protocols({kProtocol});
    must(host_->listen("/ip4/127.0.0.1/udp/0/quic-v1"));
    address_ = host_->listen_addresses().at(0);
    peer_ = host_->peer_id();
  }
  virtual ~Side() = default;

  net::Host& host() { return *host_; }
  // Where others reach it; any thread.
  const std::string& address() const { return address_; }
  const net::PeerId& peer() const { return peer_; }
  void wake() { loop_->wake(); }
  // Waits for something to do, and does it.
  void turn() {
    loop_->wait(deadline_);
    const Times now = posix::now();
    host_->step(now);
    while (auto event = host_->next_event()) on_event(*event);
    deadline_ = host_->step(now);
  }

 protected:
  virtual void on_event(const net::HostEvent& event) = 0;

 private:
  posix::PosixRandom random_;
  std::unique_ptr<posix::PosixLoop> loop_;
  posix::PosixHosts hosts_;
  net::SwarmParts parts_;
  net::Host* host_ = nullptr;
  std::string address_;
  net::PeerId peer_;
  uint64_t deadline_ = 0;
};

// Reads whatever comes, on a thread of its own.
class Server final : public Side {
 public:
  explicit Server(Side* told) : told_(told) {
    thread_ = must(posix::PosixThread::start("bench-server", [this] {
      while (!stopped_) turn();
    }));
  }
  ~Server() override {
    stopped_ = true;
    wake();
    thread_.reset();
  }
  bool stream_ended() const { return ended_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void on_event(const net::HostEvent& event) override {
    const auto* readable = std::get_if<net::StreamReadable>(&event);
    if (readable == nullptr) return;
    while (true) {
      const auto read = must(host().read(readable->stream, chunk_));
      bytes_ += read.size;
      if (read.finished) {
        ended_ = true;
        told_->wake();
      }
      if (read.finished || read.size < chunk_.size()) return;
    }
  }

  Side* const told_;  // when the stream has ended
  Bytes chunk_ = Bytes(kChunk);
  std::atomic<bool> stopped_{false};
  std::atomic<bool> ended_{false};
  std::atomic<uint64_t> bytes_{0};
  std::unique_ptr<posix::PosixThread> thread_;
};

// Sends `bytes` over one stream.
class Sender final : public Side {
 public:
  explicit Sender(uint64_t bytes) : left_(bytes) {}
  double began() const { return began_; }

 private:
  void on_event(const net::HostEvent& event) override {
    if (const auto* connected = std::get_if<net::Connected>(&event)) {
      stream_ = must(host().open_stream(connected->connection, kProtocol));
    } else if (std::holds_alternative<net::StreamOpened>(event)) {
      began_ = now_s();
      write();
    } else if (std::holds_alternative<net::StreamWritable>(event)) {
      write();
    } else if (const auto* failed = std::get_if<net::DialFailed>(&event)) {
      die(failed->error);
    } else if (const auto* closed = std::get_if<net::StreamClosed>(&event)) {
      die(closed->reason);
    }
  }
  void write() {
    while (left_ > 0) {
      const size_t size = std::min<uint64_t>(chunk_.size(), left_);
      const size_t written = must(host().write(stream_, ByteView(chunk_).first(size)));
      left_ -= written;
      if (written < size) return;
    }
    host().finish(stream_);
  }

  uint64_t left_;
  const Bytes chunk_ = Bytes(kChunk, 7);
  net::StreamId stream_ = 0;
  double began_ = 0;
};

// Connects, disconnects, and connects again.
class Dialer final : public Side {
 public:
  explicit Dialer(const Side& other) : other_(other) {}
  void dial() { must(host().dial(other_.address(), other_.peer())); }
  uint64_t connected() const { return connected_; }

 private:
  void on_event(const net::HostEvent& event) override {
    if (const auto* connected = std::get_if<net::Connected>(&event)) {
      ++connected_;
      host().disconnect(connected->connection, Code::ok);
      dial();
    } else if (const auto* failed = std::get_if<net::DialFailed>(&event)) {
      die(failed->error);
    }
  }

  const Side& other_;
  uint64_t connected_ = 0;
};

void stream(const Options& options, Report& report) {
  constexpr double kMiB = 1048576;
  Sender sender(options.bytes);
  Server server(&sender);
  must(sender.host().dial(server.address(), server.peer()));
  while (!server.stream_ended()) sender.turn();
  const double rate = static_cast<double>(server.bytes()) / kMiB / (now_s() - sender.began());

  const auto udp = [&](UdpCalls calls) { return raw_udp(net::kQuicSegmentMax, options.bytes, calls) / kMiB; };
  std::vector<Limit> limits;
  limits.push_back({"raw UDP, one datagram a call", udp(UdpCalls::single)});
  limits.push_back({"raw UDP, 16 datagrams a call", udp(UdpCalls::many)});
  if (const double segmented = udp(UdpCalls::segmented); segmented > 0) {
    limits.push_back({"raw UDP, segmented by the kernel", segmented});
  }
  limits.push_back({"raw AES-128-GCM of such packets, one core", raw_aead(net::kQuicSegmentMax, options.bytes) / kMiB});
  report.add({"one stream", rate, "MiB/s", limits});
}

void handshakes(const Options& options, Report& report) {
  const uint64_t wanted = std::min(kHandshakes, std::max<uint64_t>(options.bytes / kWarmUpShare, 10));
  Sender nobody(0);
  Server server(&nobody);
  Dialer dialer(server);
  const double from = now_s();
  for (size_t i = 0; i < kHandshakesAtOnce; ++i) dialer.dial();
  while (dialer.connected() < wanted) dialer.turn();
  const double rate = static_cast<double>(dialer.connected()) / (now_s() - from);
  report.add({"handshakes, both sides proved, 8 under way",
              rate,
              "/s",
              {{"their raw signatures and key exchanges, two cores", 2 * raw_handshakes(wanted)}}});
}

// ---- Catch-up -------------------------------------------------------------------------------------------------------

node::Request request(node::RequestKind kind) {
  node::Request request;
  request.kind = kind;
  return request;
}

// One entry each. Returns the seconds until all were answered.
double write_entries(BenchNode& node, uint64_t store, uint64_t entries) {
  const double from = now_s();
  uint64_t first = 0;
  for (uint64_t i = 0; i < entries; ++i) {
    node::Request put = request(node::RequestKind::store_write);
    put.store = store;
    put.writes.push_back(make_put(i));
    const uint64_t operation = node.submit(std::move(put));
    if (i == 0) first = operation;
    if (i % 1000 == 0 && i > kAhead) node.await_answers(first - 1 + i - kAhead);
  }
  node.await_answers(first - 1 + entries);
  return now_s() - from;
}

// So many entries stored without Sereus, in groups; signed as well when we wrote them ourselves.
struct RawStore {
  RawStore(const std::string& folder, const std::string& name, uint64_t entries, bool is_signed, uint64_t group)
      : files(must(posix::PosixFiles::open(folder, false))), vfs(*files, random), work(*files, vfs, name) {
    for (uint64_t i = 0; i < entries; i += group) {
      const uint64_t count = std::min(group, entries - i);
      if (is_signed) work.sign(count);
      work.insert(count);
      work.append(count * kLogBytes);
    }
  }
  posix::PosixRandom random;
  std::unique_ptr<posix::PosixFiles> files;
  storage::Vfs vfs;
  RawWork work;
};

void catch_up_once(const Options& options, BenchNode& alice, const node::StoreRow& whole, bool chain, Report& report) {
  const std::string invite = to_string(ByteView(alice.ask(request(node::RequestKind::invite_create)).data));
  BenchNode bob(options.folder + (chain ? "/bob-chain" : "/bob-every"), !chain);
  const double from = now_s();
  node::Request join = request(node::RequestKind::join);
  join.x = to_bytes(invite);
  bob.ask(std::move(join));
  bob.await_replica(whole);
  const double seconds = now_s() - from;

  const auto entries = static_cast<double>(whole.stats.entries);
  const RawStore raw(options.folder, chain ? "raw-chain" : "raw-every", whole.stats.entries, false,
                     store::kRangeBytesMax / kLogBytes);
  const bool of_target = options.entries == kEntriesOfTarget;
  const std::string name = std::string("catch-up, ") + (chain ? "chain" : "every signature");
  report.add({name, seconds, "s", {}, of_target && chain ? 3.0 : 0.0, Better::less});
  report.add({name + ", entries",
              entries / seconds,
              "/s",
              {{"raw SQLite rows and fdatasync, one after another", entries / raw.work.seconds()}}});
}

void catch_up(const Options& options, Report& report) {
  BenchNode alice(options.folder + "/alice", false);
  node::Request create = request(node::RequestKind::store_create);
  create.x = to_bytes("entries");
  const uint64_t store = alice.ask(std::move(create)).store;
  const double seconds = write_entries(alice, store, options.entries);
  const RawStore raw(options.folder, "raw-puts", options.entries, true, store::kCommitEntriesMax);
  const auto entries = static_cast<double>(options.entries);
  report.add({"signed puts through a node, submitted ahead",
              entries / seconds,
              "/s",
              {{"raw signatures, rows and fdatasync, one after another", entries / raw.work.seconds()},
               {"raw libsodium signatures alone", raw.work.signs().per_second()}},
              40'000});
  const node::StoreRow whole = alice.store("entries");
  for (const bool chain : {true, false}) catch_up_once(options, alice, whole, chain, report);
}

void run(const Options& options, Report& report) {
  if (options.wanted("stream")) stream(options, report);
  if (options.wanted("handshakes")) handshakes(options, report);
  if (options.wanted("catch-up")) catch_up(options, report);
}

const Registration kQuic("quic", run);

}  // namespace
}  // namespace sereus::bench
