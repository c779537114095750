#include <string>

#include "core/codec/cbor.h"
#include "core/codec/utf8.h"

namespace sereus::codec {
namespace {

constexpr uint8_t kUint = 0;
constexpr uint8_t kNegative = 1;
constexpr uint8_t kText = 3;
constexpr uint8_t kArray = 4;
constexpr uint8_t kMap = 5;
constexpr uint8_t kTag = 6;
constexpr uint8_t kSimple = 7;
constexpr uint64_t kFalse = 20;
constexpr uint64_t kTrue = 21;
constexpr uint64_t kNull = 22;

constexpr const char* kBadText = "text is not valid UTF-8";
constexpr const char* kBadInteger = "an integer is below -2^63";
constexpr const char* kCountTooLarge = "a container declares more items than what is left can hold";

}  // namespace

bool CborReader::fail_at(size_t position, const char* problem) {
  if (problem_ == nullptr) {
    problem_ = problem;
    problem_at_ = position;
  }
  return false;
}

Error CborReader::error() const {
  SEREUS_ASSERT(failed());
  return fail(Code::malformed, std::string("CBOR at byte ") + std::to_string(problem_at_) + ": " + problem_);
}

bool CborReader::get_long_head(uint8_t& major, uint64_t& value) {
  if (problem_ != nullptr) return false;
  if (at_end()) return fail_at(position_, "the input ends where an item should begin");
  const uint8_t first = input_[position_];
  const uint8_t low = first & 0x1f;  // 24 or more: get_head has dealt with the others
  if (low == 31) return fail_at(position_, "indefinite lengths are not allowed");
  if (low > 27) return fail_at(position_, "a reserved length code");
  // A simple value or float in long form is never ours, and its argument does not follow the shortest-form rule.
  if ((first >> 5) == kSimple) return fail_at(position_, "floats and simple values are not allowed");
  const size_t extra = size_t{1} << (low - 24);
  if (remaining() < 1 + extra) return fail_at(position_, "the input ends inside a head");
  const uint8_t* from = input_.data() + position_ + 1;
  uint64_t argument = 0;
  uint64_t least = 0;
  switch (low) {
    case 24:
      argument = *from;
      least = 24;
      break;
    case 25:
      argument = load_be<uint16_t>(from);
      least = 0x100;
      break;
    case 26:
      argument = load_be<uint32_t>(from);
      least = 0x10000;
      break;
    default:
      argument = load_be<uint64_t>(from);
      least = 0x100000000;
      break;
  }
  if (argument < least) return fail_at(position_, "an argument is not in its shortest form");
  major = first >> 5;
  value = argument;
  position_ += 1 + extra;
  return true;
}

bool CborReader::wrong_kind(size_t from) {
  position_ = from;
  return fail_at(from, "an item of another kind was expected");
}

bool CborReader::get_integer(int64_t& value) {
  const size_t from = position_;
  uint8_t major = 0;
  uint64_t argument = 0;
  if (!get_head(major, argument)) return false;
  if (major != kUint && major != kNegative) return wrong_kind(from);
  if (argument > INT64_MAX) return fail_at(from, "an integer does not fit 64 signed bits");
  value = major == kUint ? static_cast<int64_t>(argument) : -1 - static_cast<int64_t>(argument);
  return true;
}

bool CborReader::get_text(std::string_view& value) {
  const size_t from = position_;
  ByteView view;
  if (!get_string(kText, view)) return false;
  if (!valid_utf8(view)) return fail_at(from, kBadText);
  value = as_text(view);
  return true;
}

bool CborReader::get_array(uint64_t& count) {
  const size_t from = position_;
  uint64_t declared = 0;
  if (!expect_head(kArray, declared)) return false;
  if (declared > remaining()) return fail_at(from, kCountTooLarge);
  count = declared;
  return true;
}

bool CborReader::get_map(uint64_t& count) {
  const size_t from = position_;
  uint64_t declared = 0;
  if (!expect_head(kMap, declared)) return false;
  if (declared > remaining() / 2) return fail_at(from, kCountTooLarge);
  count = declared;
  return true;
}

bool CborReader::get_boolean(bool& value) {
  const size_t from = position_;
  uint64_t simple = 0;
  if (!expect_head(kSimple, simple)) return false;
  if (simple != kFalse && simple != kTrue) return wrong_kind(from);
  value = simple == kTrue;
  return true;
}

bool CborReader::get_null() {
  const size_t from = position_;
  uint64_t simple = 0;
  if (!expect_head(kSimple, simple)) return false;
  return simple == kNull || wrong_kind(from);
}

// Keys are integers or strings whose encodings ascend (section 4.2.1); the item of `frame` at `from` is one.
bool CborReader::check_key(Frame& frame, size_t from, uint8_t major) {
  if (major > kText) return fail_at(from, "a map key is neither an integer nor a string");
  const ByteView key = since(from);
  if (!frame.key.empty() && compare(frame.key, key) >= 0) {
    return fail_at(from, equal(frame.key, key) ? "a map key twice" : "map keys are not in order");
  }
  frame.key = key;
  return true;
}

// What follows the head of an item that is not a container.
bool CborReader::skip_scalar_body(size_t from, uint8_t major, uint64_t value) {
  if (major == kUint) return true;
  if (major == kNegative) return value <= INT64_MAX || fail_at(from, kBadInteger);
  if (major == kTag) return fail_at(from, "tags are not allowed");
  if (major == kSimple) {
    return (value >= kFalse && value <= kNull) || fail_at(from, "floats and simple values are not allowed");
  }
  if (value > remaining()) return fail_at(from, "a string is longer than what is left");
  const ByteView body = input_.subspan(position_, static_cast<size_t>(value));
  position_ += body.size();
  return major != kText || valid_utf8(body) || fail_at(from, kBadText);
}

bool CborReader::get_item(ByteView& encoded) {
  const size_t begin = position_;
  std::array<Frame, kCborDepthMax> frames;
  size_t depth = 0;
  do {
    const size_t from = position_;
    uint8_t major = 0;
    uint64_t value = 0;
    if (!get_head(major, value)) return false;
    const bool is_container = major == kArray || major == kMap;
    if (!is_container && !skip_scalar_body(from, major, value)) return false;
    if (depth > 0) {
      Frame& frame = frames[depth - 1];
      const bool is_key = frame.is_map && frame.remaining % 2 == 0;
      if (is_key && !check_key(frame, from, major)) return false;
      --frame.remaining;
    }
    if (is_container) {
      if (depth == kCborDepthMax) return fail_at(from, "containers are nested too deeply");
      const bool is_map = major == kMap;
      if (value > remaining() / (is_map ? 2 : 1)) return fail_at(from, kCountTooLarge);
      frames[depth++] = Frame{is_map ? 2 * value : value, is_map, {}};
    }
    while (depth > 0 && frames[depth - 1].remaining == 0) --depth;
  } while (depth > 0);
  encoded = since(begin);
  return true;
}

CborKind CborReader::peek_kind() const {
  if (at_end() || failed()) return CborKind::end;
  const uint8_t first = input_[position_];
  switch (first >> 5) {
    case kUint:
      return CborKind::uint;
    case kNegative:
      return CborKind::negative;
    case kMajorBytes:
      return CborKind::bytes;
    case kText:
      return CborKind::text;
    case kArray:
      return CborKind::array;
    case kMap:
      return CborKind::map;
    case kSimple:
      if ((first & 0x1f) == kFalse || (first & 0x1f) == kTrue) return CborKind::boolean;
      return (first & 0x1f) == kNull ? CborKind::null : CborKind::invalid;
    default:
      return CborKind::invalid;
  }
}

Result<uint64_t> CborReader::read_uint() {
  uint64_t value = 0;
  if (!get_uint(value)) return error();
  return value;
}

Result<int64_t> CborReader::read_int() {
  int64_t value = 0;
  if (!get_integer(value)) return error();
  return value;
}

Result<ByteView> CborReader::read_bytes() {
  ByteView value;
  if (!get_bytes(value)) return error();
  return value;
}

Result<std::string_view> CborReader::read_text() {
  std::string_view value;
  if (!get_text(value)) return error();
  return value;
}

Result<uint64_t> CborReader::read_array() {
  uint64_t count = 0;
  if (!get_array(count)) return error();
  return count;
}

Result<uint64_t> CborReader::read_map() {
  uint64_t count = 0;
  if (!get_map(count)) return error();
  return count;
}

Result<bool> CborReader::read_bool() {
  bool value = false;
  if (!get_boolean(value)) return error();
  return value;
}

Status CborReader::read_null() { return get_null() ? Status() : Status(error()); }

Result<ByteView> CborReader::read_item() {
  ByteView value;
  if (!get_item(value)) return error();
  return value;
}

Status CborReader::skip() {
  ByteView item;
  return get_item(item) ? Status() : Status(error());
}

Status CborReader::expect_end() {
  if (!failed() && !at_end()) fail_at(position_, "bytes follow the end");
  return failed() ? Status(error()) : Status();
}

bool CborUintMap::next(uint64_t& key) {
  if (left_ == 0 || reader_.failed()) return false;
  uint64_t found = 0;
  if (!reader_.get_uint(found)) return false;
  if (!first_ && found <= last_) return reader_.refuse("map keys are not in ascending order");
  first_ = false;
  last_ = found;
  --left_;
  key = found;
  return true;
}

Status CborUintMap::finish() const {
  if (!reader_.failed() && left_ > 0) reader_.refuse("a map was not read to its end");
  return reader_.failed() ? Status(reader_.error()) : Status();
}

Status cbor_check(ByteView input) {
  CborReader reader(input);
  SEREUS_TRY(reader.skip());
  return reader.expect_end();
}

}  // namespace sereus::codec
