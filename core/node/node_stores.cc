#include <algorithm>

#include "core/codec/utf8.h"
#include "core/node/node_impl.h"

namespace sereus::node {
namespace {

constexpr uint32_t kStoreAdded = 1;
constexpr uint32_t kStoreArchived = 2;

}  // namespace

// ---- Slots ----------------------------------------------------------------------------------------------------------

StoreSlot* NodeImpl::slot_of_handle(uint64_t handle) {
  const auto found = slots_.find(handle);
  return found == slots_.end() ? nullptr : found->second.get();
}

StoreSlot* NodeImpl::slot_of(const StoreId& id) {
  const auto found = handles_.find(id);
  return found == handles_.end() ? nullptr : slot_of_handle(found->second);
}

StoreSlot* NodeImpl::own_root() {
  for (auto& [handle, slot] : slots_) {
    // Without an entry it is one whose founding broke off.
    if (slot->local().own_root && slot->usable() && !slot->tips().empty()) return slot.get();
  }
  return nullptr;
}

StoreSlot& NodeImpl::add_slot(const LocalStore& local) {
  // A store keeps its number over suspend and resume, so that what an application holds stays good.
  uint64_t& handle = numbers_[local.id];
  if (handle == 0) handle = ++last_handle_;
  auto slot = std::make_unique<StoreSlot>(context_, *this, handle, local);
  StoreSlot& added = *slot;
  slots_[handle] = std::move(slot);
  handles_[local.id] = handle;
  return added;
}

// While the node opens: on the calling thread. A store that is damaged does not keep the others from working.
Status NodeImpl::open_local_store(const LocalStore& local) {
  StoreSlot& slot = add_slot(local);
  const StoreOpenOptions options{local.id, local.id == local.root, !local.made, config_.fsync_each};
  auto opened = open_store(*context_.ports.files, *vfs_, *context_.ports.random, context_.ports.logger, options);
  // Of the store that says nothing: the next try finds it whole.
  if (opened.code() == Code::no_memory) return opened.error();
  if (!opened.ok()) {
    slot.set_problem(opened.error().detail);
    context_.log(LogLevel::error, "store " + brief(local.id.view()) + " cannot be opened: " + opened.error().detail);
    return {};
  }
  slot.local().made = true;
  if (!local.made) SEREUS_TRY(db_->put_store(slot.local()));
  const store::RecoveryReport& recovery = opened->recovery;
  if (recovery.torn_bytes_dropped > 0) {
    context_.log(LogLevel::warn, "store " + brief(local.id.view()) +
                                     ": an entry that was being written when the power went "
                                     "was cut off (" +
                                     std::to_string(recovery.torn_bytes_dropped) + " bytes)");
  }
  StoreSlot* root = slot_of(local.root);
  slot.adopt(std::move(*opened), root != nullptr ? root->writer() : nullptr, *keystore_);
  slot.set_root_slot(root);
  view_->set_reader(slot.handle(), slot.view_reader());
  return {};
}

// Makes or opens a store while the node runs.
void NodeImpl::materialise(const LocalStore& local, std::function<void(const Status&)> then) {
  // The answer of an earlier step can come after closing began, when the database is no longer the node's.
  if (!db_) return then(fail(Code::cancelled, "the node is closing"));
  if (slots_.size() + materialising_.size() >= kStoresMax) {
    return then(fail(Code::again, "this node holds as many stores as it can; drop some"));
  }
  materialising_.insert(local.id);
  auto opened = std::make_shared<std::optional<Result<OpenedStore>>>();
  const StoreOpenOptions options{local.id, local.id == local.root, true, config_.fsync_each};
  context_.run(
      JobQueue::writer,
      [this, opened, options, local, db = db_] {
        // The row first: a folder without a row would be an orphan. Until the folder is there the row says so.
        LocalStore row = local;
        row.made = false;
        Status saved = db->put_store(row);
        if (saved.ok()) {
          opened->emplace(
              open_store(*context_.ports.files, *vfs_, *context_.ports.random, context_.ports.logger, options));
          if (!(*opened)->ok()) return;
          saved = db->put_store(local);
        }
        if (!saved.ok()) opened->emplace(saved.error());
      },
      [this, opened, local, then = std::move(then)] {
        materialising_.erase(local.id);
        if (!(*opened)->ok()) return then((*opened)->error());
        if (stage_ != Stage::running) {
          // Too late: it is on disk and opens the next time. Nothing may stay open now.
          opened->reset();
          return then(fail(Code::cancelled, "the node is closing"));
        }
        StoreSlot& slot = add_slot(local);
        StoreSlot* root = slot_of(local.root);
        slot.adopt(std::move(**opened).value(), root != nullptr ? root->writer() : nullptr, *keystore_);
        slot.set_root_slot(root);
        view_->set_reader(slot.handle(), slot.view_reader());
        publish();
        emit_store(kStoreAdded, slot);
        for (auto& [device, peer] : peers_) ensure_sessions(device, peer);
        then(Status());
      });
}

void NodeImpl::emit_store(uint32_t what, StoreSlot& slot) {
  Event event;
  event.kind = EventKind::store;
  event.what = what;
  event.store = slot.handle();
  event.peer = slot.id().hex();
  event.name = slot.local().name;
  context_.emit(std::move(event));
}

void NodeImpl::save_store(const LocalStore& local) {
  context_.run(
      JobQueue::writer, [db = db_, local] { (void)db->put_store(local); }, [] {});
}

// ---- What a root declares ---------------------------------------------------------------------------------------------

void NodeImpl::reconcile_root(StoreSlot& root) {
  const std::shared_ptr<const RootState> state = root.root_state();
  for (const auto& [id, declaration] : state->stores) {
    if (declaration.name.empty() && declaration.created_at_ms == 0) continue;  // not a declaration yet
    StoreSlot* slot = slot_of(id);
    if (slot == nullptr) {
      if (declaration.deleted || materialising_.contains(id)) continue;
      LocalStore local;
      local.id = id;
      local.root = root.id();
      local.name = declaration.name;
      materialise(local, [this](const Status& made) {
        if (!made.ok()) return reconcile_later(made.error());
        reconcile_delay_us_ = kReconcileUsMin;
      });
      continue;
    }
    if (slot->is_root() || slot->root() != root.id()) continue;  // another root's: this one has no say over it
    if (declaration.deleted && !slot->local().archived) archive(*slot);
    if (slot->local().name != declaration.name) {
      slot->local().name = declaration.name;
      save_store(slot->local());
      publish_due_ = true;
    }
  }
}

// The disk may have been full, or memory short: nothing else would ever ask for the store again.
void NodeImpl::reconcile_later(const Error& why) {
  context_.log(LogLevel::warn, "a declared store could not be made: " + why.detail);
  if (reconcile_at_ != kNever) return;
  reconcile_at_ = context_.now.mono_us + reconcile_delay_us_;
  reconcile_delay_us_ = std::min(2 * reconcile_delay_us_, kReconcileUsMax);
}

void NodeImpl::reconcile_due() {
  if (context_.now.mono_us < reconcile_at_) return;
  reconcile_at_ = kNever;
  reconcile_roots();
}

// A root may declare stores that are not here.
void NodeImpl::reconcile_roots() {
  std::vector<StoreSlot*> roots;
  for (auto& [handle, slot] : slots_) {
    if (slot->is_root() && slot->usable()) roots.push_back(slot.get());
  }
  for (StoreSlot* root : roots) reconcile_root(*root);
}

void NodeImpl::archive(StoreSlot& slot) {
  slot.local().archived = true;
  save_store(slot.local());
  std::vector<net::StreamId> its;
  for (const auto& [stream, session] : sessions_) {
    if (session->store == slot.id()) its.push_back(stream);
  }
  for (const net::StreamId stream : its) end_session(stream, false);
  publish();
  emit_store(kStoreArchived, slot);
}

// ---- Roots ------------------------------------------------------------------------------------------------------------

void NodeImpl::with_root(uint64_t handle, std::function<void(Result<StoreSlot*>)> then) {
  if (handle != 0) {
    StoreSlot* slot = slot_of_handle(handle);
    if (slot == nullptr || !slot->usable()) return then(fail(Code::not_found, "there is no such root store"));
    if (!slot->is_root()) return then(fail(Code::invalid, "this store is not a root store"));
    return then(slot);
  }
  if (StoreSlot* own = own_root()) return then(own);
  waiting_for_root_.push_back(std::move(then));
  if (!founding_root_) found_root();
}

// This node's own root: its id commits to the party, its first entry names this device as admin. A founding that broke off goes
// on with the same id, so that there is never a second one.
void NodeImpl::found_root() {
  founding_root_ = true;
  NodeDb::FoundingNonce fresh{};
  context_.ports.random->fill(fresh);
  auto nonce = std::make_shared<Result<NodeDb::FoundingNonce>>(fail(Code::internal, "not asked yet"));
  context_.run(
      JobQueue::writer, [nonce, fresh, db = db_] { *nonce = db->begin_founding(fresh); },
      [this, nonce] {
        if (nonce->code() == Code::exists) {
          // It is not replaced by another: members of the first would never hear of the second.
          return root_founded(
              fail(Code::io, "this node's root store could not be opened; restart the node once the cause is mended"));
        }
        if (!nonce->ok()) return root_founded(nonce->error());
        if (!db_) return root_founded(fail(Code::cancelled, "the node is closing"));
        make_own_root(**nonce);
      });
}

void NodeImpl::make_own_root(const NodeDb::FoundingNonce& nonce) {
  LocalStore local;
  local.id = store::root_store_id(keystore_->party_key(), nonce);
  local.root = local.id;
  local.name = "root";
  local.own_root = true;
  if (const StoreSlot* slot = slot_of(local.id)) {
    if (slot->usable()) return write_genesis(local.id, nonce);
    return root_founded(fail(Code::io, "this node's root store could not be opened: " + slot->problem()));
  }
  materialise(local, [this, id = local.id, nonce](const Status& made) {
    if (!made.ok()) return root_founded(made.error());
    write_genesis(id, nonce);
  });
}

void NodeImpl::write_genesis(const StoreId& id, const NodeDb::FoundingNonce& nonce) {
  store::WriteOp genesis;
  genesis.kind = store::OpKind::genesis;
  genesis.party = keystore_->party_key();
  genesis.nonce = nonce;
  StoreSlot* slot = slot_of(id);
  store::Transaction transaction;
  transaction.ops.push_back(genesis);
  const DeviceKey self = own_device();
  transaction.ops.push_back(root_put(node_key(self, "status"), "active"));
  transaction.ops.push_back(root_put(node_key(self, "role"), "admin"));
  transaction.ops.push_back(root_put(node_key(self, "party"), keystore_->party_key().hex()));
  transaction.ops.push_back(root_put(node_key(self, "name"), name_));
  transaction.ops.push_back(root_put(node_key(self, "added_at"), std::to_string(wall_ms(context_.now))));
  slot->write(std::nullopt, std::move(transaction), [this, id](const Result<store::Written>& written) {
    if (!written.ok()) return root_founded(written.error());
    if (db_) {
      context_.run(
          JobQueue::writer, [db = db_] { (void)db->end_founding(); }, [] {});
    }
    root_founded(slot_of(id));
  });
  slot->start_work();
}

void NodeImpl::root_founded(const Result<StoreSlot*>& root) {
  founding_root_ = false;
  const auto waiting = std::exchange(waiting_for_root_, {});
  for (const auto& then : waiting) then(root);
}

// ---- Requests ---------------------------------------------------------------------------------------------------------

void NodeImpl::store_create(OpRef ref, Request& request) {
  const std::string name = to_string(ByteView(request.x));
  if (name.empty() || name.size() > kNameSizeMax || !valid_utf8(request.x)) {
    return refuse(ref, Code::invalid, "a store needs a name of 1 to 256 bytes of UTF-8");
  }
  with_root(request.store, [this, ref, name](Result<StoreSlot*> root) {
    if (!root.ok()) return context_.complete(ref, root.error());
    declare_store(ref, **root, name);
  });
}

void NodeImpl::declare_store(OpRef ref, StoreSlot& root, const std::string& name) {
  if (!root.root_state()->is_admin(own_device())) {
    return refuse(ref, Code::denied, "only an admin of the root store may create stores in it");
  }
  LocalStore local;
  context_.ports.random->fill(local.id.bytes);
  local.root = root.id();
  local.name = name;
  store::Transaction transaction;
  transaction.ops.push_back(root_put(store_key(local.id, "name"), name));
  transaction.ops.push_back(root_put(store_key(local.id, "created_at"), std::to_string(wall_ms(context_.now))));
  transaction.ops.push_back(root_put(store_key(local.id, "created_by"), own_device().hex()));
  // The replica first, so that the declaration finds it; a crash in between leaves an empty store that nobody knows of.
  materialise(local, [this, ref, local, transaction = std::move(transaction)](const Status& made) mutable {
    if (!made.ok()) return context_.complete(ref, made);
    StoreSlot* root_slot = slot_of(local.root);
    if (root_slot == nullptr) return refuse(ref, Code::closed, "the root store is closed");
    root_slot->write(std::nullopt, std::move(transaction), [this, ref, local](const Result<store::Written>& written) {
      if (!written.ok()) return context_.complete(ref, written.error());
      const StoreSlot* slot = slot_of(local.id);
      Event event;
      event.store = slot == nullptr ? 0 : slot->handle();
      context_.complete(ref, std::move(event));
    });
    root_slot->start_work();
  });
}

void NodeImpl::store_delete(OpRef ref, StoreSlot& slot) {
  if (slot.is_root()) return refuse(ref, Code::invalid, "a root store cannot be deleted; delete the stores in it");
  if (slot.local().archived) return refuse(ref, Code::archived, "the store is deleted already");
  StoreSlot* root = root_of(slot);
  if (root == nullptr || !root->usable() || !root->root_state()->is_admin(own_device())) {
    return refuse(ref, Code::denied, "only an admin may delete a store");
  }
  store::Transaction transaction;
  transaction.ops.push_back(root_put(store_key(slot.id(), "deleted_at"), std::to_string(wall_ms(context_.now))));
  root->write(std::nullopt, std::move(transaction), [this, ref](const Result<store::Written>& written) {
    context_.complete(ref, written.ok() ? Status() : Status(written.error()));
  });
  root->start_work();
}

void NodeImpl::store_drop(OpRef ref, Request& request) {
  StoreSlot* slot = slot_of_handle(request.store);
  if (slot == nullptr) return refuse(ref, Code::not_found, "there is no such store");
  if (!slot->local().archived)
    return refuse(ref, Code::invalid, "only an archived store can be dropped; delete it first");
  const uint64_t handle = slot->handle();
  const StoreId id = slot->id();
  view_->set_reader(handle, nullptr);
  slot->close(false, [this, ref, handle, id] {
    slots_.erase(handle);
    handles_.erase(id);
    auto dropped = std::make_shared<Status>();
    context_.run(
        JobQueue::writer,
        [dropped, id, db = db_, files = context_.ports.files] {
          *dropped = db->remove_store(id);
          if (dropped->ok()) *dropped = files->remove_tree(store_folder(id));
        },
        [this, ref, dropped] {
          publish();
          context_.complete(ref, *dropped);
        });
  });
}

void NodeImpl::store_write(OpRef ref, StoreSlot& slot, Request& request) {
  if (slot.is_root())
    return refuse(ref, Code::denied, "a root store is written by Sereus itself; create a store in it");
  if (slot.local().archived) return refuse(ref, Code::archived, "the store was deleted and is read-only");
  const StoreSlot* root = root_of(slot);
  if (root == nullptr || !root->usable() || root->tips().empty()) {
    return refuse(ref, Code::pending, "the root store is not here yet; sync before writing");
  }
  // Others take no entry that cites nothing of the root.
  if (root->authority_heads().empty()) {
    return refuse(ref, Code::pending, "the root store is from the future: this device's clock may be behind; set it");
  }
  const Member* self = root->root_state()->member(own_device());
  if (self == nullptr || !self->active || self->role < Role::write) {
    return refuse(ref, Code::denied, "this device may only read this store");
  }
  if (request.writes.empty()) return refuse(ref, Code::invalid, "a transaction needs at least one operation");
  const uint64_t handle = slot.handle();
  context_.begin(ref, [this, ref, handle] {
    if (StoreSlot* waiting = slot_of_handle(handle)) waiting->withdraw(ref);
  });
  store::Transaction transaction;
  transaction.ops = std::move(request.writes);
  slot.write(ref, std::move(transaction), [this, ref](const Result<store::Written>& written) {
    if (!written.ok()) return context_.complete(ref, written.error());
    Event event;
    event.data = to_bytes(written->hash.view());
    event.count = written->sequence;
    context_.complete(ref, std::move(event));
  });
  slot.start_work();
}

void NodeImpl::store_verify(OpRef ref, StoreSlot& slot) {
  auto verified = std::make_shared<Status>();
  context_.run(
      JobQueue::writer, [verified, writer = slot.writer()] { *verified = writer->store->verify(); },
      [this, ref, verified] { context_.complete(ref, *verified); });
}

// ---- What stores tell ---------------------------------------------------------------------------------------------------

void NodeImpl::store_moved(StoreSlot& slot, const std::vector<store::AuthorTip>& tips) {
  std::vector<net::StreamId> its;
  for (auto& [stream, session] : sessions_) {
    if (session->store == slot.id()) {
      session->machine.on_local(tips, slot.digest());
      its.push_back(stream);
    } else if (slot.is_root()) {
      const StoreSlot* other = slot_of(session->store);
      if (other != nullptr && other->root() == slot.id()) session->machine.ask_again(context_.now);
    }
  }
  for (const net::StreamId stream : its) pump_session(stream);
  if (!slot.is_root() || tips.empty() || stage_ != Stage::running) return;
  publish_due_ = true;
  reconcile_root(slot);
  std::vector<DeviceKey> gone;
  for (const auto& [id, connection] : connections_) {
    const Member* member = slot.root_state()->member(connection.device);
    if (member != nullptr && member->removed && !belongs(connection.device)) gone.push_back(connection.device);
  }
  for (const DeviceKey& device : gone) disconnect_peer(device);
  end_barred_sessions(slot);
  for (auto& [device, peer] : peers_) ensure_sessions(device, peer);
}

// The root moved: who may not sync its stores any more is told nothing further.
void NodeImpl::end_barred_sessions(const StoreSlot& root) {
  std::vector<net::StreamId> barred;
  for (const auto& [stream, session] : sessions_) {
    const StoreSlot* slot = slot_of(session->store);
    if (slot != nullptr && slot->root() == root.id() && !may_sync(session->device, *slot)) barred.push_back(stream);
  }
  for (const net::StreamId stream : barred) end_session(stream, false);
}

}  // namespace sereus::node
