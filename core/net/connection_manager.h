// Which connections go when there are too many: above the high-water mark idle ones are closed, down to the low-water mark. Only
// decides; the swarm closes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/net/host.h"

namespace sereus::net {

// Stable numbers, append only.
enum class TrimReason : uint8_t {
  high_water = 1,  // there were more connections than the high-water mark
  duplicate = 2,   // both sides dialed at once, and the other connection stays
};
std::string_view trim_name(TrimReason reason);

// A connection was closed to make room. Disconnected follows among the host's events.
struct Trimmed {
  ConnectionId connection = 0;
  PeerId peer;
  TrimReason reason{};
};

struct ConnectionManagerSettings {
  size_t low_water = 640;
  size_t high_water = 768;
  uint64_t grace_us = 20 * kMicrosPerSecond;     // a connection younger than this is left alone
  uint64_t interval_us = 10 * kMicrosPerSecond;  // between two trims
};

class ConnectionManager {
 public:
  explicit ConnectionManager(const ConnectionManagerSettings& settings = {}) : settings_(settings) {}
  void set_settings(const ConnectionManagerSettings& settings) { settings_ = settings; }

  // A protected peer's connections are never trimmed. Tags tell who protects; the peer is free when all are gone.
  void protect(const PeerId& peer, std::string_view tag);
  // False when the peer was not protected by the tag.
  bool unprotect(const PeerId& peer, std::string_view tag);
  bool is_protected(const PeerId& peer) const { return protected_.contains(peer); }

  void add(ConnectionId connection, const PeerId& peer, bool incoming, const Times& now);
  void remove(ConnectionId connection);
  // Application streams opened (+1) and ended (-1), for idleness.
  void count_stream(ConnectionId connection, int change, const Times& now);

  // The connections to be closed now; they are forgotten here. Those with fewest streams first, then incoming before outgoing
  // (who dialed wanted it), then the longest unused.
  std::vector<Trimmed> trim(const Times& now);
  // When trim() may have something to do next.
  uint64_t next_us() const { return connections_.size() > settings_.high_water ? next_trim_us_ : kNever; }

 private:
  struct Connection {
    PeerId peer;
    bool incoming = false;
    size_t streams = 0;
    uint64_t since_us = 0;
    uint64_t used_us = 0;
  };
  ConnectionManagerSettings settings_;
  std::map<ConnectionId, Connection> connections_;
  std::map<PeerId, std::set<std::string, std::less<>>> protected_;
  uint64_t next_trim_us_ = 0;
};

}  // namespace sereus::net
