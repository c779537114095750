// The node's database alone under power cuts.

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "core/node/node_db.h"
#include "sim/power_subject.h"

namespace sereus::sim {
namespace {

using node::NodeDb;

template <typename Id>
Id id_of(uint64_t number) {
  Id id;
  id.bytes.fill(static_cast<uint8_t>(number + 1));
  return id;
}

// All rows, by a name for each.
using Rows = std::map<std::string, std::string>;

class DatabaseSubject : public Subject {
 public:
  using Subject::Subject;

  Status open(bool /*after_power_cut*/) override {
    SEREUS_ASSIGN(database_, NodeDb::open(ports_.vfs));
    return {};
  }
  void shut() override { database_.reset(); }
  bool is_open() const override { return database_ != nullptr; }
  Status act(SimRandom& draws) override;
  Status check(bool thoroughly) override;
  Status start_over() override;

 private:
  // `row` becomes `value` (nothing: is removed) by `change`.
  template <typename Change>
  Status make(const std::string& row, std::optional<std::string> value, const Change& change);
  Status change_store(SimRandom& draws);
  Status change_invite(SimRandom& draws);
  Status change_rest(SimRandom& draws);
  Result<Rows> read();
  Status read_names(Rows& rows);
  Status read_stores(Rows& rows);
  Status read_people(Rows& rows);
  void compare_row(const std::string& row, const Rows& found);

  std::unique_ptr<NodeDb> database_;
  Rows rows_;  // acknowledged, or seen since
  std::optional<std::pair<std::string, std::optional<std::string>>> under_way_;
  std::map<std::string, std::set<std::string>> ever_;
};

template <typename Change>
Status DatabaseSubject::make(const std::string& row, std::optional<std::string> value, const Change& change) {
  if (value) ever_[row].insert(*value);
  under_way_.emplace(row, value);
  SEREUS_TRY(change());
  ++acknowledged_;
  if (value) {
    rows_[row] = *value;
  } else {
    rows_.erase(row);
  }
  under_way_.reset();
  return {};
}

Status DatabaseSubject::act(SimRandom& draws) {
  // Whether a change that failed was made is known when it was opened again.
  if (under_way_) {
    shut();
    SEREUS_TRY(open(false));
    SEREUS_TRY(check(false));
  }
  switch (draws.below(10)) {
    case 0:
      shut();
      return open(false);
    case 1:
    case 2:
    case 3:
      return change_store(draws);
    case 4:
    case 5:
      return change_invite(draws);
    default:
      return change_rest(draws);
  }
}

Status DatabaseSubject::change_store(SimRandom& draws) {
  node::LocalStore store;
  const uint64_t number = draws.below(12);
  store.id = id_of<StoreId>(number);
  const std::string row = "store " + std::to_string(number);
  if (draws.below(4) == 0) return make(row, std::nullopt, [&] { return database_->remove_store(store.id); });
  store.root = id_of<StoreId>(draws.below(3));
  store.name = std::string(draws.below(draws.below(8) == 0 ? 3000 : 30), 'n') + std::to_string(draws.below(100));
  store.archived = draws.below(2) == 0;
  return make(row, store.name + (store.archived ? " archived " : " ") + store.root.hex(),
              [&] { return database_->put_store(store); });
}

Status DatabaseSubject::change_invite(SimRandom& draws) {
  node::StoredInvite invite;
  const uint64_t number = draws.below(8);
  invite.id = id_of<Hash>(number);
  const std::string row = "invite " + std::to_string(number);
  if (draws.below(4) == 0) return make(row, std::nullopt, [&] { return database_->remove_invite(invite.id); });
  invite.uses_left = static_cast<uint32_t>(draws.below(5));
  for (uint64_t left = draws.below(20); left > 0; --left) invite.redeemed.push_back(id_of<DeviceKey>(left));
  return make(row, std::to_string(invite.uses_left) + " " + std::to_string(invite.redeemed.size()),
              [&] { return database_->put_invite(invite); });
}

Status DatabaseSubject::change_rest(SimRandom& draws) {
  if (draws.below(2) == 0) {
    const std::string name(1 + draws.below(40), static_cast<char>('a' + draws.below(26)));
    return make("name", name, [&] { return database_->set_name(name); });
  }
  node::KnownPeer peer;
  const uint64_t number = draws.below(10);
  peer.device = id_of<DeviceKey>(number);
  peer.addresses = {"/ip4/10.0.0." + std::to_string(draws.below(200)) + "/udp/4001/quic-v1"};
  return make("peer " + std::to_string(number), peer.addresses[0], [&] { return database_->put_peer(peer); });
}

Status DatabaseSubject::read_names(Rows& rows) {
  SEREUS_ASSIGN(const std::string name, database_->name());
  if (!name.empty()) rows["name"] = name;
  return {};
}

Status DatabaseSubject::read_stores(Rows& rows) {
  SEREUS_ASSIGN(const auto stores, database_->stores());
  for (const node::LocalStore& store : stores) {
    rows["store " + std::to_string(store.id.bytes[0] - 1)] =
        store.name + (store.archived ? " archived " : " ") + store.root.hex();
  }
  return {};
}

Status DatabaseSubject::read_people(Rows& rows) {
  SEREUS_ASSIGN(const auto invites, database_->invites());
  for (const node::StoredInvite& invite : invites) {
    rows["invite " + std::to_string(invite.id.bytes[0] - 1)] =
        std::to_string(invite.uses_left) + " " + std::to_string(invite.redeemed.size());
  }
  SEREUS_ASSIGN(const auto peers, database_->peers());
  for (const node::KnownPeer& peer : peers) {
    rows["peer " + std::to_string(peer.device.bytes[0] - 1)] = peer.addresses.empty() ? "" : peer.addresses[0];
  }
  return {};
}

Result<Rows> DatabaseSubject::read() {
  Rows rows;
  SEREUS_TRY(read_names(rows));
  SEREUS_TRY(read_stores(rows));
  SEREUS_TRY(read_people(rows));
  return rows;
}

void DatabaseSubject::compare_row(const std::string& row, const Rows& found) {
  const auto is = found.find(row);
  if (promise_.rots) return;
  if (!promise_.keeps) {
    if (is != found.end() && ever_[row].count(is->second) == 0) violate("what nobody wrote", row);
    return;
  }
  const auto was = rows_.find(row);
  const bool same = (is == found.end()) == (was == rows_.end()) && (is == found.end() || is->second == was->second);
  if (same) return;
  if (under_way_ && under_way_->first == row) {
    const auto& next = under_way_->second;
    if (next ? (is != found.end() && is->second == *next) : is == found.end()) return;
  }
  violate("acknowledged data survives", row + (is == found.end() ? " is gone" : " is another one"));
}

Status DatabaseSubject::check(bool /*thoroughly*/) {
  SEREUS_ASSIGN(Rows found, read());
  std::set<std::string> names;
  for (const auto& [row, value] : found) names.insert(row);
  for (const auto& [row, value] : rows_) names.insert(row);
  for (const std::string& row : names) compare_row(row, found);
  rows_ = std::move(found);
  under_way_.reset();
  return {};
}

Status DatabaseSubject::start_over() {
  for (const char* path : {"node.db-wal", "node.db"}) SEREUS_TRY(ports_.disk.remove(path));
  SEREUS_TRY(ports_.disk.sync_folder(""));
  rows_.clear();
  under_way_.reset();
  return {};
}

}  // namespace

std::unique_ptr<Subject> make_database_subject(const SubjectPorts& ports, const Promise& promise) {
  return std::make_unique<DatabaseSubject>(ports, promise);
}

}  // namespace sereus::sim
