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

}  // namespace sereus::capi
