// The simulator's memory of valid signatures. In a run twenty nodes verify the same entry, each as it would alone; the arithmetic
// is done for the first of them. Whoever asks again for the same key, message and signature gets the same answer.
//
// The product knows nothing of this: the linker puts it before crypto::ed25519_verify() and ed25519_verify_batch()
// (cmake/Programs.cmake), so all code that verifies is entered as ever. Only what the real function took is remembered: a wrong
// signature is never found, and verified each time. Where the linker cannot do this, nothing is remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/crypto/ed25519_verify.h"

namespace sereus::sim {

// Remembers from its beginning to its end, on one thread. One at a time counts: the one that began last.
class SignatureMemo {
 public:
  static constexpr size_t kKnownMax = 1 << 16;  // then all is forgotten: 4 MiB

  SignatureMemo();
  ~SignatureMemo();
  SignatureMemo(const SignatureMemo&) = delete;
  SignatureMemo& operator=(const SignatureMemo&) = delete;

  uint64_t asked() const { return asked_; }
  uint64_t found() const { return found_; }

  // For the functions that stand before the real ones.
  static SignatureMemo* current();
  bool knows(const crypto::Ed25519BatchItem& item);
  void learn(const crypto::Ed25519BatchItem& item);

 private:
  struct Slot {
    size_t operator()(const Digest& digest) const { return load_le<size_t>(digest.bytes.data()); }
  };
  std::unordered_set<Digest, Slot> known_;
  uint64_t asked_ = 0;
  uint64_t found_ = 0;
  SignatureMemo* previous_;
};

}  // namespace sereus::sim
