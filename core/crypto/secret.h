// Memory for secrets: out of the reach of swap and core dumps where the system allows it, wiped when it is released.
// Neither type copies; clone() says so where a second copy is really wanted. A moved-from secret holds nothing and must
// not be read.
#pragma once

#include <array>
#include <utility>

#include "core/base/assert.h"
#include "core/base/bytes.h"

namespace sereus::crypto {

// Locked memory, zeroed. Small sizes share guarded pages (a thousand nodes in one process hold thousands of keys, and
// each guarded allocation of its own costs four mappings); others get guard pages of their own. Never null: aborts
// when there is no memory. Thread-safe.
uint8_t* secret_allocate(size_t size);
// Wipes, then releases. Null is fine.
void secret_release(uint8_t* memory, size_t size);
// The compiler does not remove it.
void wipe(ByteSpan memory);

// The same time for equal and unequal content. Lengths are not secret.
bool equal_constant_time(ByteView a, ByteView b);

// A secret of variable size.
class SecretBuffer {
 public:
  SecretBuffer() = default;
  // Zeroed.
  explicit SecretBuffer(size_t size) : data_(size == 0 ? nullptr : secret_allocate(size)), size_(size) {}
  // A copy of `bytes`; the caller wipes the original.
  explicit SecretBuffer(ByteView bytes) : SecretBuffer(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
  }
  SecretBuffer(SecretBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBuffer& operator=(SecretBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    if (this != &other) other.clear();
    return *this;
  }
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer() { clear(); }

  SecretBuffer clone() const { return SecretBuffer(view()); }
  // Wipes and releases.
  void clear() {
    secret_release(data_, size_);
    data_ = nullptr;
    size_ = 0;
  }

  ByteView view() const { return {data_, size_}; }
  ByteSpan span() { return {data_, size_}; }
  const uint8_t* data() const { return data_; }
  uint8_t* data() { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// A secret of N bytes: keys and seeds. Zero when default-made.
template <size_t N>
class SecretBytes {
 public:
  static constexpr size_t kSize = N;

  SecretBytes() : data_(secret_allocate(N)) {}
  // A copy of `bytes`, which must be N long; the caller wipes the original.
  explicit SecretBytes(ByteView bytes) : SecretBytes() {
    SEREUS_ASSERT(bytes.size() == N);
    std::memcpy(data_, bytes.data(), N);
  }
  SecretBytes(SecretBytes&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      secret_release(data_, N);
      data_ = std::exchange(other.data_, nullptr);
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { secret_release(data_, N); }

  SecretBytes clone() const { return SecretBytes(view()); }

  ByteView view() const { return {data(), N}; }
  ByteSpan span() { return {data(), N}; }
  const uint8_t* data() const {
    SEREUS_ASSERT(data_ != nullptr);  // moved from
    return data_;
  }
  uint8_t* data() {
    SEREUS_ASSERT(data_ != nullptr);
    return data_;
  }

  friend bool operator==(const SecretBytes& a, const SecretBytes& b) { return equal_constant_time(a.view(), b.view()); }

 private:
  uint8_t* data_ = nullptr;
};

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
