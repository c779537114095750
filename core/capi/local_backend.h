// A node in this process: commands from any thread go to the node's loop, its events to the queues of its consumers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/capi/backend.h"
#include "core/capi/callback_logger.h"
#include "core/capi/control_server.h"
#include "core/capi/gate.h"
#include "core/capi/platform.h"
#include "core/node/node.h"

namespace sereus::capi {

struct LocalConfig {
  SystemConfig system;
  node::NodeConfig node;
  EventQueue::Limits limits;
  std::string control_socket;  // empty: none
  LogLevel log_level = LogLevel::warn;
  CallbackLogger::Write log;  // null: none
};

// node::Node::open, or a test's.
using NodeOpener =
    std::function<Result<std::unique_ptr<node::Node>>(const node::NodePorts&, node::NodeConfig, const Times&)>;

class LocalBackend final : public NodeBackend, private node::EventSink, private ControlHost {
 public:
  static Result<std::unique_ptr<LocalBackend>> open(Platform& platform, const NodeOpener& opener, LocalConfig config);
  ~LocalBackend() override;

  Code submit(node::Request request, uint64_t* op) override;
  Code cancel(uint64_t op) override;
  Result<node::Rows> query(const node::Query& query) override;
  Code close() override;
  Code suspend(uint32_t deadline_ms) override;
  Code resume() override;
  bool caller_driven() const override { return caller_driven_; }
  Code step(const Times& now, uint64_t* next_mono_us) override;
  void silence() override { logger_->silence(); }
  void finish() override;

 private:
  enum class CommandKind : uint8_t { submit, cancel, close, serve, unserve };
  struct Command {
    CommandKind kind = CommandKind::submit;
    node::Request request;  // cancel: op
  };
  enum class Life : uint8_t { running, suspended, closing };
  struct Call {  // an operation of the library's own, whose DONE somebody waits for
    bool done = false;
    Code status = Code::ok;
    std::string detail;
  };

  LocalBackend(LocalConfig config, std::unique_ptr<CallbackLogger> logger, std::unique_ptr<NodeSystem> system);
  Status start(const NodeOpener& opener);
  Status serve();

  // The loop's thread.
  uint64_t turn(const Times& now);
  void run_commands(const Times& now);
  void run_command(Command& command, const Times& now);
  void end_node(const Times& now);
  size_t room(uint32_t origin) override;
  void emit(node::Event event) override;
  Code submit_from_client(node::Request request, const Times& now) override;
  void cancel_from_client(uint32_t client, uint64_t op, const Times& now) override;
  void forget_client(uint32_t client, const Times& now) override;
  void query_from_client(node::Query query, std::function<void(Result<node::Rows>)> done) override;

  // Any thread.
  void command(CommandKind kind, node::Request request = {});
  Code life_code();
  Code call(node::Request request, uint32_t timeout_ms, std::string* detail);
  bool take_call(const node::Event& event);
  uint64_t pump(const Times& now);
  Times driven_now();
  LoopBody body();

  LocalConfig config_;  // constant once the node is open
  const bool caller_driven_;
  const std::unique_ptr<CallbackLogger> logger_;
  const std::unique_ptr<NodeSystem> system_;

  std::unique_ptr<node::Node> node_;  // the loop's
  std::unique_ptr<ControlServer> control_;
  std::shared_ptr<node::View> view_;
  Gate reading_;  // around every use of view_
  std::atomic<bool> finished_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  Life life_ = Life::running;
  std::vector<Command> commands_;
  std::map<uint64_t, std::shared_ptr<Call>> calls_;

  std::mutex lifecycle_;  // one suspend or resume at a time
  std::mutex stepping_;
  Times last_now_{};  // caller-driven: what the caller's clock said last, and ours then
  Times last_system_{};
};

}  // namespace sereus::capi
