// Peers and invites, and the information functions.
#include <cstddef>

#include "core/capi/c_call.h"

using namespace sereus;
using namespace sereus::capi;
using node::QueryKind;
using node::RequestKind;

namespace {

constexpr uint32_t kInviteUsesDefault = 1;
constexpr uint32_t kInviteExpiresDefault = 24 * 60 * 60;
constexpr size_t kInviteOptionsSizeMin = offsetof(sereus_invite_options, peer) + sizeof(const char*);

}  // namespace

sereus_status sereus_invite_create(sereus_node* node, const sereus_invite_options* from, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  sereus_invite_options options = SEREUS_INIT(sereus_invite_options);
  if (from != nullptr) SEREUS_CHECK(copy_struct(from, kInviteOptionsSizeMin, &options));
  if (options.role > SEREUS_ROLE_ADMIN) return SEREUS_E_INVALID;
  RequestGuard guard(RequestKind::invite_create);
  guard.request.store = options.root;
  guard.request.a = options.role == 0 ? SEREUS_ROLE_WRITE : options.role;
  guard.request.b = options.uses_max == 0 ? kInviteUsesDefault : options.uses_max;
  guard.request.c = options.expires_s == 0 ? kInviteExpiresDefault : options.expires_s;
  SEREUS_CHECK(copy_text(options.peer, kTextSizeMax, Presence::optional, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_invite_revoke(sereus_node* node, const char* invite, sereus_id* op) {
  return submit_text(node, RequestKind::invite_revoke, 0, invite, kInviteSizeMax, op);
}

sereus_status sereus_join(sereus_node* node, const char* invite, sereus_id* op) {
  return submit_text(node, RequestKind::join, 0, invite, kInviteSizeMax, op);
}

sereus_status sereus_peer_remove(sereus_node* node, const char* peer, sereus_id* op) {
  return submit_text(node, RequestKind::peer_remove, 0, peer, kTextSizeMax, op);
}

sereus_status sereus_peer_add_address(sereus_node* node, const char* peer, const char* address, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::peer_add_address);
  SEREUS_CHECK(copy_text(peer, kTextSizeMax, Presence::required, &guard.request.x));
  SEREUS_CHECK(copy_text(address, kTextSizeMax, Presence::required, &guard.request.y));
  return submit(*handle, guard, op);
}

sereus_status sereus_sync(sereus_node* node, sereus_id store, const char* peer, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::sync);
  guard.request.store = store;
  SEREUS_CHECK(copy_text(peer, kTextSizeMax, Presence::optional, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_info(sereus_node* node, sereus_rows** out) { return read_all(node, QueryKind::info, out); }
sereus_status sereus_stores(sereus_node* node, sereus_rows** out) { return read_all(node, QueryKind::stores, out); }
sereus_status sereus_peers(sereus_node* node, sereus_rows** out) { return read_all(node, QueryKind::peers, out); }
sereus_status sereus_invites(sereus_node* node, sereus_rows** out) { return read_all(node, QueryKind::invites, out); }
