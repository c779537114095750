// Which node a sereus_node pointer names. The pointer is a number that is never given out twice, so that a stale one is
// an error and not a crash, and a node given up in one thread stays alive for calls under way in others.
#pragma once

#include <memory>

#include "core/capi/backend.h"
#include "core/capi/delivery.h"
#include "core/capi/platform.h"
#include "sereus.h"

namespace sereus::capi {

struct NodeHandle {
  NodeHandle(std::unique_ptr<NodeBackend> node, Platform& on)
      : backend(std::move(node)), delivery(backend->events(), on) {}
  std::unique_ptr<NodeBackend> backend;
  Delivery delivery;
};

sereus_node* register_node(std::shared_ptr<NodeHandle> handle);
// Null when `node` names none; *why is then the status to return.
std::shared_ptr<NodeHandle> find_node(sereus_node* node, sereus_status* why);
// Takes it out: the caller ends it.
std::shared_ptr<NodeHandle> take_node(sereus_node* node);

inline sereus_status to_status(Code code) { return static_cast<sereus_status>(code); }

}  // namespace sereus::capi

// `auto handle = ...` of the C function's `node`, or returns its status.
#define SEREUS_NODE_OR_RETURN(handle, node)                             \
  sereus_status handle##_why = SEREUS_OK;                               \
  const auto handle = ::sereus::capi::find_node((node), &handle##_why); \
  if (!handle) return handle##_why
