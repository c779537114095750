#include "core/capi/control_codec.h"

#include <gtest/gtest.h>

#include <random>

#include "core/capi/limits.h"

namespace sereus::capi {
namespace {

ControlMessage round_trip(const ControlMessage& message) {
  Bytes bytes;
  encode_frame(message, bytes);
  const auto frame = next_frame(bytes);
  EXPECT_TRUE(frame.ok() && frame->has_value());
  EXPECT_EQ((*frame)->size() + kFrameHeadSize, bytes.size());
  auto decoded = decode_message(**frame);
  EXPECT_TRUE(decoded.ok()) << decoded.error().detail;
  return decoded.ok() ? *decoded : ControlMessage{};
}

TEST(ControlCodec, CarriesEveryFieldOfARequest) {
  ControlMessage message;
  message.type = ControlType::request;
  node::Request& request = message.request;
  request.kind = node::RequestKind::identity_restore;
  request.op = UINT64_MAX;
  request.store = 3;
  request.a = 4;
  request.b = UINT64_MAX;
  request.c = 6;
  request.x = {1, 2, 3};
  request.y = Bytes(300, 7);
  request.z = {0};
  request.w = {9, 9};
  request.writes.resize(2);
  request.writes[0].key = {1};
  request.writes[0].value = Bytes(5000, 2);
  request.writes[1].kind = store::OpKind::remove;
  request.writes[1].key = {3};
  const ControlMessage back = round_trip(message);
  EXPECT_EQ(back.type, ControlType::request);
  EXPECT_EQ(back.request.kind, request.kind);
  EXPECT_EQ(back.request.op, request.op);
  EXPECT_EQ(back.request.store, request.store);
  EXPECT_EQ(back.request.a, request.a);
  EXPECT_EQ(back.request.b, request.b);
  EXPECT_EQ(back.request.c, request.c);
  EXPECT_EQ(back.request.x, request.x);
  EXPECT_EQ(back.request.y, request.y);
  EXPECT_EQ(back.request.z, request.z);
  EXPECT_EQ(back.request.w, request.w);
  ASSERT_EQ(back.request.writes.size(), 2u);
  EXPECT_EQ(back.request.writes[0].kind, store::OpKind::put);
  EXPECT_EQ(back.request.writes[0].value, request.writes[0].value);
  EXPECT_EQ(back.request.writes[1].kind, store::OpKind::remove);
  EXPECT_EQ(back.request.writes[1].key, request.writes[1].key);
}

TEST(ControlCodec, CarriesEveryFieldOfAnEvent) {
  ControlMessage message;
  message.type = ControlType::event;
  node::Event& event = message.event;
  event.kind = node::EventKind::store_change;
  event.op = 1;
  event.status = Code::pending;
  event.detail = "what \xff went wrong";  // not UTF-8: travels as it is
  event.store = 2;
  event.what = 3;
  event.peer = "peer";
  event.name = "name";
  event.address = "address";
  event.key = {1};
  event.data = {2, 3};
  event.author = Bytes(32, 4);
  event.epoch = 5;
  event.sequence = 6;
  event.count = 7;
  event.count_sent = 8;
  event.count_missing = 9;
  event.hlc_wall_ms = 10;
  event.hlc_counter = UINT32_MAX;
  event.deleted = true;
  event.winner = true;
  event.wall_us = -12;
  const node::Event back = round_trip(message).event;
  EXPECT_EQ(back.kind, event.kind);
  EXPECT_EQ(back.op, event.op);
  EXPECT_EQ(back.status, event.status);
  EXPECT_EQ(back.detail, event.detail);
  EXPECT_EQ(back.store, event.store);
  EXPECT_EQ(back.what, event.what);
  EXPECT_EQ(back.peer, event.peer);
  EXPECT_EQ(back.name, event.name);
  EXPECT_EQ(back.address, event.address);
  EXPECT_EQ(back.key, event.key);
  EXPECT_EQ(back.data, event.data);
  EXPECT_EQ(back.author, event.author);
  EXPECT_EQ(back.epoch, event.epoch);
  EXPECT_EQ(back.sequence, event.sequence);
  EXPECT_EQ(back.count, event.count);
  EXPECT_EQ(back.count_sent, event.count_sent);
  EXPECT_EQ(back.count_missing, event.count_missing);
  EXPECT_EQ(back.hlc_wall_ms, event.hlc_wall_ms);
  EXPECT_EQ(back.hlc_counter, event.hlc_counter);
  EXPECT_EQ(back.deleted, event.deleted);
  EXPECT_EQ(back.winner, event.winner);
  EXPECT_EQ(back.wall_us, event.wall_us);
}

template <typename Row>
std::vector<Row> rows_round_trip(std::vector<Row> rows) {
  const node::Rows all = std::move(rows);
  Bytes bytes;
  EXPECT_EQ(encode_rows_part(77, all, 0, bytes), 1u);
  auto message = decode_message(**next_frame(bytes));
  EXPECT_TRUE(message.ok());
  EXPECT_EQ(message->number, 77u);
  EXPECT_FALSE(message->more);
  const auto* back = std::get_if<std::vector<Row>>(&message->rows);
  EXPECT_TRUE(back != nullptr && back->size() == 1);
  return back != nullptr ? *back : std::vector<Row>(1);
}

TEST(ControlCodec, CarriesRowsOfEveryKind) {
  store::ListRow item;
  item.key = {1, 2};
  item.value = {3};
  item.value_size = 1;
  item.hlc = {5, 6};
  item.author.bytes.fill(7);
  item.heads = 2;
  const auto items = rows_round_trip<store::ListRow>({item});
  EXPECT_EQ(items[0].key, item.key);
  EXPECT_EQ(items[0].hlc.wall_ms, 5u);
  EXPECT_EQ(items[0].hlc.counter, 6u);
  EXPECT_EQ(items[0].author, item.author);
  EXPECT_EQ(items[0].heads, 2u);

  store::Head head;
  head.hash.bytes.fill(1);
  head.author.bytes.fill(2);
  head.seq = 3;
  head.tombstone = true;
  head.value = {4};
  head.value_size = 1;
  const auto heads = rows_round_trip<store::Head>({head});
  EXPECT_EQ(heads[0].hash, head.hash);
  EXPECT_TRUE(heads[0].tombstone);
  EXPECT_EQ(heads[0].value, head.value);

  node::InfoRow info;
  info.peer = "p";
  info.data_folder = "/d";
  info.online = true;
  info.entries_sent = 9;
  const auto infos = rows_round_trip<node::InfoRow>({info});
  EXPECT_EQ(infos[0].data_folder, "/d");
  EXPECT_TRUE(infos[0].online);
  EXPECT_EQ(infos[0].entries_sent, 9u);

  node::StoreRow store;
  store.store = 1;
  store.uuid = "u";
  store.state = node::StoreState::damaged;
  store.is_root = true;
  store.stats.epoch = 11;
  store.stats.digest.bytes.fill(3);
  const auto stores = rows_round_trip<node::StoreRow>({store});
  EXPECT_EQ(stores[0].state, node::StoreState::damaged);
  EXPECT_EQ(stores[0].stats.epoch, 11u);
  EXPECT_EQ(stores[0].stats.digest, store.stats.digest);

  node::PeerRow peer;
  peer.peer = "x";
  peer.role = 2;
  peer.removed = true;
  peer.failures = 4;
  const auto peers = rows_round_trip<node::PeerRow>({peer});
  EXPECT_EQ(peers[0].role, 2u);
  EXPECT_TRUE(peers[0].removed);

  node::InviteRow invite;
  invite.id = "i";
  invite.expires_wall_s = -1;
  const auto invites = rows_round_trip<node::InviteRow>({invite});
  EXPECT_EQ(invites[0].expires_wall_s, -1);
}

TEST(ControlCodec, CutsLargeResultsIntoParts) {
  std::vector<store::ListRow> rows(300);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].key = to_bytes(std::to_string(i));
    rows[i].value = Bytes(20000, static_cast<uint8_t>(i));
  }
  const node::Rows all = rows;
  size_t next = 0;
  size_t parts = 0;
  std::vector<store::ListRow> back;
  while (next < rows.size()) {
    Bytes bytes;
    next = encode_rows_part(1, all, next, bytes);
    EXPECT_LT(bytes.size(), 2 * kControlPartBytes);
    auto message = decode_message(**next_frame(bytes));
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message->more, next < rows.size());
    for (auto& row : std::get<std::vector<store::ListRow>>(message->rows)) back.push_back(std::move(row));
    ++parts;
  }
  EXPECT_GT(parts, 5u);
  ASSERT_EQ(back.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(back[i].value, rows[i].value);
}

TEST(ControlCodec, RefusesLargeFramesAndWaitsForWholeOnes) {
  Bytes bytes{0, 0, 0, 0};
  store_le<uint32_t>(bytes.data(), static_cast<uint32_t>(kControlFrameMax + 1));
  EXPECT_EQ(next_frame(bytes).code(), Code::malformed);
  store_le<uint32_t>(bytes.data(), 2);
  bytes.push_back(1);
  const auto partial = next_frame(bytes);
  ASSERT_TRUE(partial.ok());
  EXPECT_FALSE(partial->has_value());
  EXPECT_FALSE(next_frame(ByteView(bytes).first(3))->has_value());
}

TEST(ControlCodec, SkipsFieldsItDoesNotKnow) {
  // [3, {1: 42, 99: [1, 2]}]: a cancel of a newer client
  const Bytes payload{0x82, 0x03, 0xa2, 0x01, 0x18, 0x2a, 0x18, 0x63, 0x82, 0x01, 0x02};
  const auto message = decode_message(payload);
  ASSERT_TRUE(message.ok()) << message.error().detail;
  EXPECT_EQ(message->number, 42u);
  const Bytes unknown{0x82, 0x18, 0x63, 0xa0};  // [99, {}]
  EXPECT_EQ(decode_message(unknown).code(), Code::unsupported);
}

// Every truncation and many mutations of real frames: an error or another message, never a crash.
TEST(ControlCodec, SurvivesDamage) {
  ControlMessage message;
  message.type = ControlType::request;
  message.request.op = 5;
  message.request.x = Bytes(40, 1);
  message.request.writes.resize(3);
  for (auto& write : message.request.writes) write.key = {1, 2, 3};
  Bytes request;
  encode_frame(message, request);
  Bytes rows;
  encode_rows_part(1, node::Rows(std::vector<store::Head>(3)), 0, rows);
  std::mt19937 random(42);
  for (const Bytes& frame : {request, rows}) {
    const Bytes payload(frame.begin() + kFrameHeadSize, frame.end());
    for (size_t size = 0; size < payload.size(); ++size) {
      EXPECT_FALSE(decode_message(ByteView(payload).first(size)).ok());
    }
    for (int i = 0; i < 20000; ++i) {
      Bytes damaged = payload;
      for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
      (void)decode_message(damaged).ok();
    }
  }
}

}  // namespace
}  // namespace sereus::capi
