#include "core/capi/control_server.h"

#include <algorithm>
#include <utility>

#include "core/capi/backend.h"
#include "core/capi/limits.h"
#include "core/crypto/secret.h"

namespace sereus::capi {

using node::Event;
using node::EventKind;
using node::RequestKind;

namespace {

constexpr int kFlushRoundsMax = 8;  // times kControlOutMax for one client in a turn

}  // namespace

ControlServer::~ControlServer() = default;

ControlEvents ControlServer::events() {
  ControlEvents events;
  events.connected = [this](uint32_t id) {
    auto client = std::make_unique<Client>();
    if (clients_.size() >= kControlClientsMax)
      refuse(*client, Code::busy, "too many programs are connected to the daemon");
    clients_.emplace(id, std::move(client));
  };
  events.received = [this](uint32_t id, ByteView bytes) {
    const auto at = clients_.find(id);
    if (at != clients_.end() && !at->second->ended) append(at->second->in, bytes);
  };
  events.writable = [](uint32_t) {};  // the turn that follows flushes
  events.disconnected = [this](uint32_t id) {
    const auto at = clients_.find(id);
    if (at != clients_.end()) at->second->gone = true;
  };
  return events;
}

void ControlServer::detach(const Times& now) {
  while (!clients_.empty()) drop(clients_.begin(), now);
  transport_.reset();
}

// Forgets a client, and disconnects it when it is still there.
void ControlServer::drop(Clients::iterator at, const Times& now) {
  const uint32_t id = at->first;
  const std::unique_ptr<Client> client = std::move(at->second);
  clients_.erase(at);
  crypto::wipe(client->in);
  if (client->events) host_.forget_client(id, now);
  if (!client->gone && transport_) transport_->disconnect(id);
}

// ---- From clients -------------------------------------------------------------------------------------------------

void ControlServer::process(const Times& now) {
  for (auto at = clients_.begin(); at != clients_.end();) {
    const auto next = std::next(at);
    if (at->second->gone) {
      drop(at, now);
    } else {
      process_client(at->first, *at->second, now);
    }
    at = next;
  }
}

bool ControlServer::blocked(const Client& client) const {
  return client.ended || client.replies.size() >= kControlQueriesMax ||
         (client.events && client.events->pending_bytes() >= kOperationBytesMax);
}

void ControlServer::process_client(uint32_t id, Client& client, const Times& now) {
  while (!blocked(client)) {
    const ByteView left = ByteView(client.in).subspan(client.in_at);
    const auto frame = next_frame(left);
    if (!frame.ok()) {
      refuse(client, frame.code(), frame.error().detail);
      break;
    }
    if (!frame->has_value()) break;
    client.in_at += kFrameHeadSize + (*frame)->size();
    handle(id, client, **frame, now);
  }
  // Requests may carry passphrases: what was read is wiped.
  crypto::wipe(ByteSpan(client.in).first(client.in_at));
  client.in.erase(client.in.begin(), client.in.begin() + static_cast<std::ptrdiff_t>(client.in_at));
  client.in_at = 0;
  const bool reading = !blocked(client);
  if (reading != client.reading && transport_) {
    client.reading = reading;
    transport_->read_from(id, reading);
  }
}

void ControlServer::handle(uint32_t id, Client& client, ByteView frame, const Times& now) {
  auto message = decode_message(frame);
  if (!message.ok()) {
    refuse(client, message.code(), message.error().detail);
    return;
  }
  const bool is_hello = message->type == ControlType::hello;
  if (is_hello != (client.events == nullptr)) {
    refuse(client, Code::protocol, "the first frame, and only the first, is a hello");
    return;
  }
  switch (message->type) {
    case ControlType::hello:
      handle_hello(client, *message);
      break;
    case ControlType::request:
      handle_request(id, client, *message, now);
      break;
    case ControlType::cancel:
      if (client.events->pending(message->number)) host_.cancel_from_client(id, message->number, now);
      break;
    case ControlType::query:
      handle_query(client, *message);
      break;
    case ControlType::drained:
      client.events->acknowledge(static_cast<size_t>(message->number));
      break;
    case ControlType::close:
      handle_close(id, client, now);
      break;
    case ControlType::refused:
    case ControlType::event:
    case ControlType::rows:
      refuse(client, Code::protocol, "only the daemon sends such frames");
      break;
  }
}

void ControlServer::handle_hello(Client& client, ControlMessage& message) {
  if (message.version > kControlVersion) {
    refuse(client, Code::too_new,
           "this program speaks a newer control protocol than the daemon (" + version_ + "); restart the daemon");
    return;
  }
  if (message.version == 0 || message.events_max == 0 || message.events_max > kEventQueueMax ||
      message.operations_max == 0 || message.operations_max > kOperationsMax) {
    refuse(client, Code::malformed, "the hello is out of bounds");
    return;
  }
  client.events = std::make_unique<EventQueue>(EventQueue::Limits{message.events_max, message.operations_max});
  ControlMessage answer;
  answer.type = ControlType::hello;
  answer.version = kControlVersion;
  answer.library = version_;
  answer.events_max = message.events_max;
  answer.operations_max = message.operations_max;
  encode_frame(answer, client.out);
}

void ControlServer::handle_request(uint32_t id, Client& client, ControlMessage& message, const Times& now) {
  node::Request& request = message.request;
  // The client reserves its DONEs by the same rule, so one that is over it is not one of ours.
  const Code reserved = client.closing ? Code::closed : client.events->reserve(request.op, argument_bytes(request));
  if (reserved != Code::ok || request.op == 0) {
    wipe_arguments(request);
    refuse(client, Code::protocol, "a request without room for its answer");
    return;
  }
  Event refusal;
  refusal.op = request.op;
  refusal.origin = id;
  if (request.kind == RequestKind::suspend || request.kind == RequestKind::resume) {
    refusal.status = Code::unsupported;
    refusal.detail = "only the process that opened the node can suspend it";
  } else {
    request.origin = id;
    refusal.status = host_.submit_from_client(std::move(request), now);
  }
  if (refusal.status != Code::ok) client.events->push(std::move(refusal));
}

void ControlServer::handle_query(Client& client, ControlMessage& message) {
  auto reply = std::make_shared<Reply>();
  reply->id = message.number;
  client.replies.push_back(reply);
  ++queries_;
  host_.query_from_client(std::move(message.query), [this, reply](Result<node::Rows> rows) {
    --queries_;
    reply->rows = std::move(rows);  // the client may be gone: then nobody looks
    reply->ready = true;
  });
}

void ControlServer::handle_close(uint32_t id, Client& client, const Times& now) {
  client.closing = true;
  for (const uint64_t op : client.events->pending_operations()) host_.cancel_from_client(id, op, now);
}

// Says why, and disconnects after it was sent.
void ControlServer::refuse(Client& client, Code code, const std::string& detail) {
  if (logger_ != nullptr) logger_->write(LogLevel::warn, "control", "a client is refused: " + detail);
  ControlMessage message;
  message.type = ControlType::refused;
  message.status = code;
  message.detail = detail;
  encode_frame(message, client.out);
  client.ended = true;
}

// ---- To clients ---------------------------------------------------------------------------------------------------

size_t ControlServer::room(uint32_t client) {
  const auto at = clients_.find(client);
  return at == clients_.end() || !at->second->events ? 0 : at->second->events->room();
}

void ControlServer::emit(const Event& event) {
  for (const auto& [id, client] : clients_) {
    if (client->events && (event.origin == node::kAllOrigins || event.origin == id)) client->events->push(event);
  }
}

bool ControlServer::flush(const Times& now) {
  bool more = false;
  for (auto at = clients_.begin(); at != clients_.end();) {
    const auto next = std::next(at);
    Client& client = *at->second;
    bool taken = !client.gone;
    for (int round = 0; taken && round < kFlushRoundsMax; ++round) {
      fill(client);
      taken = client.out_at < client.out.size() && write_out(at->first, client);
    }
    more = more || taken;  // the socket takes more, but the others have their turn first
    if (client.gone || (client.ended && client.out_at == client.out.size())) drop(at, now);
    at = next;
  }
  return more;
}

// Encodes what waits, up to kControlOutMax.
void ControlServer::fill(Client& client) {
  if (client.out_at == client.out.size()) {
    client.out.clear();
    client.out_at = 0;
  }
  if (!client.events || client.ended) return;
  if (client.closing && client.events->pending_count() == 0 && client.replies.empty()) {
    Event closed;
    closed.kind = EventKind::closed;
    client.events->push(std::move(closed));
  }
  while (client.out.size() < kControlOutMax) {
    auto event = client.events->take_for_wire();
    if (!event) break;
    ControlMessage message;
    message.type = ControlType::event;
    message.event = std::move(*event);
    encode_frame(message, client.out);
    if (message.event.kind == EventKind::closed) client.ended = true;
  }
  while (!client.replies.empty() && client.replies.front()->ready && client.out.size() < kControlOutMax) {
    Reply& reply = *client.replies.front();
    bool finished = true;
    if (!reply.rows.ok()) {
      ControlMessage message;
      message.type = ControlType::rows;
      message.number = reply.id;
      message.status = reply.rows.code();
      message.detail = reply.rows.error().detail;
      encode_frame(message, client.out);
    } else {
      reply.next_row = encode_rows_part(reply.id, *reply.rows, reply.next_row, client.out);
      finished = reply.next_row == std::visit([](const auto& all) { return all.size(); }, *reply.rows);
    }
    if (finished) client.replies.pop_front();
  }
}

// False when the socket takes no more for now.
bool ControlServer::write_out(uint32_t id, Client& client) {
  if (!transport_ || client.out_at == client.out.size()) return false;
  const size_t size = client.out.size() - client.out_at;
  const size_t taken = transport_->write(id, ByteView(client.out).subspan(client.out_at));
  client.out_at += taken;
  return taken == size;
}

}  // namespace sereus::capi
