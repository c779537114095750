// The platform of POSIX systems: drivers/posix behind the interfaces of platform.h.
#include <atomic>
#include <utility>

#include "core/capi/limits.h"
#include "core/capi/platform.h"
#include "core/ports/ram_files.h"
#include "drivers/posix/posix_control_channel.h"
#include "drivers/posix/posix_control_listener.h"
#include "drivers/posix/posix_files.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_jobs.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_thread.h"
#include "drivers/posix/posix_times.h"

namespace sereus::capi {
namespace {

class ListenerTransport final : public ControlTransport {
 public:
  explicit ListenerTransport(std::unique_ptr<posix::PosixControlListener> listener) : listener_(std::move(listener)) {}
  size_t write(uint32_t client, ByteView bytes) override { return listener_->write(client, bytes); }
  void read_from(uint32_t client, bool on) override { listener_->read_from(client, on); }
  void disconnect(uint32_t client) override { listener_->disconnect(client); }

 private:
  std::unique_ptr<posix::PosixControlListener> listener_;
};

class Channel final : public ControlChannel {
 public:
  explicit Channel(std::unique_ptr<posix::PosixControlChannel> channel) : channel_(std::move(channel)) {}
  Status send(Bytes frame) override { return channel_->send(std::move(frame)); }
  void end() override { channel_->end(); }

 private:
  std::unique_ptr<posix::PosixControlChannel> channel_;
};

class JoinedThread final : public Thread {
 public:
  explicit JoinedThread(std::unique_ptr<posix::PosixThread> thread) : thread_(std::move(thread)) {}

 private:
  std::unique_ptr<posix::PosixThread> thread_;
};

class PosixSystem final : public NodeSystem {
 public:
  PosixSystem(const SystemConfig& config, std::unique_ptr<Files> files, std::unique_ptr<posix::PosixLoop> loop)
      : caller_driven_(config.caller_driven),
        files_(std::move(files)),
        loop_(std::move(loop)),
        jobs_([this] { loop_->wake(); }),
        hosts_(*loop_, random_, config.logger, [this] { return caller_driven_ ? given_now_ : posix::now(); }) {}
  ~PosixSystem() override { stop(); }

  Files& files() override { return *files_; }
  Random& random() override { return random_; }
  Jobs& jobs() override {
    if (caller_driven_) return inline_jobs_;
    return jobs_;
  }
  node::HostFactory& hosts() override { return hosts_; }
  Times now() override { return posix::now(); }
  void wake() override { loop_->wake(); }
  bool jobs_idle() override { return caller_driven_ ? inline_jobs_.idle() : jobs_.idle(); }

  Status start(LoopBody body) override {
    SEREUS_ASSIGN(thread_, posix::PosixThread::start("sereus-node", [this, body = std::move(body)] { run(body); }));
    return {};
  }
  void stop() override { thread_.reset(); }

  uint64_t run_once(const LoopBody& body, const Times& now) override {
    given_now_ = now;
    loop_->wait(0);
    uint64_t next = 0;
    for (uint32_t round = 0; round < kStepRoundsMax && !body.finished(); ++round) {
      next = body.turn(now);
      const bool ran = caller_driven_ ? inline_jobs_.run_some() : jobs_.complete();
      if (!ran && next > now.mono_us) return next;
    }
    return body.finished() ? kNever : now.mono_us;
  }

  Result<std::unique_ptr<ControlTransport>> serve_control(const std::string& path, ControlEvents events) override {
    posix::ListenerEvents to;
    to.connected = std::move(events.connected);
    to.received = std::move(events.received);
    to.writable = std::move(events.writable);
    to.disconnected = std::move(events.disconnected);
    SEREUS_ASSIGN(auto listener, posix::PosixControlListener::make(*loop_, path, std::move(to)));
    return std::unique_ptr<ControlTransport>(std::make_unique<ListenerTransport>(std::move(listener)));
  }

 private:
  void run(const LoopBody& body) {
    uint64_t deadline = 0;
    while (!body.finished()) {
      loop_->wait(deadline);
      jobs_.complete();
      deadline = body.turn(posix::now());
    }
  }

  const bool caller_driven_;
  Times given_now_;  // what the caller said last
  std::unique_ptr<Files> files_;
  std::unique_ptr<posix::PosixLoop> loop_;
  posix::PosixRandom random_;
  posix::InlineJobs inline_jobs_;
  posix::PosixJobs jobs_;
  posix::PosixHosts hosts_;
  std::unique_ptr<posix::PosixThread> thread_;
};

class PosixPlatform final : public Platform {
 public:
  Result<std::unique_ptr<NodeSystem>> make_system(const SystemConfig& config) override {
    std::unique_ptr<Files> files;
    if (config.data_folder.empty()) {
      files = std::make_unique<RamFiles>();
    } else {
      SEREUS_ASSIGN(files, posix::PosixFiles::open(config.data_folder, config.create));
    }
    SEREUS_ASSIGN(auto loop, posix::PosixLoop::make());
    return std::unique_ptr<NodeSystem>(std::make_unique<PosixSystem>(config, std::move(files), std::move(loop)));
  }
  Result<std::unique_ptr<ControlChannel>> connect_control(const std::string& path, ChannelEvents events) override {
    posix::PosixControlChannel::Events to;
    to.received = std::move(events.received);
    to.disconnected = std::move(events.disconnected);
    SEREUS_ASSIGN(auto channel, posix::PosixControlChannel::connect(path, kControlSendMax, std::move(to)));
    return std::unique_ptr<ControlChannel>(std::make_unique<Channel>(std::move(channel)));
  }
  Result<std::unique_ptr<Thread>> start_thread(const char* name, std::function<void()> run) override {
    SEREUS_ASSIGN(auto thread, posix::PosixThread::start(name, std::move(run)));
    return std::unique_ptr<Thread>(std::make_unique<JoinedThread>(std::move(thread)));
  }
  void run_in_background(std::function<void()> run) override { posix::run_in_background(std::move(run)); }
};

}  // namespace

Platform& platform() {
  static Platform* const the = new PosixPlatform;  // never destroyed: threads may outlive static objects
  return *the;
}

}  // namespace sereus::capi
