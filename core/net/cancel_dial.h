// Cancelling a dial, the same for every transport that keeps dials it has not begun beside its connections.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "core/net/host.h"

namespace sereus::net {

// A dial that has not begun is answered here; the connection of one that has answers by itself.
template <typename PendingDials, typename Connections>
void cancel_dial_of(uint64_t dial, PendingDials& pending, const Connections& connections,
                    std::deque<HostEvent>& events) {
  const auto found = std::find_if(pending.begin(), pending.end(), [dial](const auto& each) { return each.id == dial; });
  if (found != pending.end()) {
    pending.erase(found);
    events.emplace_back(DialFailed{dial, fail(Code::cancelled, "the dial was cancelled")});
    return;
  }
  for (const auto& [id, connection] : connections) {
    if (connection->dial() == dial) return connection->cancel();
  }
}

}  // namespace sereus::net
