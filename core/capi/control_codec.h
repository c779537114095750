// Frames of the control socket: u32le size, then deterministic CBOR [type, {field number: value}]. Fields that have their
// zero value are left out; unknown ones are skipped, so that fields can be added. docs/formats/control.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/node/event.h"
#include "core/node/request.h"
#include "core/node/rows.h"

namespace sereus::capi {

inline constexpr uint32_t kControlVersion = 1;

// Numbers are the protocol's: append only.
enum class ControlType : uint32_t {
  hello = 1,     // both ways, first: version, library, limits
  request = 2,   // client: a node::Request
  cancel = 3,    // client: op
  query = 4,     // client: id, a node::Query
  drained = 5,   // client: count of droppable events its embedder took
  close = 6,     // client: no more requests; DONEs, then a CLOSED event follow
  refused = 16,  // daemon: status, detail; then it disconnects
  event = 17,    // daemon: a node::Event
  rows = 18,     // daemon: part of the answer to a query
};

struct ControlMessage {
  ControlType type = ControlType::hello;
  // hello
  uint32_t version = 0;
  std::string library;
  uint32_t events_max = 0;
  uint32_t operations_max = 0;
  // cancel: op; query, rows: id; drained: count
  uint64_t number = 0;
  // refused, rows
  Code status = Code::ok;
  std::string detail;
  // rows
  bool more = false;  // another part follows
  node::Rows rows;
  node::Request request;
  node::Query query;
  node::Event event;
};

// Appends a whole frame.
void encode_frame(const ControlMessage& message, Bytes& out);
// Rows from `from` on, as many as fit kControlPartBytes (at least one): `message.more` says whether some are left.
// Returns the index of the next.
size_t encode_rows_part(uint64_t id, const node::Rows& rows, size_t from, Bytes& out);

// The payload of the first frame of `bytes`, or nothing while it is incomplete. Code::malformed over kControlFrameMax.
Result<std::optional<ByteView>> next_frame(ByteView bytes);
inline constexpr size_t kFrameHeadSize = 4;

// Code::malformed for anything that encode_frame does not write; Code::unsupported for an unknown type.
Result<ControlMessage> decode_message(ByteView payload);

}  // namespace sereus::capi
