// What a store and its readers share: the log, and the gate that lets close() wait for calls under way.
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "core/storage/append_log.h"
#include "core/storage/database.h"
#include "core/storage/vfs.h"
#include "core/store/store.h"

namespace sereus::store {

struct Shared {
  StoreId id;
  storage::Vfs* vfs = nullptr;
  std::string index_path;
  std::unique_ptr<storage::AppendLog> log;
  std::shared_mutex gate;  // readers hold it shared for a call, close() alone
  bool closed = false;     // guarded by gate
};

Result<std::unique_ptr<StoreReader>> open_store_reader(std::shared_ptr<Shared> shared);
Result<std::unique_ptr<RangeReader>> open_range_reader(std::shared_ptr<Shared> shared);

// A reader's connection to the index.
Result<std::unique_ptr<storage::Database>> open_index_for_reading(const Shared& shared);

}  // namespace sereus::store
