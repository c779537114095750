// Who may write what, decided from a root store. Lives on the writer queue, next to the stores it guards.
#pragma once

#include <memory>
#include <set>

#include "core/node/root_state.h"
#include "core/store/store.h"

namespace sereus::node {

// A root store on the writer queue: the store, a reader of it, and its state as of the last look.
class RootAuthority : public store::Authority {
 public:
  RootAuthority(store::Store& root, std::unique_ptr<store::StoreReader> reader)
      : root_(root), reader_(std::move(reader)) {}

  // Rules (docs/formats/root.md):
  //  - The first entry of a root store's founder carries the genesis that the store id commits to, signed through the
  //    certificates of that party: it may write anything.
  //  - In the root store, an admin may write anything; another active member its own name only.
  //  - In a data store, an active member with role write or admin.
  //  - A removed device: up to its cutoff, nothing beyond.
  //  - An entry that cites root entries we do not have yet is pending.
  Status check(const StoreId& store, const store::AuthorBinding& binding, const store::EntryView& entry,
               const std::vector<Hash>& cited) override;

  // The root store changed: look again at the next check.
  void refresh() {
    fresh_ = false;
    staged_.clear();
  }
  // Nothing was taken into the root store, or decided about it, since state() was asked.
  bool current() const { return fresh_ && staged_.empty(); }
  // The state now, for the node's copy.
  Result<std::shared_ptr<const RootState>> state();

 private:
  Status decide(const StoreId& store, const store::AuthorBinding& binding, const store::EntryView& entry,
                const std::vector<Hash>& cited);
  Status check_root_entry(const store::AuthorBinding& binding, const store::EntryView& entry, const Member* member);
  void stage(const store::EntryView& entry);
  Result<const RootState*> look();

  store::Store& root_;
  std::unique_ptr<store::StoreReader> reader_;
  std::shared_ptr<RootState> state_;
  bool fresh_ = false;
  bool handed_out_ = false;  // somebody else reads state_: a change needs a copy of it
  std::set<Hash> staged_;    // root entries that stand, of the ingest under way: those behind them may cite them
};

}  // namespace sereus::node
