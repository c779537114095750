#include "core/node/view.h"

#include <algorithm>

namespace sereus::node {

void View::publish(State state) {
  const std::lock_guard lock(mutex_);
  const uint32_t operations = state_.info.operations;
  state_ = std::move(state);
  state_.info.operations = operations;
}

void View::publish_info(InfoRow info) {
  const std::lock_guard lock(mutex_);
  info.operations = state_.info.operations;
  state_.info = std::move(info);
}

void View::set_reader(uint64_t store, std::shared_ptr<store::StoreReader> reader) {
  if (reader) {
    const std::lock_guard lock(mutex_);
    readers_[store] = std::move(reader);
    return;
  }
  const std::unique_lock alone(gate_);
  const std::lock_guard lock(mutex_);
  readers_.erase(store);
}

void View::count_operations(uint32_t operations) {
  const std::lock_guard lock(mutex_);
  state_.info.operations = operations;
}

void View::show_connection(ConnectionRow row) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = row.connection;
  connections_[number] = std::move(row);
}

void View::count_streams(uint64_t connection, uint32_t streams) {
  const std::lock_guard lock(mutex_);
  if (const auto found = connections_.find(connection); found != connections_.end()) found->second.streams = streams;
}

void View::hide_connection(uint64_t connection) {
  const std::lock_guard lock(mutex_);
  connections_.erase(connection);
}

// Under the mutex.
std::vector<HostRow> View::host_rows() const {
  std::vector<HostRow> out = state_.hosts;
  for (HostRow& row : out) {
    for (const auto& [number, connection] : connections_) row.connections += connection.host == row.host ? 1 : 0;
  }
  return out;
}

// Under the mutex.
std::vector<ConnectionRow> View::connection_rows() const {
  std::vector<ConnectionRow> out;
  out.reserve(connections_.size());
  for (const auto& [number, row] : connections_) out.push_back(row);
  return out;
}

std::shared_ptr<store::StoreReader> View::reader_of(uint64_t store) {
  const std::lock_guard lock(mutex_);
  const auto found = readers_.find(store);
  return found == readers_.end() ? nullptr : found->second;
}

Result<Rows> View::query(const Query& query) {
  const std::shared_lock reading(gate_);
  std::vector<StoreRow> stores;
  {
    const std::lock_guard lock(mutex_);
    if (state_.unavailable != Code::ok) return fail(state_.unavailable, "the node is suspended or closed");
    switch (query.kind) {
      case QueryKind::info:
        return Rows(std::vector<InfoRow>{state_.info});
      case QueryKind::peers:
        return Rows(state_.peers);
      case QueryKind::invites:
        return Rows(state_.invites);
      case QueryKind::hosts:
        return Rows(host_rows());
      case QueryKind::connections:
        return Rows(connection_rows());
      case QueryKind::stores:
        stores = state_.stores;
        break;
      default:
        break;
    }
  }
  if (query.kind == QueryKind::stores) {
    fill_stats(stores);
    return Rows(std::move(stores));
  }
  if (query.kind == QueryKind::store_open) return find_store(as_text(query.x));
  return query_store(query);
}

void View::fill_stats(std::vector<StoreRow>& rows) {
  for (StoreRow& row : rows) {
    const auto reader = reader_of(row.store);
    if (!reader) continue;
    const auto stats = reader->stats();
    if (stats.ok()) {
      row.stats = *stats;
    } else {
      row.state = StoreState::damaged;
      row.detail = stats.error().detail;
    }
  }
}

Result<Rows> View::query_store(const Query& query) {
  const auto reader = reader_of(query.store);
  if (!reader) return fail(Code::not_found, "there is no such store; list-stores shows those there are");
  switch (query.kind) {
    case QueryKind::get: {
      // The winner among the heads; a tombstone that wins means: not there.
      SEREUS_ASSIGN(auto heads, reader->heads(query.x, true));
      if (heads.empty() || heads.front().tombstone) return fail(Code::not_found, "there is no such key");
      heads.resize(1);
      return Rows(std::move(heads));
    }
    case QueryKind::heads: {
      SEREUS_ASSIGN(auto heads, reader->heads(query.x, true));
      if (heads.empty()) return fail(Code::not_found, "there is no such key");
      return Rows(std::move(heads));
    }
    case QueryKind::list: {
      const size_t limit = query.a == 0 ? 1000 : std::min<uint64_t>(query.a, store::kListPageMax);
      SEREUS_ASSIGN(auto rows, reader->list(query.x, query.y, limit, (query.b & 1) != 0));
      return Rows(std::move(rows));
    }
    case QueryKind::state_digest: {
      SEREUS_ASSIGN(const Hash digest, reader->state_digest());
      store::Head head;
      head.value = to_bytes(digest.view());
      head.value_size = head.value.size();
      return Rows(std::vector<store::Head>{std::move(head)});
    }
    default:
      return fail(Code::invalid, "there is no such query");
  }
}

Result<Rows> View::find_store(std::string_view text) {
  std::vector<StoreRow> found;
  {
    const std::lock_guard lock(mutex_);
    for (const StoreRow& row : state_.stores) {
      if (row.uuid == text || row.name == text || (text.size() >= 4 && row.uuid.starts_with(text)))
        found.push_back(row);
    }
  }
  // An exact uuid beats a name, an active store beats an archived one of the same name.
  const auto keep = [&](auto better) {
    if (std::any_of(found.begin(), found.end(), better))
      std::erase_if(found, [&](const StoreRow& r) { return !better(r); });
  };
  keep([&](const StoreRow& row) { return row.uuid == text; });
  keep([&](const StoreRow& row) { return row.name == text; });
  keep([&](const StoreRow& row) { return row.state == StoreState::active; });
  if (found.empty()) return fail(Code::not_found, "there is no store of that name; list-stores shows those there are");
  if (found.size() > 1)
    return fail(Code::invalid, "several stores have that name; use the uuid that list-stores shows");
  fill_stats(found);
  return Rows(std::move(found));
}

}  // namespace sereus::node
