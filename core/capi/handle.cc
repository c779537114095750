#include "core/capi/handle.h"

#include <mutex>
#include <unordered_map>

namespace sereus::capi {
namespace {

// Numbers are spaced so that they look like the addresses of nothing: reading through one faults at once.
constexpr uintptr_t kSpacing = 16;

struct Registry {
  std::mutex mutex;
  uintptr_t last = 0;
  std::unordered_map<uintptr_t, std::shared_ptr<NodeHandle>> nodes;
};

// Never destroyed: threads may still call while the process ends.
Registry& registry() {
  static Registry* const the = new Registry;
  return *the;
}

}  // namespace

sereus_node* register_node(std::shared_ptr<NodeHandle> handle) {
  Registry& the = registry();
  const std::lock_guard<std::mutex> lock(the.mutex);
  the.last += kSpacing;
  the.nodes.emplace(the.last, std::move(handle));
  return reinterpret_cast<sereus_node*>(the.last);
}

std::shared_ptr<NodeHandle> find_node(sereus_node* node, sereus_status* why) {
  const auto number = reinterpret_cast<uintptr_t>(node);
  Registry& the = registry();
  const std::lock_guard<std::mutex> lock(the.mutex);
  const auto at = the.nodes.find(number);
  if (at != the.nodes.end()) return at->second;
  const bool was_one = number != 0 && number <= the.last && number % kSpacing == 0;
  *why = was_one ? SEREUS_E_CLOSED : SEREUS_E_INVALID;
  return nullptr;
}

std::shared_ptr<NodeHandle> take_node(sereus_node* node) {
  Registry& the = registry();
  const std::lock_guard<std::mutex> lock(the.mutex);
  const auto at = the.nodes.find(reinterpret_cast<uintptr_t>(node));
  if (at == the.nodes.end()) return nullptr;
  auto handle = std::move(at->second);
  the.nodes.erase(at);
  return handle;
}

}  // namespace sereus::capi
