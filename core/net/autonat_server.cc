#include "core/net/autonat_server.h"

#include <algorithm>

#include "core/net/limits.h"
#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr uint64_t kMinuteUs = 60 * kMicrosPerSecond;
constexpr MessageStreams::Bounds kAskedBounds{kAutoNatMessageMax, kAutoNatMessageMax};
constexpr MessageStreams::Bounds kBackBounds{kAutoNatMessageMax, kAutoNatMessageMax};

}  // namespace

AutoNatServer::AutoNatServer(Swarm& swarm, Host& dialer, Random& random, const AutoNatServerSettings& settings)
    : swarm_(swarm),
      dialer_(dialer),
      random_(random),
      settings_(settings),
      asked_(swarm, kAskedBounds),
      back_(dialer, kBackBounds),
      all_rate_(settings.per_minute, kMinuteUs, 1),
      peer_rate_(settings.peer_per_minute, kMinuteUs, kAutoNatSourcesMax),
      subnet_rate_(settings.subnet_per_minute, kMinuteUs, kAutoNatSourcesMax) {}

void AutoNatServer::set_serving(bool v4, bool v6) {
  v4_ = v4;
  v6_ = v6;
}

std::vector<std::string> AutoNatServer::protocols() const {
  if (!v4_ && !v6_) return {};
  return {std::string(kAutoNatRequestProtocol), std::string(kAutoNatProtocol)};
}

// ---- What the swarm tells -------------------------------------------------------------------------------------------

bool AutoNatServer::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    connections_[connected->connection] = {connected->peer, connected->address};
    return false;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    connections_.erase(disconnected->connection);
    return false;
  }
  const auto* opened = std::get_if<StreamOpened>(&event);
  bool ours = opened != nullptr && opened->incoming && accept(*opened, now);
  if (!ours) ours = asked_.on_event(event, now);
  if (ours) pump(now);
  return ours;
}

bool AutoNatServer::accept(const StreamOpened& opened, const Times& now) {
  const bool v2 = opened.protocol == kAutoNatRequestProtocol;
  if (!v2 && opened.protocol != kAutoNatProtocol) return false;
  const auto connection = connections_.find(opened.connection);
  const auto remote =
      connection == connections_.end() ? std::nullopt : endpoint_of(std::string_view(connection->second.address));
  const bool serving = v4_ || v6_;
  // Without an address of their own there is nothing to hold against what they name: a relay's.
  if (!serving || !remote || is_relayed(connection->second.address) || jobs_.size() >= kAutoNatServingMax) {
    ++stats_.rejected;
    swarm_.reset(opened.stream);
    return true;
  }
  Job job;
  job.connection = opened.connection;
  job.peer = connection->second.peer;
  job.remote = unmapped(*remote);
  job.v2 = v2;
  jobs_.emplace(opened.stream, std::move(job));
  asked_.accept(opened, now.mono_us + kAutoNatServeTimeoutUs);
  return true;
}

void AutoNatServer::on_message(StreamId stream, ByteView message, const Times& now) {
  const auto job = jobs_.find(stream);
  if (job == jobs_.end()) return;
  if (job->second.v2) {
    on_request_message(job, message, now);
  } else {
    on_dial_message(job, message, now);
  }
}

// ---- Version 1 ------------------------------------------------------------------------------------------------------

void AutoNatServer::on_dial_message(Jobs::iterator job, ByteView message, const Times& now) {
  if (job->second.stage != Stage::reading) return;  // said enough
  const auto request = decode_autonat_dial(message);
  if (!request.ok() || request->peer != job->second.peer) {
    ++stats_.broken;
    return answer_v1(job, AutoNatStatus::bad_request, nullptr);
  }
  if (!admit(job->second, now)) return reject(job);
  std::vector<Multiaddr> chosen;
  for (const Multiaddr& given : request->addresses) {
    Multiaddr address = given.without_peer_id();
    const auto endpoint = endpoint_of(address);
    const bool theirs = endpoint && same_ip(*endpoint, job->second.remote);  // MUST NOT dial any other
    if (!theirs || !dialable(address) || chosen.size() == kAutoNatV1DialsMax) continue;
    if (std::find(chosen.begin(), chosen.end(), address) == chosen.end()) chosen.push_back(std::move(address));
  }
  for (const Multiaddr& address : chosen) (void)dial(job, address, now);
  if (job->second.dials.empty()) return refuse(job);
  ++stats_.served;
}

// ---- Version 2 ------------------------------------------------------------------------------------------------------

void AutoNatServer::on_request_message(Jobs::iterator job, ByteView message, const Times& now) {
  const auto decoded = decode_autonat_v2(message);
  if (decoded.ok()) {
    const auto* request = std::get_if<AutoNatRequest>(&*decoded);
    if (request != nullptr && job->second.stage == Stage::reading) return on_request(job, *request, now);
    const auto* data = std::get_if<AutoNatData>(&*decoded);
    if (data != nullptr && job->second.stage == Stage::data) return on_data(job, *data, now);
  }
  ++stats_.broken;
  asked_.reset(job->first);
  forget(job);
}

void AutoNatServer::on_request(Jobs::iterator at, const AutoNatRequest& request, const Times& now) {
  Job& job = at->second;
  if (!admit(job, now)) return reject(at);
  const auto chosen = std::find_if(request.addresses.begin(), request.addresses.end(),
                                   [this](const Multiaddr& a) { return dialable(a); });
  if (chosen == request.addresses.end()) return refuse(at);
  job.nonce = request.nonce;
  job.index = static_cast<uint32_t>(chosen - request.addresses.begin());
  job.address = chosen->without_peer_id();
  if (same_ip(*endpoint_of(job.address), job.remote)) {
    if (!dial(at, job.address, now)) return refuse(at);
    ++stats_.served;
    return;
  }
  job.stage = Stage::data;
  job.data_left = kAutoNatDataMin + random_.below(kAutoNatDataMax - kAutoNatDataMin + 1);
  job.messages_left = job.data_left / kAutoNatDataPerMessage + 1;
  const Bytes ask = encode_autonat_v2(AutoNatDataRequest{job.index, job.data_left});
  (void)asked_.send(at->first, ask);  // a stream that is gone tells by itself
}

void AutoNatServer::on_data(Jobs::iterator at, const AutoNatData& data, const Times& now) {
  Job& job = at->second;
  stats_.data_bytes += data.bytes;
  job.data_left -= std::min<uint64_t>(job.data_left, data.bytes);
  --job.messages_left;
  if (job.data_left > 0) {
    if (job.messages_left > 0) return;
    ++stats_.broken;  // crumbs, each of which costs more here than there
    asked_.reset(at->first);
    return forget(at);
  }
  if (!dial(at, job.address, now)) return refuse(at);
  ++stats_.served;
}

// ---- Dialing back ---------------------------------------------------------------------------------------------------

bool AutoNatServer::dialable(const Multiaddr& address) const {
  const auto shape = shape_of(address.without_peer_id());
  if (!shape || !shape->ip || shape->transport == TransportKind::wss)
    return false;  // whose certificate names no address
  return (shape->ip->is_v6 ? v6_ : v4_) && settings_.filter.allows(*shape->ip);
}

bool AutoNatServer::admit(const Job& job, const Times& now) {
  // The narrowest first: what one of them is refused costs the others nothing.
  return peer_rate_.take(job.peer, now.mono_us) && subnet_rate_.take(subnet_of(job.remote), now.mono_us) &&
         all_rate_.take(0, now.mono_us);
}

bool AutoNatServer::dial(Jobs::iterator job, const Multiaddr& address, const Times& now) {
  const auto dial = dialer_.dial(address.to_string(), job->second.peer);
  if (!dial.ok()) return false;
  job->second.stage = Stage::dialing;
  job->second.deadline_us = now.mono_us + kAutoNatDialBackTimeoutUs;
  job->second.dials.emplace(*dial, address);
  by_dial_.emplace(*dial, job->first);
  return true;
}

void AutoNatServer::on_dialer_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) return on_dialed(*connected);
  if (const auto* failed = std::get_if<DialFailed>(&event)) return on_dial_failed(failed->dial);
  if (back_.on_event(event, now)) {
    while (const auto told = back_.next_event()) on_back_message(*told);
    return;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    const auto by = by_back_.find(disconnected->connection);
    if (by == by_back_.end()) return;
    const auto job = jobs_.find(by->second);
    job->second.back = 0;
    by_back_.erase(by);
    return answer_dial(job, AutoNatDialStatus::dial_back_error, nullptr);
  }
  // Whoever is dialed back has nothing to ask for.
  if (const auto* opened = std::get_if<StreamOpened>(&event); opened != nullptr && opened->incoming) {
    dialer_.reset(opened->stream);
  }
}

void AutoNatServer::on_dialed(const Connected& connected) {
  const auto by = by_dial_.find(connected.dial);
  if (connected.incoming || by == by_dial_.end()) return dialer_.disconnect(connected.connection, Code::ok);
  const auto at = jobs_.find(by->second);
  by_dial_.erase(by);
  Job& job = at->second;
  const Multiaddr address = job.dials.extract(connected.dial).mapped();
  if (!job.v2) {
    dialer_.disconnect(connected.connection, Code::ok);
    return answer_dial(at, AutoNatDialStatus::ok, &address);
  }
  job.stage = Stage::telling;
  job.back = connected.connection;
  by_back_.emplace(connected.connection, at->first);
  const auto stream = back_.open(connected.connection, kAutoNatDialBackProtocol, job.deadline_us);
  if (!stream.ok()) return answer_dial(at, AutoNatDialStatus::dial_back_error, nullptr);
  by_back_stream_.emplace(*stream, at->first);
  (void)back_.send(*stream, encode_autonat_dial_back(job.nonce));  // of a stream that ends by itself when it cannot
  back_.finish(*stream);
}

void AutoNatServer::on_dial_failed(uint64_t dial) {
  const auto by = by_dial_.find(dial);
  if (by == by_dial_.end()) return;
  const auto job = jobs_.find(by->second);
  by_dial_.erase(by);
  job->second.dials.erase(dial);
  if (job->second.dials.empty()) answer_dial(job, AutoNatDialStatus::dial_error, nullptr);
}

void AutoNatServer::on_back_message(const MessageEvent& event) {
  const StreamId stream = std::visit([](const auto& one) { return one.stream; }, event);
  const auto by = by_back_stream_.find(stream);
  if (by == by_back_stream_.end()) return;
  const auto job = jobs_.find(by->second);
  const auto* received = std::get_if<MessageReceived>(&event);
  const bool taken = received != nullptr && decode_autonat_dial_back_answer(received->message).ok();
  answer_dial(job, taken ? AutoNatDialStatus::ok : AutoNatDialStatus::dial_back_error, nullptr);
}

// ---- Answers --------------------------------------------------------------------------------------------------------

void AutoNatServer::answer_v1(Jobs::iterator job, AutoNatStatus status, const Multiaddr* address) {
  AutoNatAnswer answer;
  answer.status = status;
  if (address != nullptr) answer.address = *address;
  (void)asked_.send(job->first, encode_autonat_answer(answer));
  asked_.finish(job->first);
  forget(job);
}

void AutoNatServer::answer_v2(Jobs::iterator job, const AutoNatResponse& response) {
  (void)asked_.send(job->first, encode_autonat_v2(response));
  asked_.finish(job->first);
  forget(job);
}

void AutoNatServer::answer_dial(Jobs::iterator job, AutoNatDialStatus status, const Multiaddr* address) {
  if (!job->second.v2) {
    return answer_v1(job, status == AutoNatDialStatus::ok ? AutoNatStatus::ok : AutoNatStatus::dial_error, address);
  }
  answer_v2(job, {AutoNatOutcome::ok, job->second.index, status});
}

void AutoNatServer::reject(Jobs::iterator job) {
  ++stats_.rejected;
  if (!job->second.v2) return answer_v1(job, AutoNatStatus::dial_refused, nullptr);
  answer_v2(job, {AutoNatOutcome::request_rejected, 0, AutoNatDialStatus::unused});
}

void AutoNatServer::refuse(Jobs::iterator job) {
  ++stats_.refused;
  if (!job->second.v2) return answer_v1(job, AutoNatStatus::dial_refused, nullptr);
  answer_v2(job, {AutoNatOutcome::dial_refused, 0, AutoNatDialStatus::unused});
}

void AutoNatServer::forget(Jobs::iterator at) {
  const StreamId id = at->first;
  Job job = std::move(at->second);
  jobs_.erase(at);
  for (const auto& [dial, address] : job.dials) {
    by_dial_.erase(dial);
    dialer_.cancel_dial(dial);
  }
  std::erase_if(by_back_stream_, [&](const auto& item) {
    if (item.second != id) return false;
    if (back_.owns(item.first)) back_.reset(item.first);
    return true;
  });
  if (job.back == 0) return;
  by_back_.erase(job.back);
  dialer_.disconnect(job.back, Code::ok);
}

// ---- Time -----------------------------------------------------------------------------------------------------------

void AutoNatServer::pump(const Times& now) {
  while (const auto event = asked_.next_event()) {
    if (const auto* received = std::get_if<MessageReceived>(&*event)) {
      on_message(received->stream, received->message, now);
      continue;
    }
    const auto* ended = std::get_if<MessagesEnded>(&*event);
    const auto* closed = std::get_if<MessagesClosed>(&*event);
    const auto job = jobs_.find(ended != nullptr ? ended->stream : closed->stream);
    // Who asked in version 2 may have ended its direction behind its request; whoever still owes something has gone.
    if (job == jobs_.end()) continue;
    const bool owes = job->second.stage == Stage::reading || job->second.stage == Stage::data;
    if (ended != nullptr && !owes) continue;
    if (ended != nullptr) asked_.reset(job->first);
    if (owes) ++stats_.broken;
    forget(job);
  }
}

uint64_t AutoNatServer::step(const Times& now) {
  uint64_t next = dialer_.step(now);
  while (const auto event = dialer_.next_event()) on_dialer_event(*event, now);
  next = std::min(next, asked_.step(now));
  next = std::min(next, back_.step(now));
  while (const auto told = back_.next_event()) on_back_message(*told);
  pump(now);
  std::vector<StreamId> late;
  for (const auto& [id, job] : jobs_) {
    if (job.deadline_us <= now.mono_us) late.push_back(id);
    if (job.deadline_us > now.mono_us) next = std::min(next, job.deadline_us);
  }
  for (const StreamId id : late) {
    const auto job = jobs_.find(id);
    const bool connected = job->second.stage == Stage::telling;
    answer_dial(job, connected ? AutoNatDialStatus::dial_back_error : AutoNatDialStatus::dial_error, nullptr);
  }
  // What came of these may be to be sent.
  return late.empty() ? next : now.mono_us;
}

}  // namespace sereus::net
