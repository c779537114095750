#include "core/net/connection_manager.h"

#include <algorithm>
#include <tuple>

namespace sereus::net {

std::string_view trim_name(TrimReason reason) {
  switch (reason) {
    case TrimReason::high_water:
      return "high_water";
    case TrimReason::duplicate:
      return "duplicate";
  }
  return "unknown";
}

void ConnectionManager::protect(const PeerId& peer, std::string_view tag) { protected_[peer].emplace(tag); }

bool ConnectionManager::unprotect(const PeerId& peer, std::string_view tag) {
  const auto found = protected_.find(peer);
  if (found == protected_.end()) return false;
  const auto at = found->second.find(tag);
  if (at == found->second.end()) return false;
  found->second.erase(at);
  if (found->second.empty()) protected_.erase(found);
  return true;
}

void ConnectionManager::add(ConnectionId connection, const PeerId& peer, bool incoming, const Times& now) {
  connections_[connection] = {peer, incoming, 0, now.mono_us, now.mono_us};
}

void ConnectionManager::remove(ConnectionId connection) { connections_.erase(connection); }

void ConnectionManager::count_stream(ConnectionId connection, int change, const Times& now) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  found->second.used_us = now.mono_us;
  if (change > 0) {
    found->second.streams += 1;
  } else if (found->second.streams > 0) {
    found->second.streams -= 1;
  }
}

std::vector<Trimmed> ConnectionManager::trim(const Times& now) {
  std::vector<Trimmed> out;
  if (connections_.size() <= settings_.high_water || now.mono_us < next_trim_us_) return out;
  next_trim_us_ = now.mono_us + settings_.interval_us;
  std::vector<std::pair<ConnectionId, const Connection*>> idle;
  for (const auto& [id, connection] : connections_) {
    if (now.mono_us < connection.since_us + settings_.grace_us || is_protected(connection.peer)) continue;
    idle.emplace_back(id, &connection);
  }
  const auto rank = [](const std::pair<ConnectionId, const Connection*>& item) {
    const Connection& c = *item.second;
    return std::make_tuple(c.streams, !c.incoming, c.used_us, item.first);
  };
  std::sort(idle.begin(), idle.end(), [&rank](const auto& a, const auto& b) { return rank(a) < rank(b); });
  const size_t surplus = connections_.size() - std::min(settings_.low_water, connections_.size());
  if (idle.size() > surplus) idle.resize(surplus);
  for (const auto& [id, connection] : idle) out.push_back({id, connection->peer, TrimReason::high_water});
  for (const Trimmed& trimmed : out) connections_.erase(trimmed.connection);
  return out;
}

}  // namespace sereus::net
