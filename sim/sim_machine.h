// A simulated machine: a disk, clocks that are wrong in drawn ways, jobs that take drawn times, and the node's process
// on it, which starts, stops and loses power.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/node/node.h"
#include "sim/networks.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "sim/sim_random.h"

namespace sereus::sim {

// Jobs at drawn times; in order within a queue, in any order between them.
class SimJobs : public Jobs {
 public:
  static constexpr uint64_t kDelayMaxUs = 3'000;

  SimJobs(Scheduler& scheduler, SimRandom random, std::function<void()> wake)
      : scheduler_(scheduler), random_(std::move(random)), wake_(std::move(wake)) {}
  void submit(JobQueue queue, std::function<void()> work, std::function<void()> done) override;
  // The process is gone: nothing that waits will run.
  void forget_all();
  void set_delay_max_us(uint64_t delay_us) { delay_max_us_ = delay_us; }
  // Jobs that are submitted to `queue` from now on begin this much later.
  void hold_back(JobQueue queue, uint64_t delay_us) { held_us_[queue == JobQueue::writer ? 0 : 1] = delay_us; }

 private:
  Scheduler& scheduler_;
  SimRandom random_;
  std::function<void()> wake_;
  uint64_t delay_max_us_ = kDelayMaxUs;
  uint64_t free_us_[2] = {0, 0};
  uint64_t held_us_[2] = {0, 0};
  // Jobs live here, not in the scheduler, so that they can be dropped with the process.
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::map<uint64_t, Job> jobs_;
  uint64_t last_job_ = 0;
};

class SimMachine : private node::EventSink, private node::HostFactory {
 public:
  SimMachine(size_t index, Scheduler& scheduler, Networks& networks, SimRandom random);
  ~SimMachine() override;

  // ---- Power ------------------------------------------------------------------------------------------------------
  Status start();
  void lose_power();  // the disk's crash model decides what is left
  void stop();        // closes in order; runs on until closed() through the scheduler
  // Its operating system says that its network is another.
  void change_network();
  bool running() const { return node_ != nullptr && !stopping_; }
  bool stopped() const { return node_ == nullptr; }

  // ---- Operations ---------------------------------------------------------------------------------------------------
  // Gives the operation's number; its DONE is kept in done().
  uint64_t submit(node::Request request);
  const node::Event* done(uint64_t op) const;
  // False when it is over.
  bool cancel(uint64_t op);
  Result<node::Rows> query(const node::Query& query);
  // All but DONE, in order; the queue is empty afterwards, and the node hears of it.
  std::vector<node::Event> take_events();
  // More than one DONE for an operation, or one for an operation nobody asked for.
  uint64_t done_violations() const { return done_violations_; }

  size_t index() const { return index_; }
  SimDisk& disk() { return disk_; }
  SimJobs& jobs() { return jobs_; }
  int64_t wall_offset_us = 0;  // skew of the wall clock
  int32_t drift_ppm = 0;
  size_t queue_room = 4096;  // how many events the application's queue takes; drained by the story
  // Of the next start.
  Transport transport = Transport::stream;
  bool listen_v4 = true;
  bool listen_v6 = false;
  // A sum over everything that happened here, in order: equal for equal runs.
  uint64_t trace() const { return trace_; }
  Times times() const;

 private:
  size_t room(uint32_t origin) override;
  void emit(node::Event event) override;
  Result<net::SwarmParts> make_host(const SecretBytes<32>& device_seed, const node::HostSettings& settings) override;
  void wake();
  void step();
  void note(uint64_t value) { trace_ = (trace_ ^ value) * 0x100000001b3u; }

  size_t index_;
  Scheduler& scheduler_;
  Networks& networks_;
  SimRandom random_;
  SimRandom disk_random_;
  SimDisk disk_;
  SimJobs jobs_;
  std::unique_ptr<node::Node> node_;
  uint64_t life_ = 0;  // counts processes; wake-ups of an earlier one are void
  uint64_t wake_at_ = UINT64_MAX;
  bool stopping_ = false;
  bool network_changed_ = false;  // and its hosts have not asked yet
  uint64_t last_op_ = 0;
  std::map<uint64_t, node::Event> done_;
  std::map<uint64_t, bool> open_ops_;
  std::vector<node::Event> events_;
  uint64_t done_violations_ = 0;
  uint64_t trace_ = 0xcbf29ce484222325u;
};

}  // namespace sereus::sim
