#include "core/capi/local_backend.h"

#include <algorithm>
#include <utility>

#include "core/capi/limits.h"
#include "core/crypto/secret.h"
#include "sereus.h"

namespace sereus::capi {

using node::Event;
using node::EventKind;
using node::Request;
using node::RequestKind;

LocalBackend::LocalBackend(LocalConfig config, std::unique_ptr<CallbackLogger> logger,
                           std::unique_ptr<NodeSystem> system)
    : NodeBackend(config.limits),
      config_(std::move(config)),
      caller_driven_(config_.system.caller_driven),
      logger_(std::move(logger)),
      system_(std::move(system)) {
  events().on_drained([this](size_t) { system_->wake(); });
}

LocalBackend::~LocalBackend() = default;

Result<std::unique_ptr<LocalBackend>> LocalBackend::open(Platform& platform, const NodeOpener& opener,
                                                         LocalConfig config) {
  auto logger = std::make_unique<CallbackLogger>(config.log_level, std::move(config.log));
  config.system.logger = logger.get();
  auto system = platform.make_system(config.system);
  if (!system.ok()) {
    crypto::wipe(config.node.passphrase);
    return system.error();
  }
  std::unique_ptr<LocalBackend> backend(new LocalBackend(std::move(config), std::move(logger), std::move(*system)));
  SEREUS_TRY(backend->start(opener));
  return backend;
}

Status LocalBackend::start(const NodeOpener& opener) {
  node::NodePorts ports;
  ports.files = &system_->files();
  ports.random = &system_->random();
  ports.jobs = &system_->jobs();
  ports.hosts = &system_->hosts();
  ports.events = this;
  ports.logger = logger_.get();
  last_system_ = system_->now();
  // A caller's monotonic clock begins anywhere, and it has not spoken yet.
  const Times now{caller_driven_ ? 0 : last_system_.mono_us, last_system_.wall_us};
  last_now_ = now;
  // The one copy of the passphrase is the node's, which wipes it.
  SEREUS_ASSIGN(node_, opener(ports, std::move(config_.node), now));
  view_ = node_->view();
  if (!config_.control_socket.empty()) {
    control_ = std::make_unique<ControlServer>(static_cast<ControlHost&>(*this), sereus_version(), logger_.get());
  }
  Status status = control_ ? serve() : Status();
  if (status.ok() && !caller_driven_) status = system_->start(body());
  if (!status.ok()) {
    // Nobody else runs the loop: take the node down here.
    close();
    while (!finished_) system_->run_once(body(), system_->now());
    system_->stop();
  }
  return status;
}

LoopBody LocalBackend::body() {
  LoopBody loop;
  loop.turn = [this](const Times& now) { return turn(now); };
  loop.finished = [this] { return finished_.load(); };
  return loop;
}

Status LocalBackend::serve() {
  SEREUS_ASSIGN(auto transport, system_->serve_control(config_.control_socket, control_->events()));
  control_->attach(std::move(transport));
  return {};
}

// ---- Any thread ---------------------------------------------------------------------------------------------------

Code LocalBackend::life_code() {
  switch (life_) {
    case Life::running:
      return Code::ok;
    case Life::suspended:
      return Code::suspended;
    case Life::closing:
      break;
  }
  return Code::closed;
}

void LocalBackend::command(CommandKind kind, Request request) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(Command{kind, std::move(request)});
  }
  system_->wake();
}

Code LocalBackend::submit(Request request, uint64_t* op) {
  const uint64_t id = next_operation_id();
  Code code = Code::ok;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    code = life_code();
    if (code == Code::ok) code = events().reserve(id, argument_bytes(request));
    if (code == Code::ok) {
      request.origin = 0;
      request.op = id;
      *op = id;
      commands_.push_back(Command{CommandKind::submit, std::move(request)});
    }
  }
  if (code == Code::ok) {
    system_->wake();
  } else {
    wipe_arguments(request);
  }
  return code;
}

Code LocalBackend::cancel(uint64_t op) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ != Life::running) return life_code();
  }
  if (!events().pending(op)) return Code::not_found;
  Request request;
  request.op = op;
  command(CommandKind::cancel, std::move(request));
  return Code::ok;
}

Result<node::Rows> LocalBackend::query(const node::Query& query) {
  if (!reading_.enter()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Code code = life_code();
    return fail(code == Code::ok ? Code::suspended : code);  // ok: it is being resumed
  }
  auto rows = view_->query(query);
  reading_.leave();
  if (rows.ok()) {
    if (auto* info = std::get_if<std::vector<node::InfoRow>>(&*rows)) {
      for (node::InfoRow& row : *info) row.data_folder = config_.system.data_folder;
    }
  }
  return rows;
}

Code LocalBackend::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ == Life::closing) return Code::closed;
    life_ = Life::closing;
    commands_.push_back(Command{CommandKind::close, {}});
  }
  system_->wake();
  return Code::ok;
}

// Submits an operation of the library's own and waits for its DONE.
Code LocalBackend::call(Request request, uint32_t timeout_ms, std::string* detail) {
  const auto call = std::make_shared<Call>();
  request.op = next_operation_id();
  const uint64_t op = request.op;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ == Life::closing) return Code::closed;
    calls_.emplace(op, call);
    commands_.push_back(Command{CommandKind::submit, std::move(request)});
  }
  system_->wake();
  const uint64_t deadline = system_->now().mono_us + timeout_ms * kMicrosPerMilli;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!call->done) {
    const uint64_t now = system_->now().mono_us;
    if (now >= deadline || finished_) break;
    if (caller_driven_) {
      lock.unlock();
      pump(driven_now());
      lock.lock();
      changed_.wait_for(lock, std::chrono::milliseconds(1), [&] { return call->done; });
    } else {
      changed_.wait_for(lock, std::chrono::microseconds(deadline - now), [&] { return call->done || finished_; });
    }
  }
  calls_.erase(op);
  if (!call->done) return finished_ ? Code::closed : Code::timeout;
  *detail = call->detail;
  return call->status;
}

bool LocalBackend::take_call(const Event& event) {
  if (event.kind != EventKind::done || event.origin != 0) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = calls_.find(event.op);
  if (at == calls_.end()) return false;
  at->second->done = true;
  at->second->status = event.status;
  at->second->detail = event.detail;
  changed_.notify_all();
  return true;
}

Code LocalBackend::suspend(uint32_t deadline_ms) {
  const std::lock_guard<std::mutex> one_at_a_time(lifecycle_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Code code = life_code();
    if (code != Code::ok) return code;
    life_ = Life::suspended;
  }
  reading_.shut();  // reads under way hold the store's files open
  command(CommandKind::unserve);
  Request request;
  request.kind = RequestKind::suspend;
  request.a = deadline_ms;
  std::string detail;
  const Code code =
      call(std::move(request), deadline_ms + std::min(kSuspendGraceMs, UINT32_MAX - deadline_ms), &detail);
  if (code != Code::ok && code != Code::closed) {
    logger_->write(LogLevel::error, "capi", "suspend: " + detail);
    if (code == Code::timeout) return code;  // still at it: resume() brings it back
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ == Life::suspended) {
      life_ = Life::running;
      reading_.open();
      commands_.push_back(Command{CommandKind::serve, {}});
      system_->wake();
    }
  }
  return code;
}

Code LocalBackend::resume() {
  const std::lock_guard<std::mutex> one_at_a_time(lifecycle_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ == Life::running) return Code::ok;
    if (life_ == Life::closing) return Code::closed;
  }
  Request request;
  request.kind = RequestKind::resume;
  std::string detail;
  const Code code = call(std::move(request), UINT32_MAX, &detail);
  if (code != Code::ok) {
    logger_->write(LogLevel::error, "capi", "resume: " + detail);
    return code;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (life_ != Life::suspended) return life_code();
  life_ = Life::running;
  reading_.open();
  commands_.push_back(Command{CommandKind::serve, {}});
  system_->wake();
  return Code::ok;
}

// ---- Caller-driven ------------------------------------------------------------------------------------------------

Code LocalBackend::step(const Times& now, uint64_t* next_mono_us) {
  if (!caller_driven_) return Code::invalid;
  if (finished_) return Code::closed;
  const std::unique_lock<std::mutex> lock(stepping_, std::try_to_lock);
  if (!lock.owns_lock()) return Code::busy;
  last_now_ = now;
  last_system_ = system_->now();
  *next_mono_us = finished_ ? kNever : system_->run_once(body(), now);
  return Code::ok;
}

uint64_t LocalBackend::pump(const Times& now) {
  const std::lock_guard<std::mutex> lock(stepping_);
  return finished_ ? kNever : system_->run_once(body(), now);
}

// The caller's clock, carried on by ours, for functions that block.
Times LocalBackend::driven_now() {
  const std::lock_guard<std::mutex> lock(stepping_);
  const Times now = system_->now();
  return {last_now_.mono_us + (now.mono_us - last_system_.mono_us),
          last_now_.wall_us + static_cast<int64_t>(now.mono_us - last_system_.mono_us)};
}

void LocalBackend::finish() {
  if (caller_driven_) {
    while (!finished_) {
      pump(driven_now());
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(1), [this] { return finished_.load(); });
    }
  }
  system_->stop();
}

// ---- The loop's thread --------------------------------------------------------------------------------------------

uint64_t LocalBackend::turn(const Times& now) {
  if (finished_) return kNever;
  run_commands(now);
  if (control_) control_->process(now);
  uint64_t next = node_->step(now);
  if (control_ && control_->flush(now)) next = now.mono_us;
  const bool has_queries = control_ && control_->has_queries();
  if (node_->closed() && system_->jobs_idle() && !has_queries) {
    end_node(now);
    return kNever;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  return commands_.empty() ? next : now.mono_us;
}

void LocalBackend::run_commands(const Times& now) {
  std::vector<Command> commands;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& one : commands) run_command(one, now);
}

void LocalBackend::run_command(Command& command, const Times& now) {
  switch (command.kind) {
    case CommandKind::submit:
      node_->submit(std::move(command.request), now);
      break;
    case CommandKind::cancel:
      node_->cancel(0, command.request.op, now);
      break;
    case CommandKind::close:
      node_->close(now);
      break;
    case CommandKind::serve:
      if (control_ && !control_->attached()) {
        const Status status = serve();
        if (!status.ok()) logger_->write(LogLevel::error, "capi", "control socket: " + status.error().detail);
      }
      break;
    case CommandKind::unserve:
      if (control_) control_->detach(now);
      break;
  }
}

void LocalBackend::end_node(const Times& now) {
  if (control_) control_->detach(now);
  reading_.shut();
  view_.reset();
  node_.reset();
  // Whoever takes CLOSED may open the folder again: the lock is released, the sockets are closed.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }
  Event closed;
  closed.kind = EventKind::closed;
  closed.origin = 0;
  events().push(std::move(closed));
}

size_t LocalBackend::room(uint32_t origin) {
  if (origin == 0 || origin == node::kAllOrigins) return events().room();
  return control_ ? control_->room(origin) : 0;
}

void LocalBackend::emit(Event event) {
  if (take_call(event)) return;
  const bool to_all = event.origin == node::kAllOrigins;
  if (control_ && event.origin != 0) control_->emit(event);
  if (!to_all && event.origin != 0) return;
  if (event.kind == EventKind::closed) return;  // ours follows when all is released: end_node()
  events().push(std::move(event));
}

Code LocalBackend::submit_from_client(Request request, const Times& now) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Code code = life_code();
    if (code != Code::ok) {
      wipe_arguments(request);
      return code;
    }
  }
  node_->submit(std::move(request), now);
  return Code::ok;
}

void LocalBackend::cancel_from_client(uint32_t client, uint64_t op, const Times& now) {
  node_->cancel(client, op, now);
}

void LocalBackend::forget_client(uint32_t client, const Times& now) { node_->forget_origin(client, now); }

void LocalBackend::query_from_client(node::Query query, std::function<void(Result<node::Rows>)> done) {
  // A job, because a long read (a digest) must not stop the network.
  auto answer = std::make_shared<Result<node::Rows>>(fail(Code::internal));
  system_->jobs().submit(
      JobQueue::worker, [this, answer, query = std::move(query)] { *answer = this->query(query); },
      [answer, done = std::move(done)] { done(std::move(*answer)); });
}

}  // namespace sereus::capi
