// What a root store says: who belongs, with which role, and which stores there are. The keys of a root store are fixed
// (docs/formats/root.md):
//
//   /nodes/<device key, hex>/status    "active" | "removed"
//                           /role      "read" | "write" | "admin"
//                           /party     party key, hex
//                           /name      for people
//                           /added_at  wall milliseconds, decimal
//                           /cutoff    CBOR array of [store(16), author(32), seq, hash(32)]: with status "removed", the
//                                      last accepted entry of each author of this device
//   /stores/<store id, hex>/name, /created_at, /created_by, /deleted_at
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/store/kv_store.h"

namespace sereus::node {

enum class Role : uint32_t { none = 0, read = 1, write = 2, admin = 3 };

std::string_view role_name(Role role);
Role role_from(std::string_view name);

struct Cutoff {
  uint64_t seq = 0;
  Hash hash;
};

struct Member {
  PartyKey party;
  Role role = Role::none;
  bool active = false;
  bool removed = false;
  std::string name;
  uint64_t added_at_ms = 0;
  std::map<std::pair<StoreId, AuthorKey>, Cutoff> cutoffs;
};

struct Declaration {
  std::string name;
  uint64_t created_at_ms = 0;
  bool deleted = false;
};

struct RootState {
  std::map<DeviceKey, Member> members;
  std::map<StoreId, Declaration> stores;

  const Member* member(const DeviceKey& device) const;
  bool may_sync(const DeviceKey& device) const;
  bool is_admin(const DeviceKey& device) const;
};

inline constexpr std::string_view kNodesPrefix = "/nodes/";
inline constexpr std::string_view kStoresPrefix = "/stores/";
inline constexpr std::string_view kTokensPrefix = "/tokens/";

std::string node_key(const DeviceKey& device, std::string_view field);
std::string store_key(const StoreId& store, std::string_view field);

// A write of a text into a root store.
store::WriteOp root_put(std::string_view key, std::string_view value);

// Reads the whole root store. Rows that do not parse are passed over: a newer version may have written them.
Result<RootState> read_root_state(store::StoreReader& reader);

// What the entry changes, as if it were the newest write of each of its keys: for deciding on the entries behind it
// before it is in the index.
void apply_root_entry(RootState& state, const store::EntryView& entry);

Bytes encode_cutoffs(const std::map<std::pair<StoreId, AuthorKey>, Cutoff>& cutoffs);

}  // namespace sereus::node
