#include "core/codec/utf8.h"
#include "core/node/node_impl.h"

namespace sereus::node {
namespace {

bool needs_identity(RequestKind kind) {
  if (is_host_request(kind)) return false;  // the own host alone needs one, and says so
  switch (kind) {
    case RequestKind::identity_create:
    case RequestKind::identity_restore:
    case RequestKind::erase:
    case RequestKind::set_online:
    case RequestKind::suspend:
    case RequestKind::resume:
    case RequestKind::network_changed:
      return false;
    default:
      return true;
  }
}

void wipe_secrets(Request& request) {
  for (Bytes* secret : {&request.x, &request.y, &request.z, &request.w}) {
    if (!secret->empty()) crypto::wipe(*secret);
  }
}

}  // namespace

void NodeImpl::refuse(OpRef ref, Code code, std::string detail) {
  context_.complete(ref, fail(code, std::move(detail)));
}

void NodeImpl::submit(Request request, const Times& now) {
  set_now(now);
  const OpRef ref{request.origin, request.op};
  context_.begin(ref);
  if (stage_ == Stage::closing || stage_ == Stage::closed) return refuse(ref, Code::closed, "the node is closed");
  if (request.kind == RequestKind::resume) return resume(ref);
  if (stage_ != Stage::running) return refuse(ref, Code::suspended, "the node is suspended; resume it first");
  if (!keystore_ && needs_identity(request.kind)) {
    return refuse(ref, Code::no_identity, "this data folder has no identity yet; create or restore one first");
  }
  dispatch(ref, request);
  view_->count_operations(static_cast<uint32_t>(context_.operations()));
}

bool NodeImpl::cancel(uint32_t origin, uint64_t op, const Times& now) {
  set_now(now);
  return context_.cancel({origin, op});
}

void NodeImpl::forget_origin(uint32_t origin, const Times& now) {
  set_now(now);
  std::vector<OpRef> its;
  for (const auto& [ref, cancel] : context_.all_operations()) {
    if (ref.origin == origin) its.push_back(ref);
  }
  for (OpRef ref : its) context_.cancel(ref);
  app_hosts_.forget_origin(origin);
}

void NodeImpl::dispatch(OpRef ref, Request& request) {
  if (dispatch_identity(ref, request)) {
    wipe_secrets(request);
    return;
  }
  switch (request.kind) {
    case RequestKind::set_online:
      online_wanted_ = request.a != 0;
      if (!online_wanted_) {
        go_offline();
        return context_.complete(ref, Status());
      }
      app_hosts_.go_online();
      publish_due_ = true;
      return context_.complete(ref, keystore_ ? go_online() : Status());
    case RequestKind::suspend:
      return suspend(ref);
    case RequestKind::network_changed:
      network_changed();
      return context_.complete(ref, Status());
    case RequestKind::invite_create:
    case RequestKind::invite_revoke:
    case RequestKind::join:
    case RequestKind::peer_remove:
    case RequestKind::peer_add_address:
    case RequestKind::sync:
      return dispatch_peer(ref, request);
    default:
      if (is_host_request(request.kind)) return app_hosts_.submit(ref, request);
      return dispatch_store(ref, request);
  }
}

bool NodeImpl::dispatch_identity(OpRef ref, Request& request) {
  switch (request.kind) {
    case RequestKind::identity_create:
      identity_create(ref, request);
      return true;
    case RequestKind::identity_backup:
      identity_backup(ref, request);
      return true;
    case RequestKind::identity_restore:
      identity_restore(ref, request);
      return true;
    case RequestKind::passphrase_change:
      passphrase_change(ref, request);
      return true;
    case RequestKind::erase:
      erase(ref, request);
      return true;
    default:
      return false;
  }
}

StoreSlot* NodeImpl::wanted_store(OpRef ref, uint64_t handle) {
  StoreSlot* slot = slot_of_handle(handle);
  if (slot == nullptr) {
    refuse(ref, Code::not_found, "there is no such store; list-stores shows those there are");
    return nullptr;
  }
  if (!slot->problem().empty()) {
    refuse(ref, Code::corrupt, slot->problem());
    return nullptr;
  }
  if (!slot->usable()) {
    refuse(ref, Code::busy, "the store is being opened; try again");
    return nullptr;
  }
  return slot;
}

void NodeImpl::dispatch_store(OpRef ref, Request& request) {
  switch (request.kind) {
    case RequestKind::store_create:
      return store_create(ref, request);
    case RequestKind::store_drop:
      return store_drop(ref, request);
    case RequestKind::store_delete:
    case RequestKind::store_write:
    case RequestKind::store_watch:
    case RequestKind::store_verify:
      break;
    default:
      return refuse(ref, Code::unsupported, "there is no such request");
  }
  StoreSlot* slot = wanted_store(ref, request.store);
  if (slot == nullptr) return;
  if (request.kind == RequestKind::store_delete) return store_delete(ref, *slot);
  if (request.kind == RequestKind::store_write) return store_write(ref, *slot, request);
  if (request.kind == RequestKind::store_verify) return store_verify(ref, *slot);
  size_t watches = 0;
  for (const auto& [handle, other] : slots_) watches += other->watch_count();
  if (watches >= kWatchesMax) return refuse(ref, Code::again, "there are too many watches; end some");
  const uint64_t handle = slot->handle();
  context_.begin(ref, [this, ref, handle] {
    if (StoreSlot* watched = slot_of_handle(handle)) watched->end_watch(ref, Code::cancelled);
  });
  slot->watch(ref, std::move(request.x), request.a, request.b);
}

void NodeImpl::dispatch_peer(OpRef ref, Request& request) {
  switch (request.kind) {
    case RequestKind::invite_create:
      return invite_create(ref, request);
    case RequestKind::invite_revoke:
      return invite_revoke(ref, request);
    case RequestKind::join:
      return join(ref, request);
    case RequestKind::peer_remove:
      return peer_remove(ref, request);
    case RequestKind::peer_add_address:
      return peer_add_address(ref, request);
    default:
      return sync(ref, request);
  }
}

}  // namespace sereus::node
