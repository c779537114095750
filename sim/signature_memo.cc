#include "sim/signature_memo.h"

#include <vector>

#include "core/crypto/hash.h"

namespace sereus::sim {
namespace {

thread_local SignatureMemo* current_memo = nullptr;

// Key and signature have fixed sizes, so the parts cannot be cut otherwise.
Digest digest_of(const crypto::Ed25519BatchItem& item) {
  return crypto::truncate(
      crypto::Blake2b().update(item.public_key).update(item.signature).update(item.message).finish());
}

}  // namespace

SignatureMemo::SignatureMemo() : previous_(current_memo) { current_memo = this; }

SignatureMemo::~SignatureMemo() { current_memo = previous_; }

SignatureMemo* SignatureMemo::current() { return current_memo; }

bool SignatureMemo::knows(const crypto::Ed25519BatchItem& item) {
  ++asked_;
  const bool found = known_.contains(digest_of(item));
  found_ += found ? 1 : 0;
  return found;
}

void SignatureMemo::learn(const crypto::Ed25519BatchItem& item) {
  if (known_.size() >= kKnownMax) known_.clear();
  known_.insert(digest_of(item));
}

#ifdef __ELF__

// GNU ld's and lld's --wrap: calls of the first name come to __wrap_, and the function itself is __real_.
#define SEREUS_VERIFY "_ZN6sereus6crypto14ed25519_verifyESt4spanIKhLm32EES1_IS2_Lm18446744073709551615EES1_IS2_Lm64EE"
#define SEREUS_VERIFY_BATCH \
  "_ZN6sereus6crypto20ed25519_verify_batchESt4spanIKNS0_16Ed25519BatchItemELm18446744073709551615EES1_IKhLm32EE"

bool real_verify(std::span<const uint8_t, 32> public_key, std::span<const uint8_t> message,
                 std::span<const uint8_t, 64> signature) __asm__("__real_" SEREUS_VERIFY);
bool real_verify_batch(std::span<const crypto::Ed25519BatchItem> items,
                       std::span<const uint8_t, 32> seed) __asm__("__real_" SEREUS_VERIFY_BATCH);
bool verify(std::span<const uint8_t, 32> public_key, std::span<const uint8_t> message,
            std::span<const uint8_t, 64> signature) __asm__("__wrap_" SEREUS_VERIFY);
bool verify_batch(std::span<const crypto::Ed25519BatchItem> items,
                  std::span<const uint8_t, 32> seed) __asm__("__wrap_" SEREUS_VERIFY_BATCH);

bool verify(std::span<const uint8_t, 32> public_key, std::span<const uint8_t> message,
            std::span<const uint8_t, 64> signature) {
  SignatureMemo* memo = SignatureMemo::current();
  const crypto::Ed25519BatchItem item{public_key, message, signature};
  if (memo != nullptr && memo->knows(item)) return true;
  const bool valid = real_verify(public_key, message, signature);
  if (memo != nullptr && valid) memo->learn(item);
  return valid;
}

bool verify_batch(std::span<const crypto::Ed25519BatchItem> items, std::span<const uint8_t, 32> seed) {
  SignatureMemo* memo = SignatureMemo::current();
  if (memo == nullptr) return real_verify_batch(items, seed);
  std::vector<crypto::Ed25519BatchItem> unknown;
  for (const crypto::Ed25519BatchItem& item : items) {
    if (!memo->knows(item)) unknown.push_back(item);
  }
  if (unknown.empty()) return true;
  const bool valid = real_verify_batch(unknown, seed);
  if (!valid) return false;
  for (const crypto::Ed25519BatchItem& item : unknown) memo->learn(item);
  return true;
}

#endif

}  // namespace sereus::sim
