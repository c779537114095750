// Taking events from the queue.
#include <utility>

#include "core/capi/c_call.h"
#include "core/capi/c_event.h"

using namespace sereus;
using namespace sereus::capi;

namespace {

sereus_status give(Code code, std::optional<node::Event> event, sereus_event** out) {
  if (event) *out = new sereus_event(std::move(*event));
  return to_status(code);
}

}  // namespace

sereus_status sereus_poll(sereus_node* node, sereus_event** out) {
  SEREUS_BEGIN_READ(handle, node, out);
  std::optional<node::Event> event;
  const Code code = handle->backend->events().poll(event);
  return give(code, std::move(event), out);
}

sereus_status sereus_wait(sereus_node* node, uint32_t timeout_ms, sereus_event** out) {
  SEREUS_BEGIN_READ(handle, node, out);
  if (handle->backend->caller_driven()) return SEREUS_E_INVALID;
  std::optional<node::Event> event;
  const Code code = handle->backend->events().wait(timeout_ms, event);
  return give(code, std::move(event), out);
}

sereus_status sereus_on_wake(sereus_node* node, sereus_wake_fn wake, void* user) {
  SEREUS_NODE_OR_RETURN(handle, node);
  std::function<void()> call;
  if (wake != nullptr) call = [wake, user] { wake(user); };
  handle->backend->events().on_wake(std::move(call));
  return SEREUS_OK;
}

sereus_status sereus_on_event(sereus_node* node, sereus_event_fn callback, void* user) {
  SEREUS_NODE_OR_RETURN(handle, node);
  if (handle->backend->caller_driven()) return SEREUS_E_INVALID;
  Delivery::Deliver deliver;
  if (callback != nullptr) {
    deliver = [callback, user](node::Event event) { callback(user, new sereus_event(std::move(event))); };
  }
  return to_status(handle->delivery.set(std::move(deliver)));
}

sereus_status sereus_step(sereus_node* node, const sereus_times* now, uint64_t* next_mono_us) {
  if (now == nullptr || next_mono_us == nullptr) return SEREUS_E_INVALID;
  *next_mono_us = UINT64_MAX;
  SEREUS_NODE_OR_RETURN(handle, node);
  return to_status(handle->backend->step(Times{now->mono_us, now->wall_us}, next_mono_us));
}

sereus_status sereus_cancel(sereus_node* node, sereus_id op) {
  SEREUS_NODE_OR_RETURN(handle, node);
  return to_status(handle->backend->cancel(op));
}
