// `sereus-bench quic`: QUIC over real sockets on the loopback interface, each side on a thread of its own. Parts, for
// --only: stream, handshakes, catch-up.

#include <algorithm>
#include <memory>
#include <string>

#include "bench/bench.h"
#include "bench/bench_node.h"
#include "bench/net_side.h"
#include "bench/raw.h"
#include "bench/raw_net.h"
#include "bench/support.h"
#include "core/net/limits.h"
#include "core/store/limits.h"

namespace sereus::bench {
namespace {

constexpr size_t kHandshakesAtOnce = 8;
constexpr uint64_t kHandshakes = 1'000;
constexpr uint64_t kWarmUpShare = 250'000;  // bytes of --bytes for one handshake, so that a warm-up is short
constexpr uint64_t kAhead = 20'000;         // puts submitted and not answered
constexpr uint64_t kEntriesOfTarget = 100'000;
constexpr size_t kLogBytes = 230;  // of one put's entry in the log, with its frame

void stream(const Options& options, Report& report) {
  constexpr double kMiB = 1048576;
  Client client(side_settings(""));
  const Server server(side_settings(kQuicListen), &client);
  client.connect(server);
  const double rate = static_cast<double>(options.bytes) / kMiB / client.up(server, options.bytes);

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
  Client nobody(side_settings(""));
  const Server server(side_settings(kQuicListen), &nobody);
  Dialer dialer(side_settings(""), server);
  const double from = now_s();
  dialer.run(wanted, kHandshakesAtOnce);
  const double rate = static_cast<double>(wanted) / (now_s() - from);
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
