// The two ways a C function reaches the node: a request answered by a DONE, and a read.
#pragma once

#include "core/capi/arguments.h"
#include "core/capi/handle.h"
#include "core/node/request.h"
#include "core/node/rows.h"

namespace sereus::capi {

// Wipes the secrets of a request that was not handed on.
class RequestGuard {
 public:
  node::Request request;
  explicit RequestGuard(node::RequestKind kind) { request.kind = kind; }
  ~RequestGuard() { wipe_arguments(request); }
  RequestGuard(const RequestGuard&) = delete;
  RequestGuard& operator=(const RequestGuard&) = delete;
};

// Hands the request on; *op becomes its id.
sereus_status submit(NodeHandle& handle, RequestGuard& guard, sereus_id* op);
sereus_status read(NodeHandle& handle, const node::Query& query, sereus_rows** out);
// A whole function that submits one text, perhaps for what a number names, and one that reads without arguments.
sereus_status submit_text(sereus_node* node, node::RequestKind kind, uint64_t named, const char* text, size_t size_max,
                          sereus_id* op);
sereus_status read_all(sereus_node* node, node::QueryKind kind, sereus_rows** out);

}  // namespace sereus::capi

// The beginning of every function that submits: a place for the id, and a live node.
#define SEREUS_BEGIN_SUBMIT(handle, node, op)   \
  if ((op) == nullptr) return SEREUS_E_INVALID; \
  *(op) = 0;                                    \
  SEREUS_NODE_OR_RETURN(handle, node)
// And of every function that reads.
#define SEREUS_BEGIN_READ(handle, node, out)     \
  if ((out) == nullptr) return SEREUS_E_INVALID; \
  *(out) = nullptr;                              \
  SEREUS_NODE_OR_RETURN(handle, node)
