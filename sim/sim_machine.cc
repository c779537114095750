#include "sim/sim_machine.h"

#include <utility>

#include <algorithm>

#include "core/crypto/sign.h"

namespace sereus::sim {
namespace {

constexpr uint64_t kMonoFirstUs = 1'000'000;
constexpr uint64_t kMonoLastUs = 3'000'000'000'000;  // five weeks after the system's own beginning
constexpr uint64_t kSecondUs = 1'000'000;

}  // namespace

// ---- Jobs -------------------------------------------------------------------------------------------------------------

void SimJobs::submit(JobQueue queue, std::function<void()> work, std::function<void()> done) {
  const uint64_t id = ++last_job_;
  jobs_[id] = Job{std::move(work), std::move(done)};
  const size_t of = queue == JobQueue::writer ? 0 : 1;
  uint64_t& free_us = free_us_[of];
  free_us = std::max(free_us, scheduler_.now_us() + held_us_[of]) + random_.below(delay_max_us_ + 1);
  scheduler_.at(free_us, [this, id, of] { begin(id, of); });
}

void SimJobs::begin(uint64_t id, size_t of) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  if (halted_) return waiting_.push_back([this, id, of] { begin(id, of); });
  const auto run = std::exchange(job->second.work, nullptr);
  run();
  const uint64_t disk_us = take_disk_us_ ? take_disk_us_() : 0;
  free_us_[of] = std::max(free_us_[of], scheduler_.now_us() + disk_us);
  scheduler_.after(disk_us + random_.below(delay_max_us_ + 1), [this, id] { end(id); });
  look_();
}

void SimJobs::end(uint64_t id) {
  const auto finished = jobs_.find(id);
  if (finished == jobs_.end()) return;
  if (halted_) return waiting_.push_back([this, id] { end(id); });
  const auto tell = std::move(finished->second.done);
  jobs_.erase(finished);
  tell();
  wake_();
}

void SimJobs::go_on() {
  halted_ = false;
  for (const auto& due : std::exchange(waiting_, {})) due();
}

void SimJobs::forget_all() {
  // Work holds references into the process; taken out first, since destroying it may submit nothing more.
  const auto gone = std::exchange(jobs_, {});
  waiting_.clear();
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
      jobs_(
          scheduler, random_.fork("jobs"), [this] { wake(); },
          [this] {
            if (!disk_.powered()) wake();
          }),
      clock_random_(random_.fork("clock")) {
  jobs_.set_disk_time([this] { return disk_.take_us(); });
  log_.on_line = [this](std::string_view line) {
    if (on_log) on_log(line);
  };
}

SimMachine::~SimMachine() {
  ++life_;
  jobs_.forget_all();
  node_.reset();
}

Times SimMachine::times() const {
  Times now = clock_.at(scheduler_.now_us());
  now.wall_us += wall_offset_us;
  wall_max_us_ = std::max(wall_max_us_, now.wall_us);
  return now;
}

Status SimMachine::start() {
  SEREUS_ASSERT(!node_);
  if (!disk_.powered() || !std::exchange(booted_, true)) {
    disk_.power_on();
    clock_.boot(scheduler_.now_us(), clock_random_.between(kMonoFirstUs, kMonoLastUs));
  }
  clock_.set_drift(scheduler_.now_us(), drift_ppm);
  networks_.topology.set_powered(index_, true);
  node::NodePorts ports;
  ports.files = &disk_;
  ports.random = &random_;
  ports.jobs = &jobs_;
  ports.hosts = this;
  ports.events = this;
  ports.logger = &log_;
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
  if (chronicle_ != nullptr) chronicle_->add({Chronicle::Kind::up, scheduler_.now_us(), 0, index_, SIZE_MAX, 0, {}});
  wake();
  return {};
}

void SimMachine::lose_power() {
  if (!node_) return;
  if (disk_.powered()) disk_.crash();
  networks_.topology.set_powered(index_, false);  // first: what dies says nothing
  end_process("power cut");
  note(0xdead);
}

void SimMachine::kill() {
  if (!node_) return;
  // A process of a machine that sleeps dies when it wakes up.
  wake_up();
  disk_.kill();
  end_process("killed");
  note(0x6b11);
}

void SimMachine::end_process(std::string_view why) {
  ++life_;
  wake_at_ = UINT64_MAX;
  jobs_.forget_all();
  node_.reset();
  open_ops_.clear();
  wake_up();
  frozen_until_us_ = 0;
  jobs_.go_on();
  networks_.topology.go_on(index_);
  if (chronicle_ != nullptr) {
    chronicle_->add({Chronicle::Kind::down, scheduler_.now_us(), 0, index_, SIZE_MAX, 0, std::string(why)});
  }
}

void SimMachine::stop() {
  if (!node_) return;
  stopping_ = true;
  run_or_wait([this] {
    node_->close(times());
    wake();
  });
}

// ---- Standing still -----------------------------------------------------------------------------------------------------

void SimMachine::freeze(uint64_t for_us) {
  if (!node_) return;
  frozen_until_us_ = std::max(frozen_until_us_, scheduler_.now_us() + for_us);
  networks_.topology.halt(index_);
  jobs_.halt();
  scheduler_.at(frozen_until_us_, [this] { go_on_if_due(); });
}

void SimMachine::sleep(uint64_t for_us) {
  if (!node_) return;
  if (asleep_until_us_ == 0) clock_.sleep(scheduler_.now_us());
  asleep_until_us_ = std::max(asleep_until_us_, scheduler_.now_us() + for_us);
  networks_.topology.set_asleep(index_, true);
  networks_.topology.halt(index_);
  jobs_.halt();
  scheduler_.at(asleep_until_us_, [this] { go_on_if_due(); });
}

void SimMachine::wake_up() {
  if (asleep_until_us_ == 0) return;
  asleep_until_us_ = 0;
  clock_.wake_up(scheduler_.now_us());
  networks_.topology.set_asleep(index_, false);
}

void SimMachine::go_on() {
  if (!halted()) return;
  frozen_until_us_ = std::min(frozen_until_us_, scheduler_.now_us());
  if (asleep_until_us_ != 0) asleep_until_us_ = std::min(asleep_until_us_, scheduler_.now_us());
  go_on_if_due();
}

void SimMachine::go_on_if_due() {
  if (asleep_until_us_ != 0 && scheduler_.now_us() >= asleep_until_us_) {
    wake_up();
    network_changed_ = true;
  }
  if (!halted() || asleep_until_us_ != 0 || scheduler_.now_us() < frozen_until_us_) return;
  networks_.topology.go_on(index_);
  jobs_.go_on();
  wake();
}

// The application's calls come from the process that stands still.
void SimMachine::run_or_wait(const std::function<void()>& what) {
  if (!halted()) return what();
  networks_.topology.wait(index_, [this, life = life_, what] {
    if (life == life_) what();
  });
}

// ---- What its application and its system do -----------------------------------------------------------------------------

void SimMachine::change_network() {
  network_changed_ = true;
  wake();
}

uint64_t SimMachine::submit(node::Request request) {
  SEREUS_ASSERT(node_);
  request.op = ++last_op_;
  const uint64_t op = request.op;
  open_ops_[op] = true;
  if (halted()) {
    run_or_wait([this, request] {
      node_->submit(request, times());
      wake();
    });
    return op;
  }
  node_->submit(std::move(request), times());
  wake();
  return op;
}

bool SimMachine::cancel(uint64_t op) {
  if (!node_) return false;
  if (halted()) {
    run_or_wait([this, op] {
      (void)node_->cancel(0, op, times());
      wake();
    });
    return !done_.contains(op);
  }
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
    // All are kept, and what was read has more room than it needs. shrink_to_fit() does nothing without exceptions.
    event.data = Bytes(event.data.begin(), event.data.end());
    done_[event.op] = std::move(event);
    return;
  }
  if (room(0) > 0) {
    events_.push_back(std::move(event));
  } else if (event.kind == node::EventKind::store_change || event.kind == node::EventKind::watch_reset ||
             event.kind == node::EventKind::stream) {
    ++queue_violations_;
  }
}

Result<net::SwarmParts> SimMachine::make_host(const SecretBytes<32>& device_seed,
                                              const node::HostSettings& /*settings*/) {
  const KeyPair device = KeyPair::from_seed(device_seed);
  if (on_device_seed) on_device_seed(device_seed.view());
  net::SwarmParts parts;
  if (transport == Transport::stream) {
    parts.host =
        networks_.stream.make_host(index_, net::PeerId::from_device_key(device.device_key()), [this] { wake(); });
    return parts;
  }
  SEREUS_TRY(networks_.make_host({index_, &random_, &log_, [this] { return times(); }, [this] { wake(); },
                                  [this] { return std::exchange(network_changed_, false); }},
                                 device, parts));
  return parts;
}

void SimMachine::wake() {
  if (wake_at_ <= scheduler_.now_us()) return;
  wake_at_ = scheduler_.now_us();
  scheduler_.after(0, [this, life = life_] {
    if (life == life_) step();
  });
}

void SimMachine::count_step() {
  ++steps_;
  if (const uint64_t second = scheduler_.now_us() / kSecondUs; second != second_) {
    second_ = second;
    steps_of_second_ = 0;
  }
  busiest_second_ = std::max(busiest_second_, ++steps_of_second_);
}

void SimMachine::step() {
  wake_at_ = UINT64_MAX;
  if (!node_ || halted()) return;  // going on wakes it
  if (!disk_.powered()) return lose_power();
  count_step();
  const Times now = times();
  const uint64_t next = node_->step(now);
  if (!disk_.powered()) return lose_power();
  if (node_->closed()) {
    // Closing owed every operation its DONE.
    done_violations_ += open_ops_.size();
    return end_process("stopped");
  }
  if (next == kNever) return;
  // Never before the node's own clock is there, and never without it having gone on.
  const uint64_t due = std::max(clock_.true_time_of(std::max(next, now.mono_us + 1)), scheduler_.now_us() + 1);
  if (due >= wake_at_) return;
  wake_at_ = due;
  scheduler_.at(wake_at_, [this, life = life_, at = wake_at_] {
    if (life == life_ && wake_at_ == at) step();
  });
}

}  // namespace sereus::sim
