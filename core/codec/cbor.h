// Deterministic CBOR: RFC 8949 with the core requirements of section 4.2.1, in Sereus' profile.
//
// The profile (docs/formats/cbor.md): integers from -2^63 to 2^64-1, byte strings, valid UTF-8 text, arrays, maps,
// false, true, null. Every head in its shortest form, every length definite, map keys integers, byte strings or text,
// in ascending order of their encoded bytes and so without duplicates. At most kCborDepthMax containers inside each
// other. No tags, floats, undefined or other simple values. One value has one encoding, and the reader refuses any
// other, so that received bytes can be hashed and verified as they are.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus::codec {

inline constexpr size_t kCborDepthMax = 16;  // ours nest 4 deep; the bound keeps skip() in a fixed stack

// Appends items to a buffer that it does not own. What it writes is deterministic by construction, except that the
// caller must write map entries in key order; a breach, like a missing entry, is an assertion: these are our own bytes.
class CborWriter {
 public:
  explicit CborWriter(Bytes& out) : out_(out) {}
  CborWriter(const CborWriter&) = delete;
  CborWriter& operator=(const CborWriter&) = delete;

  void uint(uint64_t value);
  // Any signed integer; non-negative ones are written as uint would.
  void integer(int64_t value);
  void bytes(ByteView value);
  // `value` must be valid UTF-8.
  void text(std::string_view value);
  // Then `count` items.
  void array(size_t count);
  // Then `count` keys, each followed by its value.
  void map(size_t count);
  void boolean(bool value);
  void null();
  // One whole item that is encoded already, by this class or checked by CborReader::skip. Not checked again.
  void encoded_item(ByteView item);

  // Asserts that every array and map that was begun is full.
  void finish() const { SEREUS_ASSERT(depth_ == 0); }

 private:
  struct Frame {
    uint64_t remaining = 0;  // items still to come; keys and values both count
    bool is_map = false;
    size_t key_at = 0;  // place of the last key written, for the order
    size_t key_size = 0;
  };
  void head(uint8_t major, uint64_t value);
  void scalar_written(size_t from, bool may_be_key);
  void open(uint8_t major, size_t count, uint64_t items);

  Bytes& out_;
  std::array<Frame, kCborDepthMax> frames_{};
  size_t depth_ = 0;
};

enum class CborKind : uint8_t { uint, negative, bytes, text, array, map, boolean, null, invalid, end };

// Pulls items off a view that must outlive it. Never allocates, except for the text of an error.
//
// There are two ways to call it. read_*() give Results. get_*() are the same for hot paths: they return false on
// failure, and from then on everything fails with the first error, which error() describes; so a parser can get a
// whole record and look once. Errors are Code::malformed with the position in bytes.
class CborReader {
 public:
  explicit CborReader(ByteView input) : input_(input) {}

  bool get_uint(uint64_t& value) { return expect_head(kMajorUint, value); }
  bool get_integer(int64_t& value);
  // A view into the input.
  bool get_bytes(ByteView& value) { return get_string(kMajorBytes, value); }
  // A byte string of exactly N bytes.
  template <size_t N>
  bool get_fixed(std::array<uint8_t, N>& value) {
    const size_t from = position_;
    ByteView view;
    if (!get_bytes(view)) return false;
    if (view.size() != N) return fail_at(from, "a byte string has another length than it must have");
    std::memcpy(value.data(), view.data(), N);
    return true;
  }
  bool get_text(std::string_view& value);
  // The number of items, each of which is at least a byte: never more than what is left of the input.
  bool get_array(uint64_t& count);
  // The number of entries. Key order is checked by skip() and CborUintMap, not here.
  bool get_map(uint64_t& count);
  bool get_boolean(bool& value);
  bool get_null();
  // One whole item with all that is in it, checked against the whole profile.
  bool get_item(ByteView& encoded);

  Result<uint64_t> read_uint();
  Result<int64_t> read_int();
  Result<ByteView> read_bytes();
  Result<std::string_view> read_text();
  Result<uint64_t> read_array();
  Result<uint64_t> read_map();
  Result<bool> read_bool();
  Status read_null();
  Result<ByteView> read_item();
  // Steps over one whole item; iterative, depth bounded, checked against the whole profile.
  Status skip();

  // What the next item is, by its first byte alone; CborKind::end at the end or after a failure.
  CborKind peek_kind() const;
  size_t position() const { return position_; }
  size_t remaining() const { return input_.size() - position_; }
  bool at_end() const { return position_ == input_.size(); }
  // Bytes from `from` (an earlier position()) to here.
  ByteView since(size_t from) const { return input_.subspan(from, position_ - from); }
  // Fails when something follows.
  Status expect_end();

  bool failed() const { return problem_ != nullptr; }
  // Precondition: failed().
  Error error() const;
  // For callers whose own rules are broken at a place (position() by default); always false.
  bool refuse(const char* problem) { return fail_at(position_, problem); }

 private:
  static constexpr uint8_t kMajorUint = 0;
  static constexpr uint8_t kMajorBytes = 2;
  struct Frame {
    uint64_t remaining = 0;
    bool is_map = false;
    ByteView key;
  };

  bool fail_at(size_t position, const char* problem);
  // The head of the next item; shortest form only.
  bool get_head(uint8_t& major, uint64_t& value) {
    if (position_ < input_.size() && problem_ == nullptr) {
      const uint8_t first = input_[position_];
      if ((first & 0x1f) < 24) {
        major = first >> 5;
        value = first & 0x1f;
        ++position_;
        return true;
      }
    }
    return get_long_head(major, value);
  }
  bool get_long_head(uint8_t& major, uint64_t& value);
  bool expect_head(uint8_t wanted, uint64_t& value) {
    const size_t from = position_;
    uint8_t major = 0;
    if (!get_head(major, value)) return false;
    return major == wanted || wrong_kind(from);
  }
  bool get_string(uint8_t major, ByteView& value) {
    const size_t from = position_;
    uint64_t size = 0;
    if (!expect_head(major, size)) return false;
    if (size > remaining()) return fail_at(from, "a string is longer than what is left");
    value = input_.subspan(position_, static_cast<size_t>(size));
    position_ += static_cast<size_t>(size);
    return true;
  }
  bool wrong_kind(size_t from);
  bool check_key(Frame& frame, size_t from, uint8_t major);
  bool skip_scalar_body(size_t from, uint8_t major, uint64_t value);

  ByteView input_;
  size_t position_ = 0;
  const char* problem_ = nullptr;
  size_t problem_at_ = 0;
};

// Walks a map whose keys are unsigned integers, the shape of every map of ours:
//
//   CborUintMap map(reader);
//   for (uint64_t key; map.next(key);) switch (key) { case 1: reader.get_uint(x); break; default: reader.skip... }
//   SEREUS_TRY(map.finish());
//
// next() wants the value before it to have been read, and refuses keys that do not ascend.
class CborUintMap {
 public:
  // Reads the head of the map.
  explicit CborUintMap(CborReader& reader) : reader_(reader) { reader_.get_map(left_); }
  // False at the end of the map and after a failure of the reader.
  bool next(uint64_t& key);
  // Ok when every entry was read and nothing failed.
  Status finish() const;

 private:
  CborReader& reader_;
  uint64_t left_ = 0;
  uint64_t last_ = 0;
  bool first_ = true;
};

// Ok when `input` is exactly one item within the profile.
Status cbor_check(ByteView input);

}  // namespace sereus::codec

namespace sereus {
using namespace codec;  // the rooms above write these names with or without "codec::"
}
