#include <algorithm>

#include "core/node/node_impl.h"

namespace sereus::node {
namespace {

constexpr uint32_t kPeerSynced = 5;
constexpr uint64_t kToldUs = kMicrosPerSecond;  // SYNCED is told at most so often while changes stream in
constexpr size_t kReadChunk = 64 * 1024;

}  // namespace

// ---- Sessions -------------------------------------------------------------------------------------------------------

Session* NodeImpl::session_of(const DeviceKey& device, const StoreId& store) {
  const auto peer = peers_.find(device);
  if (peer == peers_.end()) return nullptr;
  const auto stream = peer->second.sessions.find(store);
  if (stream == peer->second.sessions.end()) return nullptr;
  const auto found = sessions_.find(stream->second);
  return found == sessions_.end() ? nullptr : found->second.get();
}

// The side that dialed opens a stream for each store both may have: the root first, the others once it is in step, so
// that who may write is known before the writes arrive.
void NodeImpl::ensure_sessions(const DeviceKey& device, Peer& peer) {
  if (stage_ != Stage::running || !host_ || peer.connection == 0) return;
  const auto connection = connections_.find(peer.connection);
  if (connection == connections_.end() || connection->second.incoming) return;
  for (auto& [handle, slot] : slots_) {
    if (!slot->usable() || slot->local().archived || !may_sync(device, *slot)) continue;
    if (peer.sessions.contains(slot->id())) continue;
    const auto retry = peer.retries.find(slot->id());
    if (retry != peer.retries.end() && context_.now.mono_us < retry->second.at) continue;
    if (!slot->is_root()) {
      const Session* root = session_of(device, slot->root());
      if (root == nullptr || !root->was_synced) continue;
    }
    open_session(device, peer, *slot);
  }
}

void NodeImpl::open_session(const DeviceKey& device, Peer& peer, StoreSlot& slot) {
  const Result<net::StreamId> stream = host_->open_stream(peer.connection, store::kSyncProtocol);
  if (!stream.ok()) {
    peer.problem = stream.error().detail;
    peer.retries[slot.id()].at = context_.now.mono_us + kSessionRetryUsMin;
    return;
  }
  auto session = std::make_unique<Session>(
      Session{++last_session_, device, peer.connection, slot.id(),
              store::SyncSession::initiate(slot.id(), slot.tips(), slot.digest(), context_.now), false, false, 0});
  session_streams_[session->id] = *stream;
  sessions_[*stream] = std::move(session);
  peer.sessions[slot.id()] = *stream;
  pump_session(*stream);
}

// The other side named a store. One that does not exist and one it may not see get the same answer.
void NodeImpl::accept_session(net::StreamId stream, const EarlyStream& early, const store::Frame& frame) {
  const DeviceKey device = early.device;
  const net::ConnectionId connection = early.connection;
  Bytes rest = early_.at(stream).frames.take_rest();
  const Result<StoreId> id = store::SyncSession::store_of(frame);
  if (!id.ok()) return drop_stream(stream);
  StoreSlot* slot = slot_of(*id);
  if (slot == nullptr || !slot->usable() || slot->local().archived || !may_sync(device, *slot)) {
    EarlyStream& refused = early_.at(stream);
    refused.output = store::SyncSession::refusal(Code::denied);
    refused.answered = true;
    return pump_early(stream, refused);
  }
  early_.erase(stream);
  Peer& peer = peer_of(device);
  if (const auto old = peer.sessions.find(*id); old != peer.sessions.end()) end_session(old->second, false);
  Result<store::SyncSession> machine = store::SyncSession::accept(frame, *id, slot->tips(), slot->digest());
  if (!machine.ok()) return drop_stream(stream);
  auto session = std::make_unique<Session>(
      Session{++last_session_, device, connection, *id, std::move(machine).value(), false, false, 0});
  session_streams_[session->id] = stream;
  if (!rest.empty()) session->machine.on_bytes(rest, context_.now);
  sessions_[stream] = std::move(session);
  peer.sessions[*id] = stream;
  pump_session(stream);
}

void NodeImpl::pump_session(net::StreamId stream) {
  const auto found = sessions_.find(stream);
  if (found == sessions_.end() || !host_) return;
  Session& session = *found->second;
  while (session.machine.wants_bytes()) {
    read_chunk_.resize(kReadChunk);  // kept: most calls read nothing, and making it anew would clear it each time
    const Result<net::Host::ReadResult> read = host_->read(stream, read_chunk_);
    if (!read.ok()) return end_session(stream, true);
    if (read->size > 0) session.machine.on_bytes(ByteView(read_chunk_).first(read->size), context_.now);
    if (read->finished) return end_session(stream, true);
    if (read->size == 0) break;
    take_ranges(session);
  }
  take_ranges(session);
  read_for_session(stream, session);
  write_session(stream, session);
  if (session.machine.stage() == store::SyncSession::Stage::failed) {
    peer_of(session.device).problem = session.machine.error().detail;
    context_.log(LogLevel::info, "sync with " + brief(session.device.view()) + ": " + session.machine.error().detail);
    return end_session(stream, true);
  }
  note_synced(session);
}

void NodeImpl::take_ranges(Session& session) {
  StoreSlot* slot = slot_of(session.store);
  while (std::optional<store::ReceivedRange> range = session.machine.take_received()) {
    if (slot == nullptr || !slot->usable()) return;
    slot->ingest(session.id, std::move(*range), config_.verify_every_signature);
  }
}

void NodeImpl::read_for_session(net::StreamId stream, Session& session) {
  StoreSlot* slot = slot_of(session.store);
  if (slot == nullptr || !slot->usable()) return;
  const auto request = session.machine.take_read();
  if (!request) return;
  auto range = std::make_shared<std::optional<Result<std::pair<store::RangeHeader, Bytes>>>>();
  context_.run(
      JobQueue::worker,
      [reader = slot->range_reader(), range, request = *request] {
        range->emplace(reader->read_range(request.author, request.first_seq, request.bytes_max));
      },
      [this, stream, id = session.id, range] {
        const auto still = sessions_.find(stream);
        if (still == sessions_.end() || still->second->id != id) return;
        const uint64_t before = still->second->machine.counters().entries_sent;
        still->second->machine.on_read(std::move(**range));
        entries_sent_ += still->second->machine.counters().entries_sent - before;
        pump_session(stream);
      });
}

void NodeImpl::write_session(net::StreamId stream, Session& session) {
  while (!session.machine.output().empty()) {
    const ByteView output = session.machine.output();
    const Result<size_t> written = host_->write(stream, output);
    if (!written.ok() || *written == 0) return;
    session.machine.consume_output(*written);
    if (*written < output.size()) return;
    read_for_session(stream, session);
  }
}

void NodeImpl::store_ingested(StoreSlot& slot, uint64_t session_id, size_t payload_bytes, uint32_t entries,
                              const Status& outcome) {
  if (outcome.ok()) entries_received_ += entries;
  if (outcome.code() == Code::fork) {
    Event event;
    event.kind = EventKind::fork;
    event.store = slot.handle();
    event.detail = outcome.error().detail;
    context_.emit(std::move(event));
  }
  const auto stream = session_streams_.find(session_id);
  if (stream == session_streams_.end()) return;
  Session& session = *sessions_.at(stream->second);
  session.machine.on_ingested(payload_bytes, entries, outcome, context_.now);
  emit_progress(session);
  pump_session(stream->second);
}

void NodeImpl::emit_progress(const Session& session) {
  const StoreSlot* slot = slot_of(session.store);
  const store::SyncCounters counters = session.machine.counters();
  Event event;
  event.kind = EventKind::sync_progress;
  event.store = slot == nullptr ? 0 : slot->handle();
  event.peer = peer_text(session.device);
  event.count = counters.entries_received;
  event.count_sent = counters.entries_sent;
  event.count_missing = counters.entries_missing;
  context_.emit(std::move(event));
}

void NodeImpl::note_synced(Session& session) {
  const bool now_synced = session.machine.synced();
  const bool became = now_synced && !session.is_synced;
  session.is_synced = now_synced;
  if (!became) return;
  const bool first = !session.was_synced;
  session.was_synced = true;
  Peer& peer = peer_of(session.device);
  peer.retries.erase(session.store);
  if (first || context_.now.mono_us - session.told_at >= kToldUs) {
    session.told_at = context_.now.mono_us;
    peer.known.last_sync_ms = wall_ms(context_.now);
    synced_.insert(session.device);
    if (save_synced_at_ == kNever) save_synced_at_ = context_.now.mono_us + kSaveSyncedUs;
    peers_synced_ = true;
    publish_due_ = publish_due_ || first;
    publish_at_ = std::min(publish_at_, context_.now.mono_us + kPublishUs);
    const StoreSlot* slot = slot_of(session.store);
    emit_peer(kPeerSynced, session.device, "", slot == nullptr ? 0 : slot->handle());
  }
  if (first) ensure_sessions(DeviceKey(session.device), peer);
}

void NodeImpl::end_session(net::StreamId stream, bool retry) {
  const auto found = sessions_.find(stream);
  if (found == sessions_.end()) return;
  const std::unique_ptr<Session> session = std::move(found->second);
  sessions_.erase(found);
  session_streams_.erase(session->id);
  if (host_) host_->reset(stream);
  const auto peer = peers_.find(session->device);
  if (peer == peers_.end()) return;
  const auto its = peer->second.sessions.find(session->store);
  if (its != peer->second.sessions.end() && its->second == stream) peer->second.sessions.erase(its);
  if (!retry) return;
  Peer::Retry& next = peer->second.retries[session->store];
  next.at = context_.now.mono_us + next.delay_us;
  next.delay_us = std::min(next.delay_us * 2, kSessionRetryUsMax);
}

void NodeImpl::sessions_step() {
  std::vector<net::StreamId> due;
  for (auto& [stream, session] : sessions_) {
    if (session->machine.deadline() <= context_.now.mono_us) {
      session->machine.step(context_.now);
      due.push_back(stream);
    }
  }
  for (const net::StreamId stream : due) pump_session(stream);
  for (auto& [device, peer] : peers_) {
    const bool retry = std::any_of(peer.retries.begin(), peer.retries.end(),
                                   [&](const auto& item) { return item.second.at <= context_.now.mono_us; });
    if (!retry || peer.connection == 0) continue;
    ensure_sessions(device, peer);
    // A retry that found nothing to open waits for another reason to look.
    for (auto& [store, next] : peer.retries) {
      if (next.at <= context_.now.mono_us) next.at = context_.now.mono_us + next.delay_us;
    }
  }
}

// ---- The sync operation -----------------------------------------------------------------------------------------------

void NodeImpl::sync(OpRef ref, Request& request) {
  if (!host_) return refuse(ref, Code::unreachable, "this node is offline; go online to sync");
  SyncOp op;
  op.ref = ref;
  if (request.store != 0) {
    StoreSlot* slot = wanted_store(ref, request.store);
    if (slot == nullptr) return;
    op.store = slot->id();
  }
  std::optional<DeviceKey> only;
  if (!request.x.empty()) {
    const auto peer_id = net::PeerId::parse(as_text(request.x));
    only = peer_id ? peer_id->device_key() : std::nullopt;
    if (!only) return refuse(ref, Code::invalid, "this is not a peer id of a Sereus device");
  }
  for (const PeerRow& row : peer_rows()) {
    const DeviceKey device = *net::PeerId::parse(row.peer)->device_key();
    if (row.is_self || row.removed || (only && device != *only) || !belongs(device)) continue;
    Peer& peer = peer_of(device);
    if (peer.connection == 0 && peer.known.addresses.empty()) {
      op.problem = "no address is known of a peer; add one with add-address, or wait until it connects";
      continue;
    }
    op.dialing[device] = peer.failures;
    peer.dial_at = std::min(peer.dial_at, context_.now.mono_us);
    peer.dial_delay_us = kDialBackoffUsMin;
  }
  if (op.dialing.empty()) {
    if (op.problem.empty())
      op.problem = only ? "there is no such peer" : "there is nobody to sync with yet; invite a peer or join one";
    return refuse(ref, Code::unreachable, op.problem);
  }
  op.progress_at = context_.now.mono_us;
  op.received_before = entries_received_;
  op.sent_before = entries_sent_;
  syncs_[ref] = std::move(op);
  context_.begin(ref, [this, ref] {
    const auto found = syncs_.find(ref);
    if (found == syncs_.end()) return;
    end_sync(found->second, Code::cancelled, "cancelled");
    syncs_.erase(found);
  });
  syncs_step();
}

void NodeImpl::end_sync(SyncOp& op, Code code, std::string detail) {
  Event event;
  event.status = code;
  event.detail = std::move(detail);
  event.count = entries_received_ - op.received_before;
  event.count_sent = entries_sent_ - op.sent_before;
  context_.complete(op.ref, std::move(event));
}

// Every session that this peer and we should have is asked once and answers when it has nothing more for us.
bool NodeImpl::sync_done_with(SyncOp& op, const DeviceKey& device) {
  Peer& peer = peer_of(device);
  bool done = materialising_.empty();
  for (auto& [handle, slot] : slots_) {
    if (!slot->usable() || slot->local().archived || !may_sync(device, *slot)) continue;
    if (op.store && slot->id() != *op.store && slot->id() != root_of(*slot)->id()) continue;
    const std::pair<DeviceKey, StoreId> key{device, slot->id()};
    if (op.answered.contains(key)) continue;
    Session* session = session_of(device, slot->id());
    if (session == nullptr) {
      // Refused at least twice: the peer does not have it. Otherwise it is about to be opened.
      const auto retry = peer.retries.find(slot->id());
      if (retry == peer.retries.end() || retry->second.delay_us <= 2 * kSessionRetryUsMin) {
        done = false;
      } else {
        op.refused = true;
      }
      continue;
    }
    if (session->machine.stage() != store::SyncSession::Stage::open) {
      done = false;
      continue;
    }
    if (!op.asked.contains(key)) {
      op.asked[key] = session->machine.ask();
      pump_session(peer.sessions.at(slot->id()));
      return false;
    }
    if (session->machine.answered() >= op.asked[key] && session->machine.synced()) {
      op.answered.insert(key);
    } else {
      done = false;
    }
  }
  return done;
}

// True when the operation is over and was answered.
bool NodeImpl::sync_step(SyncOp& op) {
  for (auto item = op.dialing.begin(); item != op.dialing.end();) {
    Peer& peer = peer_of(item->first);
    if (peer.connection != 0) {
      op.reached.insert(item->first);
    } else if (peer.failures > item->second || peer.known.addresses.empty()) {
      op.problem = peer.problem;
    } else {
      ++item;
      continue;
    }
    item = op.dialing.erase(item);
  }
  const uint64_t moved = entries_received_ + entries_sent_;
  if (moved != op.progress_seen) {
    op.progress_seen = moved;
    op.progress_at = context_.now.mono_us;
  }
  bool done = op.dialing.empty();
  op.refused = false;
  for (auto device = op.reached.begin(); device != op.reached.end();) {
    if (peer_of(*device).connection == 0) {
      op.problem = "the connection was lost";
      device = op.reached.erase(device);
      continue;
    }
    if (!sync_done_with(op, *device)) done = false;
    ++device;
  }
  if (done && op.reached.empty()) {
    end_sync(op, Code::unreachable, op.problem.empty() ? "no peer could be reached" : op.problem);
    return true;
  }
  // Whoever names a store wants it from those who have it. Of all stores, some may not be everywhere.
  if (done && op.refused && (op.store || op.answered.empty())) {
    end_sync(op, Code::unreachable, "a peer does not open the store: it has it not, or cannot read it now");
    return true;
  }
  if (done) {
    end_sync(op, Code::ok, "");
    return true;
  }
  if (context_.now.mono_us < op.progress_at + kSyncIdleUs) return false;
  end_sync(op, Code::timeout, "the stores are not equal yet and nothing has moved for 30 seconds");
  return true;
}

void NodeImpl::syncs_step() {
  for (auto op = syncs_.begin(); op != syncs_.end();) {
    op = sync_step(op->second) ? syncs_.erase(op) : std::next(op);
  }
}

}  // namespace sereus::node
