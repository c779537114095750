// A simulated machine: a disk, clocks that are wrong in drawn ways, jobs that take drawn times, a log, and the node's process
// on it, which starts, stops, dies, stands still and loses power.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/node/node.h"
#include "sim/chronicle.h"
#include "sim/local_clock.h"
#include "sim/networks.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "sim/sim_log.h"
#include "sim/sim_random.h"

namespace sereus::sim {

// Jobs at drawn times; in order within a queue, in any order between them.
class SimJobs : public Jobs {
 public:
  static constexpr uint64_t kDelayMaxUs = 3'000;

  // `wake` is called when a job has ended; `look`, when its work was done: the disk may have lost its power in it.
  SimJobs(Scheduler& scheduler, SimRandom random, std::function<void()> wake, std::function<void()> look)
      : scheduler_(scheduler), random_(std::move(random)), wake_(std::move(wake)), look_(std::move(look)) {}
  void submit(JobQueue queue, std::function<void()> work, std::function<void()> done) override;
  // The process is gone: nothing that waits will run.
  void forget_all();
  // The process stands still: what is due waits until it goes on.
  void halt() { halted_ = true; }
  void go_on();
  void set_delay_max_us(uint64_t delay_us) { delay_max_us_ = delay_us; }
  // Jobs that are submitted to `queue` from now on begin this much later.
  void hold_back(JobQueue queue, uint64_t delay_us) { held_us_[queue == JobQueue::writer ? 0 : 1] = delay_us; }
  // Asked after each job for the time that the disk took in it; the job ends that much later, and so does its queue.
  void set_disk_time(std::function<uint64_t()> take_disk_us) { take_disk_us_ = std::move(take_disk_us); }

 private:
  void begin(uint64_t id, size_t of);
  void end(uint64_t id);

  Scheduler& scheduler_;
  SimRandom random_;
  std::function<void()> wake_;
  std::function<void()> look_;
  std::function<uint64_t()> take_disk_us_;
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
  bool halted_ = false;
  std::vector<std::function<void()>> waiting_;
};

class SimMachine : private node::EventSink, private node::HostFactory {
 public:
  SimMachine(size_t index, Scheduler& scheduler, Networks& networks, SimRandom random);
  ~SimMachine() override;

  // ---- Power ------------------------------------------------------------------------------------------------------
  Status start();
  void lose_power();  // the disk's crash model decides what is left
  void stop();        // closes in order; runs on until closed() through the scheduler
  // The process dies and the system lives: what was written stays, and its peers hear from the system that nobody is there.
  void kill();
  // The process stands still and the system goes on: clocks run, sockets take what their buffers hold. What the application
  // submits meanwhile is done afterwards.
  void freeze(uint64_t for_us);
  // The machine sleeps: it hears nothing and says nothing, and only its wall clock goes on. Its system says so afterwards.
  void sleep(uint64_t for_us);
  void go_on();  // before the time is over
  // Its operating system says that its network is another.
  void change_network();
  bool halted() const { return networks_.topology.halted(index_); }  // frozen or asleep
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
  // Changes, ends of watches and streams that were told when the application's queue had no room: nobody would ever hear of them.
  uint64_t queue_violations() const { return queue_violations_; }

  size_t index() const { return index_; }
  SimDisk& disk() { return disk_; }
  SimJobs& jobs() { return jobs_; }
  int64_t wall_offset_us = 0;  // skew and jumps of the wall clock
  int32_t drift_ppm = 0;       // of both clocks; taken at the next start
  size_t queue_room = 4096;    // how many events the application's queue takes; drained by the story
  // Of the next start.
  Transport transport = Transport::stream;
  bool listen_v4 = true;
  bool listen_v6 = false;
  // A sum over everything that happened here, in order: equal for equal runs.
  uint64_t trace() const { return trace_; }
  Times times() const;
  // The latest that its wall clock ever said to somebody who asked.
  int64_t wall_max_us() const { return wall_max_us_; }
  // How often the node was stepped, and the most of it in one second of virtual time: one that never rests shows.
  uint64_t steps() const { return steps_; }
  uint64_t busiest_second() const { return busiest_second_; }

  // The last lines that the machine's processes logged, of all levels, and who hears each of them ("warn net: ...").
  const std::deque<std::string>& log_lines() const { return log_.lines(); }
  std::function<void(std::string_view)> on_log;
  // Hears the secret key of the device whenever a host is made with it.
  std::function<void(ByteView)> on_device_seed;
  // Null: nothing is recorded.
  void set_chronicle(Chronicle* chronicle) { chronicle_ = chronicle; }

 private:
  size_t room(uint32_t origin) override;
  void emit(node::Event event) override;
  Result<net::SwarmParts> make_host(const SecretBytes<32>& device_seed, const node::HostSettings& settings) override;
  void wake();
  void step();
  void count_step();
  void end_process(std::string_view why);
  void wake_up();
  void go_on_if_due();
  void run_or_wait(const std::function<void()>& what);
  void note(uint64_t value) { trace_ = (trace_ ^ value) * 0x100000001b3u; }

  size_t index_;
  Scheduler& scheduler_;
  Networks& networks_;
  SimRandom random_;
  SimRandom disk_random_;
  SimDisk disk_;
  SimJobs jobs_;
  SimRandom clock_random_;
  LocalClock clock_;
  mutable int64_t wall_max_us_ = 0;
  bool booted_ = false;
  SimLog log_;
  Chronicle* chronicle_ = nullptr;
  std::unique_ptr<node::Node> node_;
  uint64_t life_ = 0;  // counts processes; wake-ups of an earlier one are void
  uint64_t wake_at_ = UINT64_MAX;
  bool stopping_ = false;
  uint64_t frozen_until_us_ = 0;
  uint64_t asleep_until_us_ = 0;
  uint64_t steps_ = 0;
  uint64_t second_ = 0;
  uint64_t steps_of_second_ = 0;
  uint64_t busiest_second_ = 0;
  bool network_changed_ = false;  // and its hosts have not asked yet
  uint64_t last_op_ = 0;
  std::map<uint64_t, node::Event> done_;
  std::map<uint64_t, bool> open_ops_;
  std::vector<node::Event> events_;
  uint64_t done_violations_ = 0;
  uint64_t queue_violations_ = 0;
  uint64_t trace_ = 0xcbf29ce484222325u;
};

}  // namespace sereus::sim
