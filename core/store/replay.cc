#include "core/store/replay.h"

#include <string>

#include "core/crypto/certificate.h"

namespace sereus::store {
namespace {

Error damaged(const char* what, uint64_t position) {
  return fail(Code::corrupt,
              std::string("the store's log is damaged at byte ") + std::to_string(position) + ": " + what);
}

}  // namespace

const OpView* author_op(const EntryView& entry) {
  return entry.ops.front().kind == OpKind::author ? &entry.ops.front() : nullptr;
}

const OpView* genesis_op(const EntryView& entry) {
  return entry.ops.size() > 1 && entry.ops[1].kind == OpKind::genesis ? &entry.ops[1] : nullptr;
}

Result<AuthorBinding> bind_author(ByteView author_certificate, ByteView device_certificate, const StoreId& store,
                                  const AuthorKey& author) {
  SEREUS_ASSIGN(const crypto::AuthorIdentity identity,
                crypto::verify_author_chain(author_certificate, device_certificate, store, std::nullopt));
  if (identity.author != author) return fail(Code::bad_signature, "the certificates are another author's");
  return AuthorBinding{identity.author, identity.device, identity.party, identity.incarnation};
}

Result<StoredEntry> split_entry(ByteView payload) {
  if (payload.size() <= kEntryPrefixSize + kSignatureSize) return fail(Code::corrupt, "the log holds a short entry");
  const size_t body_size = payload.size() - kSignatureSize;
  return StoredEntry{payload.first(body_size), *Signature::from(payload.subspan(body_size))};
}

Status Replay::record(const storage::LogRecord& record) {
  batch_.note_record(record.position, record.payload);
  if (is_entry(record.kind)) return entry_record(record);
  switch (record.kind) {
    case kRecordOrigin:
      return {};
    case kRecordRelease:
      if (record.payload.size() != sizeof(uint64_t)) return damaged("a release of another size", record.position);
      return release(load_le<uint64_t>(record.payload.data()), record.boundary());
    case kRecordFork:
      return fork_record(record);
    default:
      return fail(Code::too_new, "the store's log holds records of a newer version");
  }
}

Status Replay::entry_record(const storage::LogRecord& record) {
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
  const auto parsed = parse_body(stored.body);
  if (!parsed.ok()) return damaged(parsed.error().detail.c_str(), record.position);
  const EntryView& entry = *parsed;
  if (entry.store != store_) return damaged("an entry of another store", record.position);
  uint32_t author = authors_.find(entry.author);
  if (author == Authors::kNone) {
    if (entry.seq != 1 || author_op(entry) == nullptr)
      return damaged("an author without a first entry", record.position);
    AuthorState state;
    state.key = entry.author;
    author = batch_.add_author(std::move(state));
  }
  AuthorState& state = batch_.touch(author);
  if (entry.seq != state.seq + 1 || entry.prev != state.hash) return damaged("a broken chain", record.position);
  if (const OpView* op = author_op(entry)) {
    const auto binding = bind_author(op->certificates[0], op->certificates[1], store_, entry.author);
    if (!binding.ok()) return damaged(binding.error().detail.c_str(), record.position);
    state.binding = *binding;
  }
  ++entries_;
  return enter(author, entry, entry_hash(stored.body), record.position, (record.kind & kEntryHeld) != 0);
}

Status Replay::enter(uint32_t author, const EntryView& entry, const Hash& hash, uint64_t position, bool held) {
  const uint64_t boundary = position - storage::kLogRecordHeaderSize;
  if (!batch_.meta().counters.root && genesis_op(entry) != nullptr) {
    SEREUS_TRY(index_entries(boundary));
    batch_.meta().counters.root = true;
  }
  SEREUS_TRY(batch_.add_entry(author, entry, hash, position, held));
  if (held) return {};
  return batch_.apply(author, entry, hash, {position, boundary});
}

Status Replay::release(uint64_t position, uint64_t boundary) {
  Bytes buffer;
  SEREUS_ASSIGN(const storage::LogRecord record, log_.read_record(position, &buffer));
  if (!is_entry(record.kind) || (record.kind & kEntryHeld) == 0) return damaged("a release of no held entry", position);
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
  const auto parsed = parse_body(stored.body);
  if (!parsed.ok()) return damaged(parsed.error().detail.c_str(), position);
  const uint32_t author = authors_.find(parsed->author);
  if (author == Authors::kNone) return damaged("a release of an unknown author's entry", position);
  SEREUS_TRY(batch_.release({parsed->hlc, author, parsed->seq, position}));
  return batch_.apply(author, *parsed, entry_hash(stored.body), {position, boundary});
}

Status Replay::fork_record(const storage::LogRecord& record) {
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
  const auto parsed = parse_body(stored.body);
  if (!parsed.ok()) return damaged(parsed.error().detail.c_str(), record.position);
  const uint32_t author = authors_.find(parsed->author);
  if (author == Authors::kNone || parsed->seq == 0)
    return damaged("evidence against an unknown author", record.position);
  AuthorState& state = batch_.touch(author);
  if (!state.forked) ++batch_.meta().counters.forks;
  state.forked = true;
  return index_.add_fork({author, contradicted_seq(parsed->seq, state.seq), record.position});
}

Status Replay::index_entries(uint64_t until) {
  storage::LogScanner scanner = log_.scan(storage::kLogHeaderSize);
  storage::LogRecord record;
  while (scanner.boundary() < until) {
    SEREUS_ASSIGN(const bool more, scanner.next(&record));
    if (!more) return {};
    if (!is_entry(record.kind)) continue;
    SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
    SEREUS_TRY(index_.add_entry(entry_hash(stored.body)));
  }
  return {};
}

}  // namespace sereus::store
