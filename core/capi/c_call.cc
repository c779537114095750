#include "core/capi/c_call.h"

#include <utility>

#include "core/capi/c_rows.h"

namespace sereus::capi {

sereus_status submit(NodeHandle& handle, RequestGuard& guard, sereus_id* op) {
  const Code code = handle.backend->submit(std::move(guard.request), op);
  if (code != Code::ok) *op = 0;
  return to_status(code);
}

sereus_status read(NodeHandle& handle, const node::Query& query, sereus_rows** out) {
  auto rows = handle.backend->query(query);
  if (!rows.ok()) return to_status(rows.code());
  *out = new sereus_rows(std::move(*rows));
  return SEREUS_OK;
}

sereus_status submit_text(sereus_node* node, node::RequestKind kind, uint64_t named, const char* text, size_t size_max,
                          sereus_id* op) {
  SEREUS_BEGIN_SUBMIT(handle, node, op);
  RequestGuard guard(kind);
  guard.request.store = named;
  SEREUS_CHECK(copy_text(text, size_max, Presence::required, &guard.request.x));
  return submit(*handle, guard, op);
}

sereus_status read_all(sereus_node* node, node::QueryKind kind, sereus_rows** out) {
  SEREUS_BEGIN_READ(handle, node, out);
  node::Query query;
  query.kind = kind;
  return read(*handle, query, out);
}

}  // namespace sereus::capi
