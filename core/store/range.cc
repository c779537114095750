#include "core/store/range.h"

#include <string>

#include "core/codec/varint.h"
#include "core/crypto/ed25519_verify.h"

namespace sereus::store {
namespace {

constexpr size_t kRestMin = 8;  // no body ends sooner after its prefix: seq, hlc, epoch, authority, one operation

std::string at_sequence(const char* what, uint64_t seq) {
  return std::string("range: ") + what + " at sequence " + std::to_string(seq);
}

Signature signature_of(const VerifiedRange& range, const VerifiedEntry& entry) {
  Signature signature;
  std::memcpy(signature.bytes.data(), range.bytes.data() + entry.offset + entry.body_size, kSignatureSize);
  return signature;
}

Status check_header(const RangeHeader& header, ByteView payload) {
  if (header.entries == 0 || header.first_seq == 0) return fail(Code::malformed, "range: it is empty");
  if (header.entries > kRangeEntriesMax) return fail(Code::too_large, "range: too many entries");
  if (header.entries > 1 && payload.size() > kRangeBytesMax) return fail(Code::too_large, "range: over 1 MiB");
  if (payload.size() > kEntrySizeMax + kVarintSizeMax) return fail(Code::too_large, "range: an entry over 2 MiB");
  if (payload.size() < size_t{header.entries} * (kRestMin + kSignatureSize)) {
    return fail(Code::malformed, "range: shorter than its entries can be");
  }
  if ((header.first_seq == 1) != header.prev.is_zero()) {
    return fail(Code::gap, "range: prev is zeros for a first entry and only there");
  }
  if (header.first_seq > static_cast<uint64_t>(INT64_MAX) - header.entries) {
    return fail(Code::malformed, "range: a sequence number out of range");
  }
  return {};
}

// Takes the next entry off `payload`, puts its whole body and signature at the end of range.bytes (which has room),
// and checks all but the signature.
Status take_entry(VerifiedRange& range, ByteView& payload, uint64_t seq, const Hash& prev) {
  const auto rest_size = varint_read(payload);
  if (!rest_size) return fail(Code::malformed, at_sequence("no size", seq));
  if (*rest_size > payload.size() || payload.size() - *rest_size < kSignatureSize) {
    return fail(Code::malformed, at_sequence("truncated", seq));
  }
  const size_t rest = static_cast<size_t>(*rest_size);
  const auto prefix = entry_prefix(range.header.store, range.header.author, prev);
  VerifiedEntry entry;
  entry.offset = range.bytes.size();
  entry.body_size = static_cast<uint32_t>(kEntryPrefixSize + rest);
  append(range.bytes, prefix);
  append(range.bytes, payload.first(rest + kSignatureSize));
  payload = payload.subspan(rest + kSignatureSize);

  const ByteView body = ByteView(range.bytes).subspan(entry.offset, entry.body_size);
  auto parsed = parse_body(body);
  if (!parsed.ok()) return fail(parsed.code(), at_sequence(parsed.error().detail.c_str(), seq));
  entry.view = std::move(parsed).value();
  if (entry.view.seq != seq) return fail(Code::gap, at_sequence("another sequence number", seq));
  if (!range.entries.empty() && entry.view.hlc <= range.entries.back().view.hlc) {
    return fail(Code::malformed, at_sequence("a timestamp not after its predecessor's", seq));
  }
  entry.hash = entry_hash(body);
  range.entries.push_back(std::move(entry));
  return {};
}

Status check_every_signature(const VerifiedRange& range, const std::array<uint8_t, 32>& seed) {
  std::vector<std::array<uint8_t, kSignedMessageSize>> messages;
  std::vector<crypto::Ed25519BatchItem> items;
  messages.reserve(range.entries.size());
  items.reserve(range.entries.size());
  const std::span<const uint8_t, 32> key(range.header.author.bytes);
  for (const VerifiedEntry& entry : range.entries) {
    messages.push_back(signed_message(entry.hash));
    const uint8_t* signature = range.bytes.data() + entry.offset + entry.body_size;
    items.push_back({key, messages.back(), std::span<const uint8_t, 64>(signature, 64)});
  }
  if (crypto::ed25519_verify_batch(items, seed)) return {};
  const auto invalid = crypto::ed25519_find_invalid(items, seed);
  const uint64_t first = range.header.first_seq + (invalid.empty() ? 0 : invalid.front());
  return fail(Code::bad_signature, at_sequence("the signature does not verify", first));
}

}  // namespace

Result<VerifiedRange> verify_range(const RangeHeader& header, ByteView payload, VerifyPolicy policy,
                                   const std::array<uint8_t, 32>& batch_seed) {
  SEREUS_TRY(check_header(header, payload));
  VerifiedRange range;
  range.header = header;
  // Never reallocated below: the views point into it.
  range.bytes.reserve(payload.size() + size_t{header.entries} * kEntryPrefixSize);
  range.entries.reserve(header.entries);
  Hash prev = header.prev;
  for (uint32_t i = 0; i < header.entries; ++i) {
    SEREUS_TRY(take_entry(range, payload, header.first_seq + i, prev));
    prev = range.entries.back().hash;
  }
  if (!payload.empty()) return fail(Code::malformed, "range: bytes follow its last entry");
  if (policy == VerifyPolicy::every_signature) {
    SEREUS_TRY(check_every_signature(range, batch_seed));
    range.every_signature_checked = true;
  } else if (!verify_entry(header.author, prev, signature_of(range, range.entries.back()))) {
    return fail(Code::bad_signature,
                at_sequence("the signature of the last entry does not verify", header.first_seq + header.entries - 1));
  }
  return range;
}

}  // namespace sereus::store
