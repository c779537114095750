#include <algorithm>

#include "core/codec/utf8.h"
#include "core/net/multiaddr.h"
#include "core/node/node_impl.h"

namespace sereus::node {
namespace {

constexpr uint32_t kPeerRemoved = 4;
constexpr size_t kInviteIdTextSize = 12;  // hexadecimal digits shown of an invite's id

std::string invite_id_text(const Hash& id) { return id.hex().substr(0, kInviteIdTextSize); }

}  // namespace

// ---- Who is who -----------------------------------------------------------------------------------------------------

Peer& NodeImpl::peer_of(const DeviceKey& device) {
  const auto [found, added] = peers_.try_emplace(device);
  if (added) found->second.known.device = device;
  return found->second;
}

const Member* NodeImpl::member_of(const DeviceKey& device) const {
  const Member* best = nullptr;
  for (const auto& [handle, slot] : slots_) {
    if (!slot->is_root() || !slot->usable()) continue;
    const Member* member = slot->root_state()->member(device);
    if (member != nullptr && (best == nullptr || (member->active && !best->active))) best = member;
  }
  return best;
}

std::string NodeImpl::peer_name(const DeviceKey& device) const {
  const Member* member = member_of(device);
  return member == nullptr ? std::string() : member->name;
}

// Remembered: events and rows name peers all the time.
const std::string& NodeImpl::peer_text(const DeviceKey& device) const {
  const auto found = peer_texts_.find(device);
  if (found != peer_texts_.end()) return found->second;
  if (peer_texts_.size() >= kPeerTextsMax) peer_texts_.clear();
  return peer_texts_[device] = net::PeerId::from_device_key(device).to_string();
}

bool NodeImpl::belongs(const DeviceKey& device) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const auto& item) {
    return item.second->is_root() && item.second->usable() && may_sync(device, *item.second);
  });
}

// The root says so; or it has not arrived yet, and the device is the one that let us in. It has arrived when it names
// this device: who wrote that is named as well. From then on an introduction, which anybody could have made who knows
// the root's id, counts for nothing.
bool NodeImpl::may_sync(const DeviceKey& device, const StoreSlot& slot) const {
  const auto root_handle = handles_.find(slot.root());
  if (root_handle == handles_.end()) return false;
  const StoreSlot& root = *slots_.at(root_handle->second);
  if (!root.usable()) return false;
  const RootState& state = *root.root_state();
  if (state.may_sync(device)) return true;
  return state.member(device) == nullptr && state.member(own_device()) == nullptr &&
         introductions_.contains({slot.root(), device});
}

void NodeImpl::emit_peer(uint32_t what, const DeviceKey& device, const std::string& address, uint64_t store) {
  Event event;
  event.kind = EventKind::peer;
  event.what = what;
  event.peer = peer_text(device);
  event.name = peer_name(device);
  event.address = address;
  event.store = store;
  context_.emit(std::move(event));
}

std::vector<PeerRow> NodeImpl::peer_rows() const {
  std::set<DeviceKey> devices;
  for (const auto& [device, peer] : peers_) devices.insert(device);
  for (const auto& [handle, slot] : slots_) {
    if (!slot->is_root() || !slot->usable()) continue;
    for (const auto& [device, member] : slot->root_state()->members) devices.insert(device);
  }
  std::vector<PeerRow> rows;
  for (const DeviceKey& device : devices) {
    PeerRow row;
    row.peer = peer_text(device);
    row.is_self = keystore_ && device == own_device();
    if (const Member* member = member_of(device)) {
      row.party = member->party.hex();
      row.name = member->name;
      row.role = static_cast<uint32_t>(member->role);
      row.removed = member->removed;
    }
    if (const auto found = peers_.find(device); found != peers_.end()) {
      const Peer& peer = found->second;
      for (const std::string& address : peer.known.addresses)
        row.addresses += (row.addresses.empty() ? "" : "\n") + address;
      row.connected = peer.connection != 0;
      row.last_sync_ms = peer.known.last_sync_ms;
      row.failures = peer.failures;
      row.detail = peer.problem;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<InviteRow> NodeImpl::invite_rows() const {
  std::vector<InviteRow> rows;
  for (const auto& [id, invite] : invites_) {
    InviteRow row;
    row.id = invite_id_text(id);
    row.role = invite.role;
    row.uses_left = invite.uses_left;
    row.expires_wall_s = invite.expires_wall_s;
    row.revoked = invite.revoked;
    row.peer = invite.peer;
    rows.push_back(std::move(row));
  }
  return rows;
}

void NodeImpl::save_invite(const StoredInvite& invite) {
  context_.run(
      JobQueue::writer, [db = db_, invite] { (void)db->put_invite(invite); }, [] {});
}

void NodeImpl::save_peer(const KnownPeer& peer) {
  context_.run(
      JobQueue::writer, [db = db_, peer] { (void)db->put_peer(peer); }, [] {});
}

// When peers were last in step: all that changed, in one transaction.
void NodeImpl::save_synced() {
  save_synced_at_ = kNever;
  auto peers = std::make_shared<std::vector<KnownPeer>>();
  for (const DeviceKey& device : std::exchange(synced_, {})) {
    if (const auto found = peers_.find(device); found != peers_.end()) peers->push_back(found->second.known);
  }
  if (peers->empty() || !db_) return;
  context_.run(
      JobQueue::writer, [db = db_, peers] { (void)db->put_peers(*peers); }, [] {});
}

// The newest address first; known ones move to the front.
void NodeImpl::remember_address(const DeviceKey& device, const std::string& address) {
  if (peers_.size() >= kPeersMax && !peers_.contains(device)) return;
  Peer& peer = peer_of(device);
  std::vector<std::string>& addresses = peer.known.addresses;
  if (!addresses.empty() && addresses.front() == address) return;
  std::erase(addresses, address);
  addresses.insert(addresses.begin(), address);
  if (addresses.size() > kPeerAddressesMax) addresses.resize(kPeerAddressesMax);
  save_peer(peer.known);
  publish_due_ = true;
}

void NodeImpl::peer_add_address(OpRef ref, Request& request) {
  const auto peer_id = net::PeerId::parse(as_text(request.x));
  const auto device = peer_id ? peer_id->device_key() : std::nullopt;
  if (!device) return refuse(ref, Code::invalid, "this is not a peer id of a Sereus device");
  if (*device == own_device()) return refuse(ref, Code::invalid, "this is the peer id of this device itself");
  const auto address = net::Multiaddr::parse(as_text(request.y));
  if (!address.ok()) return context_.complete(ref, address.error());
  if (!address->dialable()) {
    return refuse(ref, Code::unsupported,
                  "only addresses of the form /ip4/.../udp/.../quic-v1 or /ip4/.../tcp/... can be dialed");
  }
  if (const auto named = address->peer_id(); named && *named != *peer_id) {
    return refuse(ref, Code::invalid, "the address names another peer");
  }
  remember_address(*device, address->without_peer_id().to_string());
  Peer& peer = peer_of(*device);
  peer.dial_at = context_.now.mono_us;
  peer.dial_delay_us = kDialBackoffUsMin;
  context_.complete(ref, Status());
}

// ---- Invites ----------------------------------------------------------------------------------------------------------

void NodeImpl::invite_create(OpRef ref, Request& request) {
  if (request.a > static_cast<uint64_t>(Role::admin)) return refuse(ref, Code::invalid, "there is no such role");
  if (request.b > kInviteUsesMax) return refuse(ref, Code::invalid, "an invite cannot be used that often");
  if (!request.x.empty()) {
    const auto peer = net::PeerId::parse(as_text(request.x));
    if (!peer || !peer->device_key()) return refuse(ref, Code::invalid, "this is not a peer id of a Sereus device");
  }
  with_root(request.store, [this, ref, asked = request](Result<StoreSlot*> root) {
    if (!root.ok()) return context_.complete(ref, root.error());
    issue_invite(ref, **root, asked);
  });
}

void NodeImpl::issue_invite(OpRef ref, StoreSlot& root, const Request& request) {
  if (!root.root_state()->is_admin(own_device())) return refuse(ref, Code::denied, "only an admin may invite");
  drop_spent_invites();
  if (invites_.size() >= kInvitesMax) return refuse(ref, Code::again, "there are too many open invites; revoke some");
  Invite invite;
  invite.issuer = own_device();
  context_.ports.random->fill(invite.token);
  const auto expires_s = static_cast<int64_t>(request.c == 0 ? kInviteExpiresSDefault : request.c);
  invite.expires_wall_s = wall_seconds(context_.now) + expires_s;
  invite.role = static_cast<uint32_t>(request.a == 0 ? Role::write : static_cast<Role>(request.a));
  if (host_) invite.addresses = host_->listen_addresses();
  if (invite.addresses.size() > kInviteAddressesMax) invite.addresses.resize(kInviteAddressesMax);
  StoredInvite stored;
  stored.id = invite_token_hash(invite.token);
  stored.root = root.id();
  stored.role = invite.role;
  stored.uses_left = static_cast<uint32_t>(request.b == 0 ? 1 : request.b);
  stored.expires_wall_s = invite.expires_wall_s;
  stored.peer = to_string(ByteView(request.x));
  auto saved = std::make_shared<Status>();
  context_.run(
      JobQueue::writer, [saved, stored, db = db_] { *saved = db->put_invite(stored); },
      [this, ref, saved, stored, text = invite_to_text(invite)] {
        if (!saved->ok()) return context_.complete(ref, *saved);
        invites_[stored.id] = stored;
        publish();
        Event event;
        event.data = to_bytes(text);
        context_.complete(ref, std::move(event));
      });
}

// Spent and expired invites are kept a day for the list, then go.
void NodeImpl::drop_spent_invites() {
  const int64_t day_ago = wall_seconds(context_.now) - 86400;
  std::vector<Hash> spent;
  for (const auto& [id, invite] : invites_) {
    if (invite.expires_wall_s < day_ago) spent.push_back(id);
  }
  for (const Hash& id : spent) {
    invites_.erase(id);
    context_.run(
        JobQueue::writer, [db = db_, id] { (void)db->remove_invite(id); }, [] {});
  }
}

void NodeImpl::invite_revoke(OpRef ref, Request& request) {
  const std::string_view text = as_text(request.x);
  std::optional<Hash> wanted;
  if (const auto invite = invite_from_text(text); invite.ok()) wanted = invite_token_hash(invite->token);
  const auto found = std::find_if(invites_.begin(), invites_.end(), [&](const auto& item) {
    return wanted ? item.first == *wanted : invite_id_text(item.first) == text;
  });
  if (found == invites_.end()) return refuse(ref, Code::not_found, "this node issued no such invite");
  found->second.revoked = true;
  auto saved = std::make_shared<Status>();
  context_.run(
      JobQueue::writer, [saved, invite = found->second, db = db_] { *saved = db->put_invite(invite); },
      [this, ref, saved] {
        publish();
        context_.complete(ref, *saved);
      });
}

// ---- Removal ------------------------------------------------------------------------------------------------------------

void NodeImpl::peer_remove(OpRef ref, Request& request) {
  const auto peer_id = net::PeerId::parse(as_text(request.x));
  const auto device = peer_id ? peer_id->device_key() : std::nullopt;
  if (!device) return refuse(ref, Code::invalid, "this is not a peer id of a Sereus device");
  if (*device == own_device()) return refuse(ref, Code::invalid, "a device cannot remove itself");
  std::vector<StoreSlot*> roots;
  bool member_somewhere = false;
  for (auto& [handle, slot] : slots_) {
    if (!slot->is_root() || !slot->usable()) continue;
    const Member* member = slot->root_state()->member(*device);
    if (member == nullptr || member->removed) continue;
    member_somewhere = true;
    if (slot->root_state()->is_admin(own_device())) roots.push_back(slot.get());
  }
  if (!member_somewhere) return refuse(ref, Code::not_found, "there is no such peer, or it was removed already");
  if (roots.empty()) return refuse(ref, Code::denied, "only an admin may remove a peer");
  auto left = std::make_shared<size_t>(roots.size());
  for (StoreSlot* root : roots) remove_from(ref, *root, *device, left);
}

// The removal names the last entry of each of the device's authors that counts: what it writes, or backdates, later does not.
void NodeImpl::remove_from(OpRef ref, StoreSlot& root, const DeviceKey& device, std::shared_ptr<size_t> left) {
  std::vector<std::pair<StoreId, std::shared_ptr<StoreWriter>>> guarded;
  for (auto& [handle, slot] : slots_) {
    if (slot->root() == root.id() && slot->usable()) guarded.emplace_back(slot->id(), slot->writer());
  }
  auto cutoffs = std::make_shared<std::map<std::pair<StoreId, AuthorKey>, Cutoff>>();
  const StoreId root_id = root.id();
  context_.run(
      JobQueue::writer,
      [cutoffs, guarded, device] {
        for (const auto& [id, writer] : guarded) {
          for (const store::AuthorTip& tip : writer->store->tips()) {
            const auto binding = writer->store->binding(tip.author);
            if (binding && binding->device == device) (*cutoffs)[{id, tip.author}] = {tip.seq, tip.hash};
          }
        }
      },
      [this, ref, cutoffs, device, root_id, left = std::move(left)] {
        StoreSlot* slot = slot_of(root_id);
        if (slot == nullptr || !slot->usable()) return refuse(ref, Code::closed, "the root store is closed");
        store::Transaction transaction;
        transaction.ops.push_back(root_put(node_key(device, "cutoff"), as_text(encode_cutoffs(*cutoffs))));
        transaction.ops.push_back(root_put(node_key(device, "status"), "removed"));
        slot->write(std::nullopt, std::move(transaction),
                    [this, ref, device, left](const Result<store::Written>& written) {
                      if (!written.ok()) return context_.complete(ref, written.error());
                      if (--*left > 0) return;
                      disconnect_peer(device);
                      publish();
                      emit_peer(kPeerRemoved, device, "", 0);
                      context_.complete(ref, Status());
                    });
        slot->start_work();
      });
}

}  // namespace sereus::node
