#include "core/capi/remote_backend.h"

#include <chrono>
#include <utility>

#include "core/capi/limits.h"
#include "core/crypto/secret.h"
#include "sereus.h"

namespace sereus::capi {

using node::Event;
using node::EventKind;

RemoteBackend::RemoteBackend(const EventQueue::Limits& limits) : NodeBackend(limits) {
  events().on_drained([this](size_t count) {
    ControlMessage message;
    message.type = ControlType::drained;
    message.number = count;
    (void)send(message).ok();  // a connection that is over needs no credit
  });
}

RemoteBackend::~RemoteBackend() = default;

Result<std::unique_ptr<RemoteBackend>> RemoteBackend::connect(Platform& platform, const std::string& path,
                                                              const EventQueue::Limits& limits) {
  std::unique_ptr<RemoteBackend> backend(new RemoteBackend(limits));
  ChannelEvents events;
  RemoteBackend* const raw = backend.get();
  events.received = [raw](ByteView bytes) { raw->received(bytes); };
  events.disconnected = [raw] { raw->disconnected(); };
  SEREUS_ASSIGN(backend->channel_, platform.connect_control(path, std::move(events)));
  const Status greeted = backend->greet(limits);
  if (!greeted.ok()) {
    backend->channel_.reset();  // before the members that its callbacks use
    return greeted.error();
  }
  return backend;
}

Status RemoteBackend::greet(const EventQueue::Limits& limits) {
  ControlMessage hello;
  hello.type = ControlType::hello;
  hello.version = kControlVersion;
  hello.library = sereus_version();
  hello.events_max = static_cast<uint32_t>(limits.events_max);
  hello.operations_max = static_cast<uint32_t>(limits.operations_max);
  SEREUS_TRY(send(hello));
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(kControlHelloMs), [this] { return life_ != Life::greeting; });
  if (life_ == Life::running) return {};
  if (life_ == Life::greeting) return fail(Code::timeout, "the daemon does not answer");
  if (refusal_) return *refusal_;
  return fail(Code::unreachable, "the daemon ended the connection");
}

Status RemoteBackend::send(const ControlMessage& message) {
  Bytes frame;
  encode_frame(message, frame);
  return channel_->send(std::move(frame));
}

Code RemoteBackend::life_code() { return life_ == Life::running ? Code::ok : Code::closed; }

Code RemoteBackend::submit(node::Request request, uint64_t* op) {
  const uint64_t id = next_operation_id();
  Code code = Code::ok;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    code = life_code();
    if (code == Code::ok) code = events().reserve(id, argument_bytes(request));
  }
  if (code != Code::ok) {
    wipe_arguments(request);
    return code;
  }
  *op = id;
  request.op = id;
  ControlMessage message;
  message.type = ControlType::request;
  message.request = std::move(request);
  const Status sent = send(message);
  wipe_arguments(message.request);
  if (sent.ok()) return Code::ok;
  // Nobody has seen it, unless the connection ended in between: then its DONE is in the queue.
  if (!events().pending(id)) return Code::ok;
  events().withdraw(id);
  return sent.code();
}

Code RemoteBackend::cancel(uint64_t op) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ != Life::running) return life_code();
  }
  if (!events().pending(op)) return Code::not_found;
  ControlMessage message;
  message.type = ControlType::cancel;
  message.number = op;
  return send(message).code();
}

Result<node::Rows> RemoteBackend::query(const node::Query& query) {
  const auto waiting = std::make_shared<Waiting>();
  ControlMessage message;
  message.type = ControlType::query;
  message.query = query;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ != Life::running) return fail(life_code());
    message.number = ++last_query_;
    queries_.emplace(message.number, waiting);
  }
  const Status sent = send(message);
  std::unique_lock<std::mutex> lock(mutex_);
  if (sent.ok()) {
    changed_.wait_for(lock, std::chrono::milliseconds(kControlQueryMs), [&] { return waiting->done; });
  }
  queries_.erase(message.number);
  if (!sent.ok()) return sent.error();
  if (!waiting->done) return fail(Code::timeout, "the daemon does not answer");
  if (waiting->status != Code::ok) return fail(waiting->status, waiting->detail);
  return std::move(waiting->rows);
}

Code RemoteBackend::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (life_ == Life::closing) return Code::closed;
    if (life_ != Life::running) return Code::closed;
    life_ = Life::closing;
  }
  ControlMessage message;
  message.type = ControlType::close;
  if (!send(message).ok()) channel_->end();
  return Code::ok;
}

void RemoteBackend::finish() {
  {
    // The daemon ends what is under way; one that does not is left alone.
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(kControlHelloMs), [this] { return life_ == Life::ended; });
  }
  channel_.reset();
}

// ---- The channel's thread -----------------------------------------------------------------------------------------

void RemoteBackend::received(ByteView bytes) {
  append(in_, bytes);
  size_t at = 0;
  bool good = true;
  while (good) {
    const auto frame = next_frame(ByteView(in_).subspan(at));
    good = frame.ok();
    if (!good || !frame->has_value()) break;
    at += kFrameHeadSize + (*frame)->size();
    auto message = decode_message(**frame);
    // A newer daemon may send frames that we do not know.
    good = message.ok() ? handle(std::move(*message)) : message.code() == Code::unsupported;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
  if (!good) {
    in_.clear();
    channel_->end();
  }
}

// False ends the connection.
bool RemoteBackend::handle(ControlMessage message) {
  switch (message.type) {
    case ControlType::hello: {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (life_ == Life::greeting) life_ = Life::running;
      changed_.notify_all();
      return message.version == kControlVersion;
    }
    case ControlType::refused: {
      const std::lock_guard<std::mutex> lock(mutex_);
      refusal_ = Error{message.status, message.detail};
      return false;
    }
    case ControlType::event:
      if (message.event.kind == EventKind::closed) return false;  // disconnected() tells it
      message.event.origin = 0;
      events().push(std::move(message.event));
      return true;
    case ControlType::rows:
      handle_rows(message);
      return true;
    case ControlType::request:
    case ControlType::cancel:
    case ControlType::query:
    case ControlType::drained:
    case ControlType::close:
      break;
  }
  return false;
}

void RemoteBackend::handle_rows(ControlMessage& message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = queries_.find(message.number);
  if (at == queries_.end()) return;
  Waiting& waiting = *at->second;
  if (waiting.done) return;
  waiting.status = message.status;
  waiting.detail = std::move(message.detail);
  if (!waiting.begun) {
    waiting.rows = std::move(message.rows);
    waiting.begun = true;
  } else {
    std::visit(
        [&message](auto& all) {
          using All = std::remove_cvref_t<decltype(all)>;
          if (auto* more = std::get_if<All>(&message.rows)) {
            all.insert(all.end(), std::make_move_iterator(more->begin()), std::make_move_iterator(more->end()));
          }
        },
        waiting.rows);
  }
  if (message.more) return;
  waiting.done = true;
  changed_.notify_all();
}

// The last callback: everything pending is answered, then CLOSED.
void RemoteBackend::disconnected() {
  bool asked_for = false;
  Error why;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    asked_for = life_ == Life::closing;
    life_ = Life::ended;
    why = refusal_.value_or(fail(Code::unreachable, "the daemon ended the connection"));
    for (auto& [id, waiting] : queries_) {
      if (waiting->done) continue;
      waiting->done = true;
      waiting->status = Code::unreachable;
      waiting->detail = why.detail;
    }
    changed_.notify_all();
  }
  for (const uint64_t op : events().pending_operations()) {
    Event done;
    done.origin = 0;
    done.op = op;
    done.status = asked_for ? Code::cancelled : why.code;
    done.detail = asked_for ? "the connection to the daemon was closed" : why.detail;
    events().push(std::move(done));
  }
  Event closed;
  closed.kind = EventKind::closed;
  closed.origin = 0;
  events().push(std::move(closed));
}

}  // namespace sereus::capi
