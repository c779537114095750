// Writing: transactions become signed entries.

#include <algorithm>

#include "core/crypto/certificate.h"
#include "core/store/replay.h"
#include "core/store/store_impl.h"

namespace sereus::store {
namespace {

bool writes_key(const WriteOp& op) { return op.kind == OpKind::put || op.kind == OpKind::remove; }

int place_of(OpKind kind) { return kind == OpKind::author ? 0 : (kind == OpKind::genesis ? 1 : 2); }

Status check_op(const WriteOp& op) {
  if (writes_key(op)) {
    if (op.key.empty()) return fail(Code::invalid, "a key is empty");
    if (op.key.size() > kKeySizeMax) return fail(Code::too_large, "a key is over 4 KiB");
    if (op.value.size() > kValueSizeMax)
      return fail(Code::too_large, "a value is over 1 MiB; share larger content as a file");
    return {};
  }
  if (op.kind == OpKind::genesis) return {};
  if (op.kind != OpKind::author) return fail(Code::invalid, "an unknown operation");
  if (op.certificates.size() != kCertificatesPerOp)
    return fail(Code::invalid, "an author operation takes two certificates");
  for (const Bytes& certificate : op.certificates) {
    if (certificate.size() > crypto::kCertificateSizeMax)
      return fail(Code::too_large, "a certificate is over 512 bytes");
  }
  return {};
}

// Of several writes of one key, the last one counts: nothing could ever see the others.
void drop_overwritten(std::vector<WriteOp>& ops) {
  if (ops.size() < 2) return;
  std::vector<size_t> order(ops.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int by_key = compare(ops[a].key, ops[b].key);
    return by_key != 0 ? by_key < 0 : a < b;
  });
  std::vector<bool> dropped(ops.size(), false);
  bool any = false;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    if (!writes_key(ops[order[i]]) || !writes_key(ops[order[i + 1]])) continue;
    if (!equal(ops[order[i]].key, ops[order[i + 1]].key)) continue;
    dropped[order[i]] = true;
    any = true;
  }
  if (!any) return;
  size_t kept = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (dropped[i]) continue;
    if (kept != i) ops[kept] = std::move(ops[i]);
    ++kept;
  }
  ops.resize(kept);
}

// How many transactions at the front are written together.
size_t group_size(std::span<const Transaction> transactions) {
  size_t bytes = 0;
  for (size_t i = 0; i < transactions.size(); ++i) {
    for (const WriteOp& op : transactions[i].ops) bytes += op.key.size() + op.value.size();
    if (bytes > kCommitBytesMax) return std::max<size_t>(i, 1);
  }
  return transactions.size();
}

// Limits, and the order the format wants.
Status arrange(Transaction& transaction) {
  std::vector<WriteOp>& ops = transaction.ops;
  if (ops.empty()) return fail(Code::invalid, "a transaction without operations");
  if (ops.size() > kOpsPerEntryMax) return fail(Code::too_large, "a transaction of more than 4096 operations");
  size_t size = 0;
  for (const WriteOp& op : ops) {
    SEREUS_TRY(check_op(op));
    size += op.key.size() + op.value.size();
  }
  if (size > kEntrySizeMax) return fail(Code::too_large, "a transaction over 2 MiB");
  if (ops.size() > 1) {
    const auto earlier = [](const WriteOp& a, const WriteOp& b) { return place_of(a.kind) < place_of(b.kind); };
    if (!std::is_sorted(ops.begin(), ops.end(), earlier)) std::stable_sort(ops.begin(), ops.end(), earlier);
  }
  drop_overwritten(ops);
  return {};
}

}  // namespace

Result<CommitReport> StoreImpl::commit(std::vector<Transaction> transactions, const KeyPair& author,
                                       const std::vector<Hash>& authority, const Times& now) {
  SEREUS_TRY(ready());
  if (transactions.size() > kCommitEntriesMax) return fail(Code::too_large, "a group of more than 4096 transactions");
  std::vector<Hash> cited = authority;
  std::sort(cited.begin(), cited.end());
  cited.erase(std::unique(cited.begin(), cited.end()), cited.end());
  if (cited.size() > kAuthorityHeadsMax) return fail(Code::invalid, "more than 8 authority heads");

  CommitReport report;
  report.written.reserve(transactions.size());
  const std::span<Transaction> all(transactions);
  for (size_t at = 0; at < all.size();) {
    const std::span<Transaction> part = all.subspan(at, config_.fsync_each ? 1 : group_size(all.subspan(at)));
    at += part.size();
    Status done = ready();
    if (done.ok()) done = commit_group(part, author, cited, now, report);
    if (done.ok()) continue;
    while (report.written.size() < at) report.written.emplace_back(done.error());
  }
  std::vector<AuthorTip> tips;
  if (const auto moved = tip(author.author_key()); moved && report.entries_applied > 0) tips.push_back(*moved);
  fill_report(report, std::move(tips));
  return report;
}

Status StoreImpl::commit_group(std::span<Transaction> transactions, const KeyPair& author,
                               const std::vector<Hash>& authority, const Times& now, CommitReport& report) {
  SEREUS_TRY(note_damage(batch_->begin(meta_, clock_)));
  if (bodies_.capacity() > 2 * kCommitBytesMax) Bytes().swap(bodies_);
  bodies_.clear();
  std::vector<Draft> drafts(transactions.size());
  uint64_t position = shared_->log->end() + storage::kLogRecordHeaderSize;
  uint64_t applied = 0;
  Status status;
  for (size_t i = 0; i < transactions.size() && status.ok(); ++i) {
    status = note_damage(draft_entry(transactions[i], author.author_key(), authority, now, position, &drafts[i]));
    if (!status.ok() || !drafts[i].refused.ok()) continue;
    position += drafts[i].body_size + kSignatureSize + storage::kLogRecordHeaderSize;
    ++applied;
  }
  if (status.ok() && applied > 0) status = sign_and_append(drafts, author);
  if (!status.ok()) {
    abandon_batch();
    return status;
  }
  if (applied == 0) {
    batch_->abort();
  } else {
    SEREUS_TRY(finish_batch());
  }
  for (const Draft& draft : drafts) {
    if (draft.refused.ok()) {
      report.written.emplace_back(draft.written);
    } else {
      report.written.emplace_back(draft.refused.error());
    }
  }
  report.entries_applied += applied;
  return {};
}

// Whether `author` may write this here, as far as the store itself can tell.
Status StoreImpl::check_author(const Transaction& transaction, const AuthorKey& author,
                               std::optional<AuthorBinding>* binding) const {
  const uint32_t number = authors_.find(author);
  const bool is_first = number == Authors::kNone;
  const WriteOp& first = transaction.ops.front();
  if (is_first && first.kind != OpKind::author) {
    return fail(Code::denied, "the first entry of an author must carry its certificates");
  }
  if (is_first && authors_.size() >= kAuthorsMax) return fail(Code::too_large, "the store has 65536 authors");
  if (!is_first && authors_.at(number).forked) {
    return fail(Code::fork, "this author key was used in two places: a new author key must be made");
  }
  if (!is_first && authors_.at(number).held > 0) {
    return fail(Code::future, "earlier entries of this author are from the future and not applied yet");
  }
  for (size_t i = 0; i < transaction.ops.size(); ++i) {
    const WriteOp& op = transaction.ops[i];
    if (op.kind == OpKind::author && i > 0) return fail(Code::invalid, "two author operations");
    if (op.kind != OpKind::genesis) continue;
    if (!is_first || i != 1) return fail(Code::invalid, "a genesis that is not in a first entry");
    if (root_store_id(op.party, op.nonce) != config_.id)
      return fail(Code::wrong_store, "the genesis is another store's");
  }
  if (first.kind != OpKind::author) return {};
  SEREUS_ASSIGN(*binding, bind_author(first.certificates[0], first.certificates[1], config_.id, author));
  if (transaction.ops.size() > 1 && transaction.ops[1].kind == OpKind::genesis &&
      transaction.ops[1].party != (*binding)->party) {
    return fail(Code::denied, "the genesis names another party than the author's");
  }
  return {};
}

// The heads that a write of this key replaces, into parents_: all, or the newest when there are too many.
void StoreImpl::cited_parents(HeadSet::Item item) {
  parents_.clear();
  for (const HeadRef& head : batch_->heads().heads(item)) {
    if (parents_.size() == kParentsPerOpMax) break;
    parents_.push_back(head.hash);
  }
  std::sort(parents_.begin(), parents_.end());
}

Status StoreImpl::write_ops(const Transaction& transaction, const BodyHead& head, const std::vector<Hash>* authority) {
  writes_.clear();
  BodyWriter writer(bodies_, head, authority, transaction.ops.size());
  for (size_t i = 0; i < transaction.ops.size(); ++i) {
    const WriteOp& op = transaction.ops[i];
    if (op.kind == OpKind::author) {
      writer.author(op.certificates);
    } else if (op.kind == OpKind::genesis) {
      writer.genesis(op.party, op.nonce);
    } else {
      KeyWrite write;
      SEREUS_ASSIGN(write.item, batch_->load(op.key));
      write.op = i;
      cited_parents(write.item);
      if (op.kind == OpKind::put) {
        write.value_at = writer.put(op.key, op.value, parents_);
        write.value_size = static_cast<uint32_t>(op.value.size());
      } else {
        write.tombstone = true;
        writer.remove(op.key, parents_);
      }
      writes_.push_back(write);
    }
  }
  writer.finish();
  return {};
}

Status StoreImpl::draft_entry(Transaction& transaction, const AuthorKey& author, const std::vector<Hash>& authority,
                              const Times& now, uint64_t position, Draft* draft) {
  std::optional<AuthorBinding> binding;
  draft->refused = arrange(transaction);
  if (draft->refused.ok()) draft->refused = check_author(transaction, author, &binding);
  if (!draft->refused.ok()) return {};

  uint32_t number = authors_.find(author);
  static const AuthorState kNobody;
  const AuthorState& before = number == Authors::kNone ? kNobody : authors_.at(number);
  // Every entry is after its author's last one, also when the clock forgot it.
  HlcClock clock = batch_->clock();
  clock.observe(before.hlc);
  const Hlc hlc = clock.next(now);
  if (hlc.wall_ms > kHlcWallMsMax) {
    draft->refused = fail(Code::future, "the store's clock is at its end");
    return {};
  }
  const BodyHead head{config_.id, author, before.hash, before.seq + 1, hlc, 0};
  const bool cites = !authority.empty() && authority != before.authority;
  draft->body_at = bodies_.size();
  SEREUS_TRY(write_ops(transaction, head, cites ? &authority : nullptr));
  draft->body_size = bodies_.size() - draft->body_at;
  if (draft->body_size + kSignatureSize > kEntrySizeMax) {
    bodies_.resize(draft->body_at);
    draft->refused = fail(Code::too_large, "a transaction over 2 MiB");
    return {};
  }
  draft->position = position;
  draft->written.seq = head.seq;
  draft->written.hlc = hlc;
  draft->written.hash = entry_hash(ByteView(bodies_).subspan(draft->body_at, draft->body_size));
  draft->written.sequence = sequence_at(position + draft->body_size + kSignatureSize);

  if (number == Authors::kNone) {
    AuthorState state;
    state.key = author;
    number = batch_->add_author(std::move(state));
  }
  if (binding) batch_->touch(number).binding = *binding;
  EntryView entry;  // what add_entry looks at
  entry.seq = head.seq;
  entry.hlc = hlc;
  if (cites) entry.authority = authority;
  const bool is_genesis = transaction.ops.size() > 1 && transaction.ops[1].kind == OpKind::genesis;
  if (is_genesis && !batch_->meta().counters.root) {
    SEREUS_TRY(Replay(*batch_, *index_, authors_, *shared_->log, config_.id).index_entries(meta_.log_end));
    batch_->meta().counters.root = true;
  }
  SEREUS_TRY(batch_->add_entry(number, entry, draft->written.hash, position, false));
  batch_->clock().observe(hlc);
  return apply_writes(number, *draft);
}

Status StoreImpl::apply_writes(uint32_t author, const Draft& draft) {
  const uint64_t boundary = draft.position - storage::kLogRecordHeaderSize;
  for (const KeyWrite& write : writes_) {
    HeadRef head;
    head.hlc = draft.written.hlc.packed();
    head.seq = draft.written.seq;
    head.author = author;
    head.tombstone = write.tombstone;
    if (!write.tombstone) {
      head.value_position = draft.position + (write.value_at - draft.body_at);
      head.value_size = write.value_size;
    }
    head.hash = draft.written.hash;
    cited_parents(write.item);
    SEREUS_TRY(batch_->apply_write(write.item, head, parents_, sequence_at(boundary, write.op), true));
  }
  return {};
}

Status StoreImpl::sign_and_append(const std::vector<Draft>& drafts, const KeyPair& author) {
  for (const Draft& draft : drafts) {
    if (!draft.refused.ok()) continue;
    const ByteView body = ByteView(bodies_).subspan(draft.body_at, draft.body_size);
    const Signature signature = sign_entry(author, draft.written.hash);
    const ByteView parts[] = {body, signature.view()};
    SEREUS_ASSIGN(const uint64_t position, shared_->log->append(kRecordEntry | kEntryChecked, parts));
    SEREUS_ASSERT(position == draft.position);
    batch_->note_record(position, body, signature.view());
  }
  return {};
}

}  // namespace sereus::store
