#include "sim/sim_machine.h"

#include <utility>

#include <algorithm>

#include "core/crypto/sign.h"

namespace sereus::sim {
namespace {

constexpr int64_t kStartWallUs = int64_t{1'800'000'000} * 1'000'000;  // 2027-01-15

}  // namespace

// ---- Jobs -------------------------------------------------------------------------------------------------------------

void SimJobs::submit(JobQueue queue, std::function<void()> work, std::function<void()> done) {
  const uint64_t id = ++last_job_;
  jobs_[id] = Job{std::move(work), std::move(done)};
  const size_t of = queue == JobQueue::writer ? 0 : 1;
  uint64_t& free_us = free_us_[of];
  free_us = std::max(free_us, scheduler_.now_us() + held_us_[of]) + random_.below(delay_max_us_ + 1);
  scheduler_.at(free_us, [this, id] {
    const auto job = jobs_.find(id);
    if (job == jobs_.end()) return;
    const auto run = std::exchange(job->second.work, nullptr);
    run();
    scheduler_.after(random_.below(delay_max_us_ + 1), [this, id] {
      const auto finished = jobs_.find(id);
      if (finished == jobs_.end()) return;
      const auto tell = std::move(finished->second.done);
      jobs_.erase(finished);
      tell();
      wake_();
    });
    wake_();  // the machine looks whether the disk lost power in it
  });
}

void SimJobs::forget_all() {
  // Work holds references into the process; taken out first, since destroying it may submit nothing more.
  const auto gone = std::exchange(jobs_, {});
  free_us_[0] = free_us_[1] = 0;
}

// ---- The machine --------------------------------------------------------------------------------------------------------

SimMachine::SimMachine(size_t index, Scheduler& scheduler, Networks& networks, SimRandom random)
    : index_(index),
      scheduler_(scheduler),
      networks_(networks),
      random_(std::move(random)),
      disk_random_(random_.fork("disk")),
      disk_(disk_random_),
      jobs_(scheduler, random_.fork("jobs"), [this] { wake(); }) {}

SimMachine::~SimMachine() {
  ++life_;
  jobs_.forget_all();
  node_.reset();
}

Times SimMachine::times() const {
  const auto true_us = static_cast<int64_t>(scheduler_.now_us());
  return Times{scheduler_.now_us(), kStartWallUs + true_us + wall_offset_us + true_us / 1'000'000 * drift_ppm};
}

Status SimMachine::start() {
  SEREUS_ASSERT(!node_);
  if (!disk_.powered()) disk_.power_on();
  networks_.topology.set_powered(index_, true);
  node::NodePorts ports;
  ports.files = &disk_;
  ports.random = &random_;
  ports.jobs = &jobs_;
  ports.hosts = this;
  ports.events = this;
  node::NodeConfig config;
  config.listen = Networks::listen_addresses(transport, listen_v4, listen_v6);
  config.kdf_interactive = true;
  auto opened = node::Node::open(ports, std::move(config), times());
  if (!opened.ok()) {
    jobs_.forget_all();
    return opened.error();
  }
  node_ = std::move(*opened);
  stopping_ = false;
  wake();
  return {};
}

void SimMachine::lose_power() {
  if (!node_) return;
  if (disk_.powered()) disk_.crash();
  networks_.topology.set_powered(index_, false);  // first: what dies says nothing
  ++life_;
  wake_at_ = UINT64_MAX;
  jobs_.forget_all();
  node_.reset();
  open_ops_.clear();
  note(0xdead);
}

void SimMachine::stop() {
  if (!node_) return;
  stopping_ = true;
  node_->close(times());
  wake();
}

void SimMachine::change_network() {
  network_changed_ = true;
  wake();
}

uint64_t SimMachine::submit(node::Request request) {
  SEREUS_ASSERT(node_);
  request.op = ++last_op_;
  const uint64_t op = request.op;
  open_ops_[op] = true;
  node_->submit(std::move(request), times());
  wake();
  return op;
}

bool SimMachine::cancel(uint64_t op) {
  if (!node_) return false;
  const bool cancelled = node_->cancel(0, op, times());
  wake();
  return cancelled;
}

const node::Event* SimMachine::done(uint64_t op) const {
  const auto found = done_.find(op);
  return found == done_.end() ? nullptr : &found->second;
}

Result<node::Rows> SimMachine::query(const node::Query& query) {
  if (!node_) return fail(Code::closed, "the machine is off");
  return node_->view()->query(query);
}

std::vector<node::Event> SimMachine::take_events() {
  if (!events_.empty()) wake();
  return std::exchange(events_, {});
}

size_t SimMachine::room(uint32_t) { return queue_room > events_.size() ? queue_room - events_.size() : 0; }

void SimMachine::emit(node::Event event) {
  note(scheduler_.now_us() * 31 + static_cast<uint64_t>(event.kind) * 7 + event.op + event.sequence +
       static_cast<uint64_t>(-static_cast<int64_t>(event.status)));
  if (event.kind == node::EventKind::done) {
    if (open_ops_.erase(event.op) == 0) ++done_violations_;
    done_[event.op] = std::move(event);
    return;
  }
  if (room(0) > 0) events_.push_back(std::move(event));
}

Result<net::SwarmParts> SimMachine::make_host(const SecretBytes<32>& device_seed,
                                              const node::HostSettings& /*settings*/) {
  const KeyPair device = KeyPair::from_seed(device_seed);
  net::SwarmParts parts;
  if (transport == Transport::stream) {
    parts.host =
        networks_.stream.make_host(index_, net::PeerId::from_device_key(device.device_key()), [this] { wake(); });
    return parts;
  }
  SEREUS_ASSIGN(parts.host, networks_.make_host({index_, &random_, [this] { return times(); }, [this] { wake(); },
                                                 [this] { return std::exchange(network_changed_, false); }},
                                                device));
  return parts;
}

void SimMachine::wake() {
  if (wake_at_ <= scheduler_.now_us()) return;
  wake_at_ = scheduler_.now_us();
  scheduler_.after(0, [this, life = life_] {
    if (life == life_) step();
  });
}

void SimMachine::step() {
  wake_at_ = UINT64_MAX;
  if (!node_) return;
  if (!disk_.powered()) return lose_power();
  const uint64_t next = node_->step(times());
  if (!disk_.powered()) return lose_power();
  if (node_->closed()) {
    ++life_;
    jobs_.forget_all();
    node_.reset();
    // Closing owed every operation its DONE.
    done_violations_ += open_ops_.size();
    open_ops_.clear();
    return;
  }
  if (next == kNever || next >= wake_at_) return;
  wake_at_ = std::max(next, scheduler_.now_us() + 1);
  scheduler_.at(wake_at_, [this, life = life_, at = wake_at_] {
    if (life == life_ && wake_at_ == at) step();
  });
}

}  // namespace sereus::sim
