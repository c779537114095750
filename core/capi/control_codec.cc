#include "core/capi/control_codec.h"

#include <limits>
#include <type_traits>
#include <utility>

#include "core/capi/control_fields.h"
#include "core/capi/limits.h"
#include "core/codec/cbor.h"

namespace sereus::capi {

using codec::CborReader;
using codec::CborUintMap;
using codec::CborWriter;

namespace {

template <typename T>
struct IsFixedId : std::false_type {};
template <typename Tag, size_t N>
struct IsFixedId<FixedId<Tag, N>> : std::true_type {};

using Writes = std::vector<store::WriteOp>;

// ---- Writing ------------------------------------------------------------------------------------------------------

template <typename T>
bool is_default(const T& value) {
  if constexpr (IsFixedId<T>::value) {
    return value.is_zero();
  } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, Bytes> || std::is_same_v<T, Writes>) {
    return value.empty();
  } else {
    return value == T{};
  }
}

// Text travels as bytes: what a node says of a stranger's name need not be UTF-8.
template <typename T>
void write_value(CborWriter& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out.boolean(value);
  } else if constexpr (std::is_same_v<T, Code>) {
    out.integer(static_cast<int64_t>(value));
  } else if constexpr (std::is_enum_v<T>) {
    out.uint(static_cast<uint64_t>(value));
  } else if constexpr (std::is_same_v<T, int64_t>) {
    out.integer(value);
  } else if constexpr (std::is_integral_v<T>) {
    out.uint(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.bytes(as_bytes(value));
  } else if constexpr (std::is_same_v<T, Bytes>) {
    out.bytes(value);
  } else {
    out.bytes(value.view());
  }
}

template <typename Fields>
void write_map(CborWriter& out, const Fields& fields) {
  size_t count = 0;
  fields([&count](uint64_t, const auto& value) { count += is_default(value) ? 0 : 1; });
  out.map(count);
  fields([&out](uint64_t number, const auto& value) {
    if (is_default(value)) return;
    out.uint(number);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, Writes>) {
      out.array(value.size());
      for (const store::WriteOp& op : value) {
        out.array(3);
        out.uint(static_cast<uint64_t>(op.kind));
        out.bytes(op.key);
        out.bytes(op.value);
      }
    } else {
      write_value(out, value);
    }
  });
}

size_t begin_frame(Bytes& out) {
  const size_t at = out.size();
  out.resize(at + kFrameHeadSize);
  return at;
}

void end_frame(Bytes& out, size_t at) {
  store_le<uint32_t>(out.data() + at, static_cast<uint32_t>(out.size() - at - kFrameHeadSize));
}

// ---- Reading ------------------------------------------------------------------------------------------------------

bool read_unsigned(CborReader& in, uint64_t max, uint64_t* value) {
  if (!in.get_uint(*value)) return false;
  return *value <= max || in.refuse("a number is too large");
}

bool read_writes(CborReader& in, Writes& writes) {
  uint64_t count = 0;
  if (!in.get_array(count)) return false;
  if (count > store::kOpsPerEntryMax) return in.refuse("too many writes");
  writes.resize(static_cast<size_t>(count));
  for (store::WriteOp& op : writes) {
    uint64_t items = 0;
    uint64_t kind = 0;
    ByteView key;
    ByteView value;
    if (!in.get_array(items) || items != 3) return in.refuse("a write has three parts");
    if (!in.get_uint(kind) || !in.get_bytes(key) || !in.get_bytes(value)) return false;
    if (kind != 1 && kind != 2) return in.refuse("a write is a put or a removal");
    op.kind = kind == 1 ? store::OpKind::put : store::OpKind::remove;
    op.key = to_bytes(key);
    op.value = to_bytes(value);
  }
  return true;
}

template <typename T>
bool read_value(CborReader& in, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return in.get_boolean(value);
  } else if constexpr (std::is_same_v<T, Code>) {
    int64_t number = 0;
    if (!in.get_integer(number)) return false;
    if (number > 0 || number < INT32_MIN) return in.refuse("not a status");
    value = static_cast<Code>(number);
    return true;
  } else if constexpr (std::is_enum_v<T> || (std::is_unsigned_v<T> && std::is_integral_v<T>)) {
    using Number = typename std::conditional_t<std::is_enum_v<T>, std::underlying_type<T>, std::type_identity<T>>::type;
    uint64_t number = 0;
    if (!read_unsigned(in, std::numeric_limits<Number>::max(), &number)) return false;
    value = static_cast<T>(number);
    return true;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return in.get_integer(value);
  } else if constexpr (std::is_same_v<T, Writes>) {
    return read_writes(in, value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    ByteView bytes;
    if (!in.get_bytes(bytes)) return false;
    value = to_string(bytes);
    return true;
  } else if constexpr (std::is_same_v<T, Bytes>) {
    ByteView bytes;
    if (!in.get_bytes(bytes)) return false;
    value = to_bytes(bytes);
    return true;
  } else {
    return in.get_fixed(value.bytes);
  }
}

template <typename Fields>
Status read_map(CborReader& in, const Fields& fields) {
  CborUintMap map(in);
  for (uint64_t key = 0; map.next(key);) {
    bool known = false;
    fields([&](uint64_t number, auto& value) {
      if (number != key) return;
      known = true;
      read_value(in, value);
    });
    if (!known) {
      ByteView skipped;
      in.get_item(skipped);
    }
  }
  return map.finish();
}

template <size_t Index = 0>
bool make_rows(size_t index, node::Rows& rows) {
  if constexpr (Index < std::variant_size_v<node::Rows>) {
    if (index != Index) return make_rows<Index + 1>(index, rows);
    rows.emplace<Index>();
    return true;
  } else {
    return false;
  }
}

Status read_rows(CborReader& in, ControlMessage& message) {
  // [id, status, detail, more, kind of rows, [row...]]
  uint64_t items = 0;
  uint64_t kind = 0;
  uint64_t count = 0;
  if (!in.get_array(items) || items != 6 || !in.get_uint(message.number) || !read_value(in, message.status) ||
      !read_value(in, message.detail) || !in.get_boolean(message.more) || !in.get_uint(kind) || !in.get_array(count)) {
    if (!in.failed()) in.refuse("rows have six parts");
    return in.error();
  }
  if (!make_rows(static_cast<size_t>(kind), message.rows)) return fail(Code::malformed, "unknown kind of rows");
  return std::visit(
      [&in, count](auto& all) -> Status {
        for (uint64_t i = 0; i < count; ++i) {
          auto& row = all.emplace_back();
          SEREUS_TRY(read_map(in, [&row](auto&& visit) { fields_of_row(row, visit); }));
        }
        return {};
      },
      message.rows);
}

bool known_type(uint64_t type) {
  return (type >= static_cast<uint64_t>(ControlType::hello) && type <= static_cast<uint64_t>(ControlType::close)) ||
         (type >= static_cast<uint64_t>(ControlType::refused) && type <= static_cast<uint64_t>(ControlType::rows));
}

void write_rows_head(CborWriter& out, const ControlMessage& message, size_t kind, size_t count) {
  out.array(6);
  out.uint(message.number);
  write_value(out, message.status);
  write_value(out, message.detail);
  out.boolean(message.more);
  out.uint(kind);
  out.array(count);
}

// What a row takes at most besides its texts and bytes.
constexpr size_t kRowOverhead = 256;

size_t row_size(const store::ListRow& row) { return row.key.size() + row.value.size() + kRowOverhead; }
size_t row_size(const store::Head& row) { return row.value.size() + kRowOverhead; }
size_t row_size(const node::InfoRow& row) { return row.addresses.size() + row.data_folder.size() + kRowOverhead; }
size_t row_size(const node::StoreRow& row) { return row.name.size() + row.detail.size() + kRowOverhead; }
size_t row_size(const node::PeerRow& row) {
  return row.addresses.size() + row.name.size() + row.detail.size() + kRowOverhead;
}
size_t row_size(const node::InviteRow& row) { return row.id.size() + row.peer.size() + kRowOverhead; }
size_t row_size(const node::HostRow& row) { return row.addresses.size() + row.protocols.size() + kRowOverhead; }
size_t row_size(const node::ConnectionRow& row) {
  return row.protocols.size() + row.addresses.size() + row.agent.size() + 2 * kRowOverhead;
}

}  // namespace

void encode_frame(const ControlMessage& message, Bytes& out) {
  const size_t at = begin_frame(out);
  CborWriter writer(out);
  writer.array(2);
  writer.uint(static_cast<uint64_t>(message.type));
  if (message.type == ControlType::rows) {
    write_rows_head(writer, message, message.rows.index(), 0);
  } else {
    write_map(writer, [&message](auto&& visit) { fields_of_message(message, visit); });
  }
  writer.finish();
  end_frame(out, at);
}

size_t encode_rows_part(uint64_t id, const node::Rows& rows, size_t from, Bytes& out) {
  const size_t at = begin_frame(out);
  const size_t next = std::visit(
      [&](const auto& all) {
        size_t end = from;
        size_t bytes = 0;
        while (end < all.size() && (end == from || bytes < kControlPartBytes)) bytes += row_size(all[end++]);
        ControlMessage message;
        message.number = id;
        message.more = end < all.size();
        CborWriter writer(out);
        writer.array(2);
        writer.uint(static_cast<uint64_t>(ControlType::rows));
        write_rows_head(writer, message, rows.index(), end - from);
        for (size_t i = from; i < end; ++i) {
          write_map(writer, [&row = all[i]](auto&& visit) { fields_of_row(row, visit); });
        }
        writer.finish();
        return end;
      },
      rows);
  end_frame(out, at);
  return next;
}

Result<std::optional<ByteView>> next_frame(ByteView bytes) {
  if (bytes.size() < kFrameHeadSize) return std::optional<ByteView>();
  const size_t size = load_le<uint32_t>(bytes.data());
  if (size > kControlFrameMax) return fail(Code::malformed, "a frame is larger than allowed");
  if (bytes.size() - kFrameHeadSize < size) return std::optional<ByteView>();
  return std::optional<ByteView>(bytes.subspan(kFrameHeadSize, size));
}

Result<ControlMessage> decode_message(ByteView payload) {
  CborReader in(payload);
  ControlMessage message;
  uint64_t items = 0;
  uint64_t type = 0;
  if (!in.get_array(items) || items != 2 || !in.get_uint(type))
    return fail(Code::malformed, "a frame is [type, fields]");
  if (!known_type(type)) return fail(Code::unsupported, "unknown frame type");
  message.type = static_cast<ControlType>(type);
  if (message.type == ControlType::rows) {
    SEREUS_TRY(read_rows(in, message));
  } else {
    SEREUS_TRY(read_map(in, [&message](auto&& visit) { fields_of_message(message, visit); }));
  }
  SEREUS_TRY(in.expect_end());
  return message;
}

}  // namespace sereus::capi
