#include "core/node/root_state.h"

#include <charconv>

#include "core/codec/cbor.h"

namespace sereus::node {
namespace {

constexpr size_t kCutoffsMax = 65536;  // one device's authors over all stores

uint64_t parse_decimal(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

void parse_cutoffs(ByteView bytes, Member& member) {
  CborReader reader(bytes);
  uint64_t count = 0;
  if (!reader.get_array(count) || count > kCutoffsMax) return;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t fields = 0;
    StoreId store;
    AuthorKey author;
    Cutoff cutoff;
    if (!reader.get_array(fields) || fields != 4 || !reader.get_fixed(store.bytes) || !reader.get_fixed(author.bytes) ||
        !reader.get_uint(cutoff.seq) || !reader.get_fixed(cutoff.hash.bytes)) {
      return;
    }
    member.cutoffs[{store, author}] = cutoff;
  }
}

void apply_node(RootState& state, const DeviceKey& device, std::string_view field, ByteView value) {
  Member& member = state.members[device];
  const std::string_view text = as_text(value);
  if (field == "status") {
    member.active = text == "active";
    member.removed = text == "removed";
  } else if (field == "role") {
    member.role = role_from(text);
  } else if (field == "party") {
    if (const auto party = PartyKey::from_hex(text)) member.party = *party;
  } else if (field == "name") {
    member.name = std::string(text);
  } else if (field == "added_at") {
    member.added_at_ms = parse_decimal(text);
  } else if (field == "cutoff") {
    parse_cutoffs(value, member);
  }
}

void apply_store(RootState& state, const StoreId& id, std::string_view field, ByteView value) {
  Declaration& declaration = state.stores[id];
  if (field == "name") {
    declaration.name = to_string(value);
  } else if (field == "created_at") {
    declaration.created_at_ms = parse_decimal(as_text(value));
  } else if (field == "deleted_at") {
    declaration.deleted = true;
  }
}

// "/nodes/<id>/<field>" -> id and field; false for another shape.
template <typename Id>
bool split_key(std::string_view key, std::string_view prefix, Id& id, std::string_view& field) {
  key.remove_prefix(prefix.size());
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return false;
  const auto parsed = Id::from_hex(key.substr(0, slash));
  if (!parsed) return false;
  id = *parsed;
  field = key.substr(slash + 1);
  return true;
}

void apply_row(RootState& state, std::string_view key, ByteView value) {
  std::string_view field;
  DeviceKey device;
  StoreId id;
  if (key.starts_with(kNodesPrefix)) {
    if (split_key(key, kNodesPrefix, device, field)) apply_node(state, device, field, value);
  } else if (key.starts_with(kStoresPrefix)) {
    if (split_key(key, kStoresPrefix, id, field)) apply_store(state, id, field, value);
  }
}

template <typename Apply>
Status for_each_row(store::StoreReader& reader, std::string_view prefix, Apply apply) {
  Bytes after;
  while (true) {
    SEREUS_ASSIGN(const auto rows, reader.list(as_bytes(prefix), after, store::kListPageMax, true));
    for (const store::ListRow& row : rows) apply(as_text(row.key), row.value);
    if (rows.size() < store::kListPageMax) return {};
    after = rows.back().key;
  }
}

}  // namespace

std::string_view role_name(Role role) {
  switch (role) {
    case Role::read:
      return "read";
    case Role::write:
      return "write";
    case Role::admin:
      return "admin";
    case Role::none:
      break;
  }
  return "none";
}

Role role_from(std::string_view name) {
  if (name == "read") return Role::read;
  if (name == "write") return Role::write;
  if (name == "admin") return Role::admin;
  return Role::none;
}

const Member* RootState::member(const DeviceKey& device) const {
  const auto found = members.find(device);
  return found == members.end() ? nullptr : &found->second;
}

bool RootState::may_sync(const DeviceKey& device) const {
  const Member* found = member(device);
  return found != nullptr && found->active && found->role != Role::none;
}

bool RootState::is_admin(const DeviceKey& device) const {
  const Member* found = member(device);
  return found != nullptr && found->active && found->role == Role::admin;
}

std::string node_key(const DeviceKey& device, std::string_view field) {
  return std::string(kNodesPrefix) + device.hex() + "/" + std::string(field);
}

std::string store_key(const StoreId& store, std::string_view field) {
  return std::string(kStoresPrefix) + store.hex() + "/" + std::string(field);
}

store::WriteOp root_put(std::string_view key, std::string_view value) {
  store::WriteOp op;
  op.key = to_bytes(key);
  op.value = to_bytes(value);
  return op;
}

Result<RootState> read_root_state(store::StoreReader& reader) {
  RootState state;
  for (const std::string_view prefix : {kNodesPrefix, kStoresPrefix}) {
    SEREUS_TRY(
        for_each_row(reader, prefix, [&](std::string_view key, const Bytes& value) { apply_row(state, key, value); }));
  }
  return state;
}

void apply_root_entry(RootState& state, const store::EntryView& entry) {
  for (const store::OpView& op : entry.ops) {
    if (op.kind == store::OpKind::put) apply_row(state, as_text(op.key), op.value);
  }
}

Bytes encode_cutoffs(const std::map<std::pair<StoreId, AuthorKey>, Cutoff>& cutoffs) {
  Bytes out;
  CborWriter writer(out);
  writer.array(cutoffs.size());
  for (const auto& [of, cutoff] : cutoffs) {
    writer.array(4);
    writer.bytes(of.first.view());
    writer.bytes(of.second.view());
    writer.uint(cutoff.seq);
    writer.bytes(cutoff.hash.view());
  }
  writer.finish();
  return out;
}

}  // namespace sereus::node
