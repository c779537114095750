#include <algorithm>

#include "core/crypto/init.h"
#include "core/node/node_impl.h"
#include "core/node/text_lines.h"

namespace sereus::node {
namespace {

constexpr std::string_view kLockFile = "LOCK";
constexpr uint64_t kPublishUs = 200'000;  // counters in info are at most this old

}  // namespace

// ---- Opening --------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Node>> Node::open(const NodePorts& ports, NodeConfig config, const Times& now) {
  crypto::init();
  auto node = std::make_unique<NodeImpl>(ports, std::move(config), now);
  SEREUS_TRY(node->open_folder());
  return std::unique_ptr<Node>(std::move(node));
}

NodeImpl::NodeImpl(const NodePorts& ports, NodeConfig config, const Times& now)
    : context_(ports, now),
      config_(std::move(config)),
      view_(std::make_shared<View>()),
      app_hosts_({context_, *view_, [this] { return ++last_handle_; }, [this] { publish(); }}) {
  online_wanted_ = config_.online;
  app_hosts_.own().set_settings(config_.host);
}

// Without close() before it: a process that ends where it stands. The view outlives the node, its readers must not.
NodeImpl::~NodeImpl() {
  for (auto& [handle, slot] : slots_) view_->set_reader(handle, nullptr);
  if (!config_.passphrase.empty()) crypto::wipe(config_.passphrase);
}

// Everything from the lock to the sockets; also what resume() does.
Status NodeImpl::open_folder() {
  Files& files = *context_.ports.files;
  check_clock(context_.now);
  SEREUS_ASSIGN(lock_, files.lock(kLockFile));
  vfs_ = std::make_unique<storage::Vfs>(files, *context_.ports.random);
  SEREUS_ASSIGN(auto db, NodeDb::open(*vfs_));
  db_ = std::move(db);
  SEREUS_ASSIGN(name_, db_->name());
  SEREUS_ASSIGN(ports_, db_->ports());
  SEREUS_ASSIGN(const auto stores, db_->stores());
  has_stores_ = !stores.empty();
  if (!keystore_) {
    Status identity = open_identity(config_.passphrase);
    if (!config_.passphrase.empty()) crypto::wipe(config_.passphrase);
    config_.passphrase.clear();
    if (!identity.ok() && identity.code() != Code::no_identity) return identity;
  }
  if (keystore_) {
    SEREUS_ASSIGN(const auto invites, db_->invites());
    for (const StoredInvite& invite : invites) invites_[invite.id] = invite;
    SEREUS_ASSIGN(const auto peers, db_->peers());
    for (const KnownPeer& known : peers) peer_of(known.device).known = known;
    SEREUS_ASSIGN(const auto introductions, db_->introductions());
    for (const Introduction& introduction : introductions)
      introductions_.insert({introduction.root, introduction.device});
    // Roots first: data stores are guarded by them.
    for (const bool roots : {true, false}) {
      for (const LocalStore& local : stores) {
        if ((local.id == local.root) == roots) SEREUS_TRY(open_local_store(local));
      }
    }
    reconcile_roots();  // what was not made before the last end
    if (online_wanted_) SEREUS_TRY(go_online());
  }
  if (online_wanted_) app_hosts_.go_online();
  publish();
  return {};
}

// ---- Time -----------------------------------------------------------------------------------------------------------

void NodeImpl::set_now(const Times& now) {
  check_clock(now);
  context_.now = now;
}

// A wall clock before the release, far beyond it, or jumping by hours is reported once; the node works on.
void NodeImpl::check_clock(const Times& now) {
  const int64_t wall_s = now.wall_us / static_cast<int64_t>(kMicrosPerSecond);
  const char* reason = nullptr;
  if (wall_s < config_.build_wall_s) reason = "the clock says a time before this version of Sereus was made; set it";
  if (config_.build_wall_s > 0 && wall_s > config_.build_wall_s + kClockAheadS) {
    reason = "the clock says a time many years ahead; set it";
  }
  const char* jump = nullptr;
  if (last_times_ && last_times_->mono_us != 0) {  // 0: opened before its caller said a time
    const int64_t wall = now.wall_us - last_times_->wall_us;
    const auto mono = static_cast<int64_t>(now.mono_us - last_times_->mono_us);
    if (wall - mono > kClockJumpUs || mono - wall > kClockJumpUs) jump = "the clock jumped by more than an hour";
  }
  const bool was_suspect = context_.clock_suspect;
  const bool first = !last_times_;
  last_times_ = now;
  context_.clock_suspect = reason != nullptr;
  if (host_ && context_.clock_suspect != was_suspect) host_->set_clock_suspect(context_.clock_suspect);
  if (context_.clock_suspect != was_suspect) app_hosts_.set_clock_suspect(context_.clock_suspect);
  if (jump == nullptr && (reason == nullptr || (was_suspect && !first))) return;
  publish_due_ = true;
  Event event;
  event.kind = EventKind::clock_suspect;
  event.wall_us = now.wall_us;
  event.detail = reason != nullptr ? reason : jump;
  context_.log(LogLevel::warn, event.detail);
  context_.emit(std::move(event));
}

uint64_t NodeImpl::step(const Times& now) {
  set_now(now);
  if (stage_ == Stage::closed) return kNever;
  (void)drain_host();
  if (stage_ == Stage::running) {
    dial_due();
    joins_step();
    sessions_step();
    syncs_step();
    disconnect_strangers();
    reconcile_due();
  }
  for (auto& [handle, slot] : slots_) {
    slot->start_work();
    slot->pump_watches();
  }
  host_deadline_ = app_hosts_.step();
  if (host_) {
    host_deadline_ = std::min(host_deadline_, host_->step(now));
    if (drain_host()) host_deadline_ = now.mono_us;  // what they brought is for the next step
    const net::HostStats stats = host_->stats();
    if (publish_at_ == kNever && stats.bytes_received + stats.bytes_sent != published_bytes_) {
      published_bytes_ = stats.bytes_received + stats.bytes_sent;
      publish_at_ = now.mono_us + kPublishUs;
    }
  }
  if (publish_due_ || now.mono_us >= publish_at_) publish();
  // A worker may still be reading for a session or a watch that is gone; only then is nothing open any more.
  if (databases_closed_ && context_.jobs_running() == 0) {
    databases_closed_ = false;
    vfs_.reset();
    std::exchange(shut_down_then_, nullptr)();
  }
  if (stage_ == Stage::closing && !shut_down_then_ && context_.jobs_running() == 0 && slots_.empty()) finish_close();
  return next_deadline();
}

uint64_t NodeImpl::next_deadline() const {
  uint64_t next = std::min(publish_at_, host_deadline_);
  if (stage_ != Stage::running) return next;
  next = std::min(next, reconcile_at_);
  for (const auto& [stream, session] : sessions_) next = std::min(next, session->machine.deadline());
  for (const auto& [ref, join] : joins_) next = std::min(next, join.deadline);
  for (const auto& [ref, sync] : syncs_) next = std::min(next, sync.progress_at + kSyncIdleUs);
  for (const auto& [device, peer] : peers_) {
    if (host_ && peer.connection == 0 && peer.dialing == 0 && !peer.known.addresses.empty() && belongs(device)) {
      next = std::min(next, peer.dial_at);
    }
    if (peer.connection != 0) {
      for (const auto& [store, retry] : peer.retries) next = std::min(next, retry.at);
    }
  }
  for (const auto& [handle, slot] : slots_) {
    const int64_t held = slot->next_held_wall_us();
    if (held == 0 || slot->busy()) continue;
    const int64_t wait = std::max<int64_t>(held - context_.now.wall_us, 0);
    next = std::min(next, context_.now.mono_us + static_cast<uint64_t>(wait));
  }
  for (const auto& [id, connection] : connections_) {
    if (is_stranger(id, connection)) next = std::min(next, connection.since + kStrangerUs);
  }
  return next;
}

// ---- What others see ------------------------------------------------------------------------------------------------

void NodeImpl::publish() {
  publish_due_ = false;
  publish_at_ = kNever;
  View::State state;
  if (stage_ == Stage::suspended || stage_ == Stage::suspending) state.unavailable = Code::suspended;
  if (stage_ == Stage::closed) state.unavailable = Code::closed;
  InfoRow& info = state.info;
  info.name = name_;
  info.online = host_ != nullptr;
  info.clock_suspect = context_.clock_suspect;
  if (keystore_) {
    const net::PeerId peer = net::PeerId::from_device_key(own_device());
    info.peer = peer.to_string();
    info.party = keystore_->party_key().hex();
    info.protected_keystore = protected_;
    info.addresses = join_lines(app_hosts_.own().addresses());
  }
  info.connections = static_cast<uint32_t>(connections_.size());
  info.entries_received = entries_received_;
  info.entries_sent = entries_sent_;
  info.bytes_sent = bytes_sent_before_;
  info.bytes_received = bytes_received_before_;
  if (host_) {
    const net::HostStats stats = host_->stats();
    info.bytes_sent += stats.bytes_sent;
    info.bytes_received += stats.bytes_received;
  }
  for (const auto& [handle, slot] : slots_) {
    StoreRow row;
    row.store = handle;
    const StoreSlot* root = slot_of(slot->root());
    row.root = root != nullptr ? root->handle() : 0;
    row.uuid = slot->id().hex();
    row.name = slot->local().name;
    row.is_root = slot->is_root();
    row.detail = slot->problem();
    row.state = !slot->problem().empty() ? StoreState::damaged
                : slot->local().archived ? StoreState::archived
                                         : StoreState::active;
    state.stores.push_back(std::move(row));
  }
  state.peers = peer_rows();
  state.invites = invite_rows();
  state.hosts = app_hosts_.host_rows();
  view_->publish(std::move(state));
}

// ---- Closing, suspending --------------------------------------------------------------------------------------------

void NodeImpl::answer_all(Code code, std::string_view detail) {
  joins_.clear();
  syncs_.clear();
  std::vector<OpRef> left;
  for (const auto& [ref, cancel] : context_.all_operations()) left.push_back(ref);
  for (OpRef ref : left) context_.complete(ref, fail(code, std::string(detail)));
}

// Ends the network, then the stores, data stores before their roots, then the database. `then` runs last.
void NodeImpl::shut_down(std::function<void()> then) {
  shut_down_then_ = std::move(then);
  std::vector<OpRef> waiting;
  for (const auto& [ref, join] : joins_) waiting.push_back(ref);
  for (const auto& [ref, sync] : syncs_) waiting.push_back(ref);
  joins_.clear();
  syncs_.clear();
  for (OpRef ref : waiting) context_.complete(ref, fail(Code::cancelled, "the node is closing"));
  go_offline(stage_ == Stage::suspending ? Code::suspended : Code::closed);
  close_stores();
}

void NodeImpl::close_stores() {
  if (closing_slots_ > 0) return;
  std::vector<StoreSlot*> next;
  for (const bool roots : {false, true}) {
    for (auto& [handle, slot] : slots_) {
      if (slot->is_root() == roots) next.push_back(slot.get());
    }
    if (!next.empty()) break;
  }
  if (next.empty()) {
    // The database belongs to the writer queue, and is closed behind whatever is still queued there.
    context_.run(
        JobQueue::writer, [db = std::exchange(db_, nullptr)]() mutable { db.reset(); },
        [this] { databases_closed_ = true; });
    return;
  }
  closing_slots_ = next.size();
  for (StoreSlot* slot : next) {
    const uint64_t handle = slot->handle();
    view_->set_reader(handle, nullptr);
    slot->close(stage_ == Stage::suspending, [this, handle] {
      handles_.erase(slots_.at(handle)->id());
      slots_.erase(handle);
      --closing_slots_;
      close_stores();
    });
  }
}

void NodeImpl::suspend(OpRef ref) {
  stage_ = Stage::suspending;
  shut_down([this, ref] {
    if (stage_ == Stage::closing) return refuse(ref, Code::cancelled, "the node is closing");
    lock_.reset();
    stage_ = Stage::suspended;
    publish();
    context_.complete(ref, Status());
  });
}

// Where it fails all is as before: nothing held, nothing open.
Status NodeImpl::reopen_folder() {
  Status opened = open_folder();
  if (opened.ok()) return opened;
  for (auto& [handle, slot] : slots_) view_->set_reader(handle, nullptr);
  go_offline();
  slots_.clear();
  handles_.clear();
  db_.reset();
  vfs_.reset();
  lock_.reset();
  return opened;
}

void NodeImpl::resume(OpRef ref) {
  if (stage_ != Stage::suspended) return context_.complete(ref, fail(Code::invalid, "the node is not suspended"));
  const Status opened = reopen_folder();
  if (opened.ok()) {
    stage_ = Stage::running;
    publish();
  }
  context_.complete(ref, opened);
}

void NodeImpl::close(const Times& now) {
  set_now(now);
  if (stage_ == Stage::closing || stage_ == Stage::closed) return;
  if (stage_ == Stage::suspended) {
    stage_ = Stage::closing;
    return;
  }
  const bool under_way = stage_ == Stage::suspending;  // its own end comes first, then ours
  stage_ = Stage::closing;
  if (!under_way) shut_down([] {});
}

void NodeImpl::finish_close() {
  lock_.reset();
  answer_all(Code::cancelled, "the node is closing");
  stage_ = Stage::closed;
  publish();
  Event event;
  event.kind = EventKind::closed;
  context_.emit(std::move(event));
}

}  // namespace sereus::node
