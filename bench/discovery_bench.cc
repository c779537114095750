// `sereus-bench discovery`: lookups by peer id in simulated networks of the Kad-DHT (sim/kad_world.h), whose nodes come and go. The time
// in it is simulated; the figures are the same on every machine. Parts, for --only: "1k nodes", "10k nodes", "1000 nodes, 20%
// hostile", "10k hostile", "small networks". docs/discovery.md says what the model is.
#include <malloc.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "bench/bench.h"
#include "bench/support.h"
#include "sim/kad_world.h"

namespace sereus::bench {
namespace {

using discovery::KadDone;
using discovery::KadEvent;
using sim::KadWorld;
using Index = KadWorld::Index;

constexpr uint64_t kSecondUs = kMicrosPerSecond;
constexpr uint64_t kMinuteUs = 60 * kMicrosPerSecond;

struct Crowd {
  size_t nodes = 0;
  uint64_t session_us = 10 * kMinuteUs;  // on average; exponential
  uint32_t hostile_percent = 0;
  uint64_t warm_us = 10 * kMinuteUs;
  uint64_t measured_us = 10 * kMinuteUs;
  uint64_t lookup_every_us = 2 * kMinuteUs;  // each node
  size_t anchors = 8;                        // bootstrap nodes, which stay
  uint64_t seed = 1;
  bool identify_records = true;
  discovery::KadSettings settings;
};

struct Outcome {
  size_t lookups = 0;
  size_t found = 0;
  std::vector<double> seconds;
  std::vector<double> hops;
  std::vector<double> requests;
  double messages = 0;  // per node and minute
  double dials = 0;     // likewise
  double processor_s = 0;
  double node_bytes = 0;
};

class Run {
 public:
  explicit Run(const Crowd& crowd) : crowd_(crowd), world_(world_settings(crowd)) {
    world_.on_event = [this](KadWorld::Node& node, const KadEvent& event) { on_event(node, event); };
  }

  Outcome run() {
    const double begun = now_s();
    const size_t before = mallinfo2().uordblks;
    if (crowd_.hostile_percent > 0) world_.invent(50'000);
    for (size_t i = 0; i < crowd_.anchors; ++i) join(false);
    // They come over two minutes, not all at once.
    for (size_t i = crowd_.anchors; i < crowd_.nodes; ++i) {
      world_.at(world_.now_us + 2 * kMinuteUs * i / crowd_.nodes, [this] { join(true); });
    }
    world_.run(crowd_.warm_us);
    outcome_.node_bytes = static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(crowd_.nodes);
    const uint64_t messages = world_.messages;
    const uint64_t dials = world_.dials;
    measuring_ = true;
    world_.run(crowd_.measured_us);
    measuring_ = false;
    const double node_minutes = static_cast<double>(crowd_.nodes) * static_cast<double>(crowd_.measured_us) / kMinuteUs;
    outcome_.messages = static_cast<double>(world_.messages - messages) / node_minutes;
    outcome_.dials = static_cast<double>(world_.dials - dials) / node_minutes;
    // What began before the end has a minute to be answered.
    world_.run(kMinuteUs);
    outcome_.processor_s = now_s() - begun;
    return std::move(outcome_);
  }

 private:
  struct Asked {
    Index target = 0;
    uint64_t at_us = 0;
  };

  static sim::KadWorldSettings world_settings(const Crowd& crowd) {
    sim::KadWorldSettings settings;
    settings.seed = crowd.seed;
    settings.node = crowd.settings;
    settings.identify_records = crowd.identify_records;
    return settings;
  }

  uint64_t exponential(uint64_t mean_us) {
    const double u = (static_cast<double>(world_.random().below(1 << 30)) + 1) / static_cast<double>(1 << 30);
    return static_cast<uint64_t>(-std::log(u) * static_cast<double>(mean_us)) + 1;
  }

  void join(bool mortal) {
    std::vector<Index> bootstrap;
    for (size_t i = 0; i < 3 && !anchors_.empty(); ++i) {
      bootstrap.push_back(anchors_[world_.random().below(anchors_.size())]);
    }
    const bool hostile = mortal && world_.random().chance(crowd_.hostile_percent);
    KadWorld::Node& node = world_.add(bootstrap, hostile ? KadWorld::Kind::colluding : KadWorld::Kind::honest);
    const Index index = node.index;
    if (!mortal) anchors_.push_back(index);
    if (hostile) return;  // who attacks stays
    place_[index] = live_.size();
    live_.push_back(index);
    world_.at(world_.now_us + exponential(crowd_.lookup_every_us), [this, index] { look_up(index); });
    if (!mortal) return;
    world_.at(world_.now_us + exponential(crowd_.session_us), [this, index] {
      leave(index);
      join(true);
    });
  }

  void leave(Index index) {
    world_.kill(*world_.nodes[index]);
    live_[place_[index]] = live_.back();
    place_[live_.back()] = place_[index];
    live_.pop_back();
    place_.erase(index);
  }

  void look_up(Index index) {
    KadWorld::Node& node = *world_.nodes[index];
    if (!node.alive) return;
    world_.at(world_.now_us + exponential(crowd_.lookup_every_us), [this, index] { look_up(index); });
    const Index target = live_[world_.random().below(live_.size())];
    // Who has just come is not published yet, and who has just come himself is still at it.
    const uint64_t settled_us = world_.now_us - std::min(world_.now_us, 30 * kSecondUs);
    if (target == index || world_.nodes[target]->born_us > settled_us || node.born_us > settled_us) return;
    const auto op = node.kad->find_peer(world_.nodes[target]->peer, true, world_.now());
    if (op.ok() && measuring_) asked_[{index, *op}] = {target, world_.now_us};
    world_.drain(node);
  }

  void on_event(KadWorld::Node& node, const KadEvent& event) {
    const auto* done = std::get_if<KadDone>(&event);
    if (done == nullptr) return;
    const auto at = asked_.find({node.index, done->op});
    if (at == asked_.end()) return;
    const KadWorld::Node& target = *world_.nodes[at->second.target];
    const double seconds = static_cast<double>(world_.now_us - at->second.at_us) / kSecondUs;
    asked_.erase(at);
    if (!target.alive) return;  // it left meanwhile
    ++outcome_.lookups;
    // What was found counts when the target is there: a wrong address first would cost its finder a dial.
    const bool right = done->error.code == Code::ok && !done->peers.empty() && !done->peers[0].addresses.empty() &&
                       equal(done->peers[0].addresses[0], target.address);
    if (!right) return;
    ++outcome_.found;
    outcome_.seconds.push_back(seconds);
    outcome_.hops.push_back(done->stats.hops);
    outcome_.requests.push_back(static_cast<double>(done->stats.requests));
  }

  const Crowd crowd_;
  KadWorld world_;
  Outcome outcome_;
  bool measuring_ = false;
  std::vector<Index> anchors_;
  std::vector<Index> live_;
  std::map<Index, size_t> place_;
  std::map<std::pair<Index, uint64_t>, Asked> asked_;
};

double average(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

struct Targets {
  double found = 0;
  double p99_s = 0;
  double messages = 0;
};

void measure(const Options& options, Report& report, const std::string& name, Crowd crowd, const Targets& targets) {
  if (!options.wanted(name) || options.warm_up) return;
  static uint64_t runs = 0;
  crowd.seed = ++runs;
  const Outcome outcome = Run(crowd).run();
  const double share =
      100.0 * static_cast<double>(outcome.found) / static_cast<double>(std::max<size_t>(outcome.lookups, 1));
  report.add({name + " found", share, "%", {}, targets.found});
  report.add({name + " time p50", percentile(outcome.seconds, 0.5), "s"});
  report.add({name + " time p99", percentile(outcome.seconds, 0.99), "s", {}, targets.p99_s, Better::less});
  report.add({name + " hops", average(outcome.hops), ""});
  report.add({name + " requests a lookup", average(outcome.requests), ""});
  report.add({name + " messages", outcome.messages, "/node/min", {}, targets.messages, Better::less});
  report.add({name + " dials", outcome.dials, "/node/min"});
  report.add({name + " lookups", static_cast<double>(outcome.lookups), ""});
  report.add({name + " memory", outcome.node_bytes / 1024, "KiB/node"});
  report.add({name + " run", outcome.processor_s, "s"});
}

void run(const Options& options, Report& report) {
  // The targets of issue 5.
  Crowd crowd;
  crowd.nodes = 200;
  measure(options, report, "mini", crowd, {99.95, 0.8, 25});
  crowd.nodes = 1'000;
  measure(options, report, "1k nodes", crowd, {99.95, 0.8, 25});
  crowd.hostile_percent = 20;
  measure(options, report, "1k hostile", crowd, {99, 0, 0});
  crowd.nodes = 10'000;
  crowd.warm_us = 6 * kMinuteUs;
  crowd.measured_us = 5 * kMinuteUs;
  measure(options, report, "10k hostile", crowd, {99, 0, 0});
  crowd.hostile_percent = 0;
  crowd.identify_records = false;  // a third of the run's time, and the worse case
  measure(options, report, "10k nodes", crowd, {99.9, 1.5, 25});
  for (const size_t nodes : {2, 3, 5, 10, 20, 30, 50}) {
    Crowd small;
    small.nodes = nodes;
    small.anchors = 1;
    small.lookup_every_us = 10 * kSecondUs;
    small.measured_us = 60 * kMinuteUs;
    measure(options, report, "small network of " + std::to_string(nodes), small, {});
  }
}

const Registration kDiscovery("discovery", run);

}  // namespace
}  // namespace sereus::bench
