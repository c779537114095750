// node.db: what a node remembers besides its stores and keys (docs/formats/database.md): which stores live here, the
// invites it issued, the peers it knows an address of, and through whom it joined.
//
// Thread rule: opened and read before the node runs; afterwards on the writer queue.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/storage/database.h"
#include "core/storage/vfs.h"

namespace sereus::node {

inline constexpr size_t kInvitesMax = 1024;          // outstanding and recent ones; the oldest spent ones go first
inline constexpr size_t kPeerAddressesMax = 8;       // newest first
inline constexpr size_t kRedeemedPerInviteMax = 64;  // the latest, which may repeat a join whose answer was lost

struct LocalStore {
  StoreId id;
  StoreId root;      // its own id when it is a root
  std::string name;  // as last declared
  bool archived = false;
  bool own_root = false;  // the root that this node founded
  bool made = true;       // false: its folder may not be there yet, and nothing was ever written into it
};

struct StoredInvite {
  Hash id;  // of the token
  StoreId root;
  uint32_t role = 0;
  uint32_t uses_left = 0;
  int64_t expires_wall_s = 0;
  bool revoked = false;
  std::string peer;                 // peer id text; "" for whoever has it
  std::vector<DeviceKey> redeemed;  // devices that used it: a repeated join is answered again
};

struct KnownPeer {
  DeviceKey device;
  std::vector<std::string> addresses;
  uint64_t last_sync_ms = 0;
};

// "I joined this root through that device": it is trusted to sync the root before the root says who it is.
struct Introduction {
  StoreId root;
  DeviceKey device;
};

class NodeDb {
 public:
  static Result<std::unique_ptr<NodeDb>> open(storage::Vfs& vfs);

  Result<std::string> name();
  Status set_name(std::string_view name);
  // The port that a listen address with port 0 was given last: kept, so that the addresses others know stay good.
  Result<std::map<std::string, uint16_t>> ports();
  Status set_port(std::string_view listen_address, uint16_t port);
  // What the id of the root that this node founds is made of. The same again until end_founding(), so that a founding which
  // broke off goes on with the same root; `fresh` the first time. Code::exists when the node has founded one.
  using FoundingNonce = std::array<uint8_t, 16>;
  Result<FoundingNonce> begin_founding(const FoundingNonce& fresh);
  Status end_founding();
  Result<std::vector<LocalStore>> stores();
  Status put_store(const LocalStore& store);
  Status remove_store(const StoreId& id);
  Result<std::vector<StoredInvite>> invites();
  Status put_invite(const StoredInvite& invite);
  Status remove_invite(const Hash& id);
  Result<std::vector<KnownPeer>> peers();
  Status put_peer(const KnownPeer& peer);
  Status put_peers(const std::vector<KnownPeer>& peers);  // all or none
  Result<std::vector<Introduction>> introductions();
  Status put_introduction(const Introduction& introduction);

 private:
  explicit NodeDb(std::unique_ptr<storage::Database> database) : database_(std::move(database)) {}
  std::unique_ptr<storage::Database> database_;
};

}  // namespace sereus::node
