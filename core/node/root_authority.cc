#include "core/node/root_authority.h"

#include <algorithm>
#include <utility>

namespace sereus::node {
namespace {

bool is_genesis_of(const StoreId& root, const store::AuthorBinding& binding, const store::EntryView& entry) {
  return entry.seq == 1 && std::any_of(entry.ops.begin(), entry.ops.end(), [&](const store::OpView& op) {
           return op.kind == store::OpKind::genesis && op.party == binding.party &&
                  store::root_store_id(op.party, op.nonce) == root;
         });
}

}  // namespace

Result<const RootState*> RootAuthority::look() {
  if (!fresh_) {
    SEREUS_ASSIGN(RootState read, read_root_state(*reader_));
    state_ = std::make_shared<RootState>(std::move(read));
    handed_out_ = false;
    fresh_ = true;
  }
  return state_.get();
}

Result<std::shared_ptr<const RootState>> RootAuthority::state() {
  SEREUS_TRY(look());
  handed_out_ = true;
  return std::shared_ptr<const RootState>(state_);
}

Status RootAuthority::check(const StoreId& store, const store::AuthorBinding& binding, const store::EntryView& entry,
                            const std::vector<Hash>& cited) {
  SEREUS_TRY(decide(store, binding, entry, cited));
  if (store == root_.id()) stage(entry);
  return {};
}

// A range of root entries is decided on before any of it is in the index, and each entry cites the one before it.
void RootAuthority::stage(const store::EntryView& entry) {
  staged_.insert(store::entry_hash(entry.body));
  if (!look().ok()) return;
  if (std::exchange(handed_out_, false)) state_ = std::make_shared<RootState>(*state_);
  apply_root_entry(*state_, entry);
}

Status RootAuthority::decide(const StoreId& store, const store::AuthorBinding& binding, const store::EntryView& entry,
                             const std::vector<Hash>& cited) {
  const bool in_root = store == root_.id();
  if (in_root && is_genesis_of(store, binding, entry)) return {};
  const bool all_here = std::all_of(cited.begin(), cited.end(), [&](const Hash& hash) {
    return root_.contains(hash) || (in_root && staged_.contains(hash));
  });
  if (cited.empty() || !all_here) return fail(Code::pending, "the entry cites authority that has not arrived yet");
  SEREUS_ASSIGN(const RootState* now, look());
  const Member* member = now->member(binding.device);
  if (member == nullptr || member->party != binding.party) {
    return fail(Code::denied, "the author's device was never invited");
  }
  if (member->removed) {
    const auto cutoff = member->cutoffs.find({store, binding.author});
    if (cutoff != member->cutoffs.end() && entry.seq <= cutoff->second.seq) return {};
    return fail(Code::denied, "the author's device was removed before this entry");
  }
  if (!member->active) return fail(Code::denied, "the author's device is not active");
  if (in_root) return check_root_entry(binding, entry, member);
  if (member->role < Role::write) return fail(Code::denied, "the author's device may only read");
  return {};
}

Status RootAuthority::check_root_entry(const store::AuthorBinding& binding, const store::EntryView& entry,
                                       const Member* member) {
  if (member->role == Role::admin) return {};
  const std::string own_name = node_key(binding.device, "name");
  for (const store::OpView& op : entry.ops) {
    if (op.kind == store::OpKind::author) continue;
    if (op.kind == store::OpKind::put && as_text(op.key) == own_name) continue;
    return fail(Code::denied, "only an admin may write this into the root store");
  }
  return {};
}

}  // namespace sereus::node
