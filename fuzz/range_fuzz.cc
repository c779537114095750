// Ranges: verifying never faults, and both policies agree on all but signatures. The input is first_seq (2 bytes),
// entries (1 byte), whether prev is zeros (1 byte), payload. Its signatures are made good, so that it gets past them.
#include "core/codec/varint.h"
#include "core/store/range.h"

using namespace sereus;
using namespace sereus::store;

namespace {

// Signs what looks like an entry at each place where one should be, and returns how far that went.
Bytes signed_payload(const KeyPair& author, const RangeHeader& header, ByteView payload) {
  Bytes out = to_bytes(payload);
  Hash prev = header.prev;
  ByteView left = payload;
  for (uint32_t i = 0; i < header.entries; ++i) {
    const auto rest = varint_read(left);
    if (!rest || *rest > left.size() || left.size() - *rest < kSignatureSize) break;
    Bytes body;
    append(body, entry_prefix(header.store, header.author, prev));
    append(body, left.first(static_cast<size_t>(*rest)));
    prev = entry_hash(body);
    const size_t at = payload.size() - left.size() + static_cast<size_t>(*rest);
    const Signature signature = sign_entry(author, prev);
    std::memcpy(out.data() + at, signature.bytes.data(), kSignatureSize);
    left = left.subspan(static_cast<size_t>(*rest) + kSignatureSize);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const KeyPair author = KeyPair::from_seed(SecretBytes<32>(Bytes(32, 3)));
  if (size < 4) return 0;
  RangeHeader header;
  header.author = author.author_key();
  header.first_seq = load_le<uint16_t>(data);
  header.entries = data[2];
  header.prev.bytes.fill(data[3]);
  const ByteView payload(data + 4, size - 4);
  (void)verify_range(header, payload, VerifyPolicy::chain, {}).ok();
  const Bytes good = signed_payload(author, header, payload);
  const auto chain = verify_range(header, good, VerifyPolicy::chain, {});
  const auto every = verify_range(header, good, VerifyPolicy::every_signature, {});
  SEREUS_ASSERT(chain.code() == every.code());
  if (!chain.ok()) return 0;
  SEREUS_ASSERT(chain->entries.size() == header.entries && chain->bytes == every->bytes);
  // Only the last signature counts for the chain.
  Bytes forged = good;
  forged.back() ^= 1;
  SEREUS_ASSERT(verify_range(header, forged, VerifyPolicy::chain, {}).code() == Code::bad_signature);
  SEREUS_ASSERT(verify_range(header, forged, VerifyPolicy::every_signature, {}).code() == Code::bad_signature);
  return 0;
}
