#include "core/node/node_db.h"

#include <algorithm>
#include <optional>

namespace sereus::node {
namespace {

constexpr uint32_t kApplicationId = 0x5345524e;  // "SERN"

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE setting(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
       CREATE TABLE store(id BLOB PRIMARY KEY, root BLOB NOT NULL, name TEXT NOT NULL, archived INTEGER NOT NULL,
                          own_root INTEGER NOT NULL) WITHOUT ROWID;
       CREATE TABLE invite(id BLOB PRIMARY KEY, root BLOB NOT NULL, role INTEGER NOT NULL, uses_left INTEGER NOT NULL,
                           expires_s INTEGER NOT NULL, revoked INTEGER NOT NULL, peer TEXT NOT NULL,
                           redeemed BLOB NOT NULL) WITHOUT ROWID;
       CREATE TABLE peer(device BLOB PRIMARY KEY, addresses TEXT NOT NULL, last_sync_ms INTEGER NOT NULL) WITHOUT ROWID;
       CREATE TABLE introduction(root BLOB NOT NULL, device BLOB NOT NULL, PRIMARY KEY(root, device)) WITHOUT ROWID;)",
    "ALTER TABLE store ADD COLUMN made INTEGER NOT NULL DEFAULT 1"};

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

template <typename Id>
Status read_id(ByteView column, Id& id) {
  const auto parsed = Id::from(column);
  if (!parsed) return fail(Code::corrupt, "node.db holds a row that is damaged; restore it from a backup");
  id = *parsed;
  return {};
}

// Runs `each` for every row of `sql`.
template <typename Each>
Status for_each(storage::Database& database, std::string_view sql, Each each) {
  SEREUS_ASSIGN(auto statement, database.cached(sql));
  while (true) {
    SEREUS_ASSIGN(const bool row, statement->step());
    if (!row) return {};
    SEREUS_TRY(each(*statement));
  }
}

}  // namespace

Result<std::unique_ptr<NodeDb>> NodeDb::open(storage::Vfs& vfs) {
  storage::DatabaseOptions options;
  options.create = true;
  options.durability = storage::Durability::full;
  options.autocheckpoint_pages = 1000;
  options.application_id = kApplicationId;
  options.migrations = kMigrations;
  SEREUS_ASSIGN(auto database, storage::Database::open(vfs, "node.db", options));
  return std::unique_ptr<NodeDb>(new NodeDb(std::move(database)));
}

Result<std::string> NodeDb::name() {
  std::string name;
  SEREUS_TRY(
      for_each(*database_, "SELECT value FROM setting WHERE name = 'name'", [&](storage::Statement& row) -> Status {
        name = to_string(row.column_blob(0));
        return {};
      }));
  return name;
}

Status NodeDb::set_name(std::string_view name) {
  SEREUS_ASSIGN(auto statement, database_->cached("INSERT OR REPLACE INTO setting(name, value) VALUES('name', ?1)"));
  statement->bind_blob(1, as_bytes(name));
  return statement->run();
}

Result<std::map<std::string, uint16_t>> NodeDb::ports() {
  std::map<std::string, uint16_t> ports;
  SEREUS_TRY(for_each(*database_, "SELECT substr(name, 6), value FROM setting WHERE name LIKE 'port %'",
                      [&](storage::Statement& row) -> Status {
                        const ByteView value = row.column_blob(1);
                        if (value.size() == 2) ports[std::string(row.column_text(0))] = load_be<uint16_t>(value.data());
                        return {};
                      }));
  return ports;
}

Status NodeDb::set_port(std::string_view listen_address, uint16_t port) {
  SEREUS_ASSIGN(auto statement, database_->cached("INSERT OR REPLACE INTO setting(name, value) VALUES(?1, ?2)"));
  const std::string name = "port " + std::string(listen_address);
  std::array<uint8_t, 2> value{};
  store_be<uint16_t>(value.data(), port);
  statement->bind_text(1, name);
  statement->bind_blob(2, value);
  return statement->run();
}

Result<NodeDb::FoundingNonce> NodeDb::begin_founding(const FoundingNonce& fresh) {
  std::optional<FoundingNonce> begun;
  SEREUS_TRY(
      for_each(*database_, "SELECT value FROM setting WHERE name = 'founding'", [&](storage::Statement& row) -> Status {
        const ByteView value = row.column_blob(0);
        if (value.size() != fresh.size()) return fail(Code::corrupt, "node.db holds a row that is damaged");
        begun.emplace();
        std::copy(value.begin(), value.end(), begun->begin());
        return {};
      }));
  if (begun) return *begun;
  SEREUS_ASSIGN(const auto known, stores());
  if (std::any_of(known.begin(), known.end(), [](const LocalStore& store) { return store.own_root; })) {
    return fail(Code::exists, "this node has founded its root store");
  }
  SEREUS_ASSIGN(auto statement, database_->cached("INSERT INTO setting(name, value) VALUES('founding', ?1)"));
  statement->bind_blob(1, fresh);
  SEREUS_TRY(statement->run());
  return fresh;
}

Status NodeDb::end_founding() {
  SEREUS_ASSIGN(auto statement, database_->cached("DELETE FROM setting WHERE name = 'founding'"));
  return statement->run();
}

Result<std::vector<LocalStore>> NodeDb::stores() {
  std::vector<LocalStore> stores;
  SEREUS_TRY(for_each(*database_, "SELECT id, root, name, archived, own_root, made FROM store ORDER BY id",
                      [&](storage::Statement& row) -> Status {
                        LocalStore store;
                        SEREUS_TRY(read_id(row.column_blob(0), store.id));
                        SEREUS_TRY(read_id(row.column_blob(1), store.root));
                        store.name = std::string(row.column_text(2));
                        store.archived = row.column_int(3) != 0;
                        store.own_root = row.column_int(4) != 0;
                        store.made = row.column_int(5) != 0;
                        stores.push_back(std::move(store));
                        return {};
                      }));
  return stores;
}

Status NodeDb::put_store(const LocalStore& store) {
  SEREUS_ASSIGN(auto statement,
                database_->cached("INSERT OR REPLACE INTO store(id, root, name, archived, own_root, made) "
                                  "VALUES(?1, ?2, ?3, ?4, ?5, ?6)"));
  statement->bind_blob(1, store.id.view());
  statement->bind_blob(2, store.root.view());
  statement->bind_text(3, store.name);
  statement->bind_int(4, store.archived ? 1 : 0);
  statement->bind_int(5, store.own_root ? 1 : 0);
  statement->bind_int(6, store.made ? 1 : 0);
  return statement->run();
}

Status NodeDb::remove_store(const StoreId& id) {
  SEREUS_ASSIGN(auto statement, database_->cached("DELETE FROM store WHERE id = ?1"));
  statement->bind_blob(1, id.view());
  return statement->run();
}

Result<std::vector<StoredInvite>> NodeDb::invites() {
  std::vector<StoredInvite> invites;
  SEREUS_TRY(for_each(*database_,
                      "SELECT id, root, role, uses_left, expires_s, revoked, peer, redeemed FROM invite ORDER BY id",
                      [&](storage::Statement& row) -> Status {
                        StoredInvite invite;
                        SEREUS_TRY(read_id(row.column_blob(0), invite.id));
                        SEREUS_TRY(read_id(row.column_blob(1), invite.root));
                        invite.role = static_cast<uint32_t>(row.column_int(2));
                        invite.uses_left = static_cast<uint32_t>(row.column_int(3));
                        invite.expires_wall_s = row.column_int(4);
                        invite.revoked = row.column_int(5) != 0;
                        invite.peer = std::string(row.column_text(6));
                        const ByteView redeemed = row.column_blob(7);
                        for (size_t at = 0; at + DeviceKey::kSize <= redeemed.size(); at += DeviceKey::kSize) {
                          invite.redeemed.push_back(*DeviceKey::from(redeemed.subspan(at, DeviceKey::kSize)));
                        }
                        invites.push_back(std::move(invite));
                        return {};
                      }));
  return invites;
}

Status NodeDb::put_invite(const StoredInvite& invite) {
  SEREUS_ASSIGN(auto statement,
                database_->cached("INSERT OR REPLACE INTO invite(id, root, role, uses_left, expires_s, revoked, peer, "
                                  "redeemed) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"));
  Bytes redeemed;
  for (const DeviceKey& device : invite.redeemed) append(redeemed, device.view());
  statement->bind_blob(1, invite.id.view());
  statement->bind_blob(2, invite.root.view());
  statement->bind_int(3, invite.role);
  statement->bind_int(4, invite.uses_left);
  statement->bind_int(5, invite.expires_wall_s);
  statement->bind_int(6, invite.revoked ? 1 : 0);
  statement->bind_text(7, invite.peer);
  statement->bind_blob(8, redeemed);
  return statement->run();
}

Status NodeDb::remove_invite(const Hash& id) {
  SEREUS_ASSIGN(auto statement, database_->cached("DELETE FROM invite WHERE id = ?1"));
  statement->bind_blob(1, id.view());
  return statement->run();
}

Result<std::vector<KnownPeer>> NodeDb::peers() {
  std::vector<KnownPeer> peers;
  SEREUS_TRY(for_each(*database_, "SELECT device, addresses, last_sync_ms FROM peer ORDER BY device",
                      [&](storage::Statement& row) -> Status {
                        KnownPeer peer;
                        SEREUS_TRY(read_id(row.column_blob(0), peer.device));
                        peer.addresses = split_lines(row.column_text(1));
                        peer.last_sync_ms = static_cast<uint64_t>(row.column_int(2));
                        peers.push_back(std::move(peer));
                        return {};
                      }));
  return peers;
}

Status NodeDb::put_peer(const KnownPeer& peer) {
  SEREUS_ASSIGN(auto statement, database_->cached("INSERT OR REPLACE INTO peer(device, addresses, last_sync_ms) "
                                                  "VALUES(?1, ?2, ?3)"));
  const std::string addresses = join_lines(peer.addresses);
  statement->bind_blob(1, peer.device.view());
  statement->bind_text(2, addresses);
  statement->bind_int(3, static_cast<int64_t>(peer.last_sync_ms));
  return statement->run();
}

Status NodeDb::put_peers(const std::vector<KnownPeer>& peers) {
  SEREUS_ASSIGN(auto transaction, storage::Transaction::begin(*database_, storage::Transaction::Kind::write));
  for (const KnownPeer& peer : peers) SEREUS_TRY(put_peer(peer));
  return transaction.commit();
}

Result<std::vector<Introduction>> NodeDb::introductions() {
  std::vector<Introduction> introductions;
  SEREUS_TRY(for_each(*database_, "SELECT root, device FROM introduction ORDER BY root, device",
                      [&](storage::Statement& row) -> Status {
                        Introduction introduction;
                        SEREUS_TRY(read_id(row.column_blob(0), introduction.root));
                        SEREUS_TRY(read_id(row.column_blob(1), introduction.device));
                        introductions.push_back(introduction);
                        return {};
                      }));
  return introductions;
}

Status NodeDb::put_introduction(const Introduction& introduction) {
  SEREUS_ASSIGN(auto statement, database_->cached("INSERT OR REPLACE INTO introduction(root, device) VALUES(?1, ?2)"));
  statement->bind_blob(1, introduction.root.view());
  statement->bind_blob(2, introduction.device.view());
  return statement->run();
}

}  // namespace sereus::node
