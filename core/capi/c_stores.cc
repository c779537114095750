// Stores: writing by requests, reading by queries.
#include <algorithm>

#include "core/capi/c_call.h"
#include "core/capi/c_rows.h"
#include "core/store/limits.h"

using namespace sereus;
using namespace sereus::capi;
using node::QueryKind;
using node::RequestKind;

namespace {

static_assert(store::kKeySizeMax == SEREUS_KEY_SIZE_MAX);
static_assert(store::kValueSizeMax == SEREUS_VALUE_SIZE_MAX);
static_assert(store::kOpsPerEntryMax == SEREUS_TRANSACTION_OPS_MAX);

sereus_status submit_for_store(sereus_node* node, RequestKind kind, sereus_id store, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (store == 0) return SEREUS_E_NOT_FOUND;
  RequestGuard guard(kind);
  guard.request.store = store;
  return submit(*handle, guard, op);
}

Code copy_write(store::OpKind kind, sereus_bytes key, sereus_bytes value, store::WriteOp* to) {
  to->kind = kind;
  if (key.size == 0) return Code::invalid;
  const Code code = copy_bytes(key, SEREUS_KEY_SIZE_MAX, &to->key);
  if (code != Code::ok) return code;
  return copy_bytes(value, SEREUS_VALUE_SIZE_MAX, &to->value);
}

sereus_status write_one(sereus_node* node, sereus_id store, store::OpKind kind, sereus_bytes key, sereus_bytes value,
                        sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (store == 0) return SEREUS_E_NOT_FOUND;
  RequestGuard guard(RequestKind::store_write);
  guard.request.store = store;
  guard.request.writes.resize(1);
  SEREUS_CHECK(copy_write(kind, key, value, &guard.request.writes[0]));
  return submit(*handle, guard, op);
}

bool has_twice(const std::vector<store::WriteOp>& writes) {
  std::vector<ByteView> keys;
  keys.reserve(writes.size());
  for (const store::WriteOp& write : writes) keys.emplace_back(write.key);
  std::sort(keys.begin(), keys.end(), [](ByteView a, ByteView b) { return compare(a, b) < 0; });
  return std::adjacent_find(keys.begin(), keys.end(), equal) != keys.end();
}

Code copy_writes(const sereus_write* writes, size_t count, std::vector<store::WriteOp>* to) {
  size_t bytes = 0;
  to->resize(count);
  for (size_t i = 0; i < count; ++i) {
    const sereus_write& write = writes[i];
    const bool is_put = write.kind == SEREUS_WRITE_PUT;
    if ((!is_put && write.kind != SEREUS_WRITE_REMOVE) || write.reserved != 0) return Code::invalid;
    if (!is_put && write.value.size != 0) return Code::invalid;
    const Code code =
        copy_write(is_put ? store::OpKind::put : store::OpKind::remove, write.key, write.value, &(*to)[i]);
    if (code != Code::ok) return code;
    bytes += write.key.size + write.value.size;
    if (bytes > kWriteBytesMax) return Code::too_large;
  }
  return has_twice(*to) ? Code::invalid : Code::ok;
}

sereus_status read_key(sereus_node* node, QueryKind kind, sereus_id store, sereus_bytes key, sereus_rows** out) {
  SEREUS_BEGIN_READ(handle, node, out);
  if (store == 0) return SEREUS_E_NOT_FOUND;
  node::Query query;
  query.kind = kind;
  query.store = store;
  if (key.size == 0) return SEREUS_E_INVALID;
  SEREUS_CHECK(copy_bytes(key, SEREUS_KEY_SIZE_MAX, &query.x));
  return read(*handle, query, out);
}

}  // namespace

sereus_status sereus_store_create(sereus_node* node, sereus_id root, const char* name, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(RequestKind::store_create);
  guard.request.store = root;
  SEREUS_CHECK(copy_text(name, kTextSizeMax, Presence::required, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_store_open(sereus_node* node, const char* uuid_or_name, sereus_id* store) {
  if (store == nullptr) return SEREUS_E_INVALID;
  *store = 0;
  SEREUS_NODE_OR_RETURN(handle, node);
  node::Query query;
  query.kind = QueryKind::store_open;
  SEREUS_CHECK(copy_text(uuid_or_name, kTextSizeMax, Presence::required, &query.x));
  const auto rows = handle->backend->query(query);
  if (!rows.ok()) return to_status(rows.code());
  const auto* found = std::get_if<std::vector<node::StoreRow>>(&*rows);
  if (found == nullptr || found->size() != 1) return SEREUS_E_INTERNAL;
  *store = found->front().store;
  return SEREUS_OK;
}

sereus_status sereus_store_delete(sereus_node* node, sereus_id store, sereus_id* op) {
  return submit_for_store(node, RequestKind::store_delete, store, op);
}

sereus_status sereus_store_drop(sereus_node* node, sereus_id store, sereus_id* op) {
  return submit_for_store(node, RequestKind::store_drop, store, op);
}

sereus_status sereus_store_verify(sereus_node* node, sereus_id store, sereus_id* op) {
  return submit_for_store(node, RequestKind::store_verify, store, op);
}

sereus_status sereus_store_put(sereus_node* node, sereus_id store, sereus_bytes key, sereus_bytes value,
                               sereus_id* op) {
  return write_one(node, store, store::OpKind::put, key, value, op);
}

sereus_status sereus_store_remove(sereus_node* node, sereus_id store, sereus_bytes key, sereus_id* op) {
  return write_one(node, store, store::OpKind::remove, key, sereus_bytes{nullptr, 0}, op);
}

sereus_status sereus_store_write(sereus_node* node, sereus_id store, const sereus_write* writes, size_t count,
                                 sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (writes == nullptr || count == 0) return SEREUS_E_INVALID;
  if (count > SEREUS_TRANSACTION_OPS_MAX) return SEREUS_E_TOO_LARGE;
  if (store == 0) return SEREUS_E_NOT_FOUND;
  RequestGuard guard(RequestKind::store_write);
  guard.request.store = store;
  SEREUS_CHECK(copy_writes(writes, count, &guard.request.writes));
  return submit(*handle, guard, op);
}

sereus_status sereus_store_watch(sereus_node* node, sereus_id store, sereus_bytes prefix, uint64_t epoch,
                                 uint64_t sequence, sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  if (store == 0) return SEREUS_E_NOT_FOUND;
  RequestGuard guard(RequestKind::store_watch);
  guard.request.store = store;
  guard.request.a = epoch;
  guard.request.b = sequence;
  SEREUS_CHECK(copy_bytes(prefix, SEREUS_KEY_SIZE_MAX, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status sereus_store_get(sereus_node* node, sereus_id store, sereus_bytes key, sereus_rows** out) {
  return read_key(node, QueryKind::get, store, key, out);
}

sereus_status sereus_store_heads(sereus_node* node, sereus_id store, sereus_bytes key, sereus_rows** out) {
  return read_key(node, QueryKind::heads, store, key, out);
}

sereus_status sereus_store_list(sereus_node* node, sereus_id store, sereus_bytes prefix, sereus_bytes after,
                                uint32_t limit, uint32_t flags, sereus_rows** out) {
  SEREUS_BEGIN_READ(handle, node, out);
  if (store == 0) return SEREUS_E_NOT_FOUND;
  if ((flags & ~SEREUS_LIST_VALUES) != 0) return SEREUS_E_INVALID;
  node::Query query;
  query.kind = QueryKind::list;
  query.store = store;
  query.a = limit == 0 ? kListLimitDefault : std::min(limit, kListLimitMax);
  query.b = flags;
  SEREUS_CHECK(copy_bytes(prefix, SEREUS_KEY_SIZE_MAX, &query.x));
  SEREUS_CHECK(copy_bytes(after, SEREUS_KEY_SIZE_MAX, &query.y));
  return read(*handle, query, out);
}

sereus_status sereus_store_state_digest(sereus_node* node, sereus_id store, sereus_rows** out) {
  SEREUS_BEGIN_READ(handle, node, out);
  if (store == 0) return SEREUS_E_NOT_FOUND;
  node::Query query;
  query.kind = QueryKind::state_digest;
  query.store = store;
  return read(*handle, query, out);
}
