// Peers that nobody invited, or not any more, and what they can send: they learn nothing and change nothing.

#include "tests/unit/sim/stranger.h"

#include "core/store/sync_session.h"
#include "tests/support/test_random.h"
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

constexpr std::string_view kJoin = "/sereus/join/1.0.0";

class Strangers : public NodeWorld {
 protected:
  Strangers() : stranger(world, 1) {}

  std::string address_of(SimMachine& machine) {
    const std::string all = info(machine).addresses;
    return all.substr(0, all.find("/p2p/"));
  }
  bool connect(Stranger& who, SimMachine& machine) { return who.connect(address_of(machine), info(machine).peer); }

  node::InviteToken token_of(const Bytes& text) { return node::invite_from_text(as_text(text))->token; }
  JoinAnswer ask(Stranger& who, ByteView token) {
    return parse_join_answer(who.exchange(kJoin, join_request(token, who.device_certificate())));
  }
  void expect_refusal(const JoinAnswer& answer, Code code) {
    EXPECT_EQ(code_name(answer.code), code_name(code));
    EXPECT_TRUE(answer.root.empty());
    EXPECT_EQ(answer.role, 0u);
  }
  uint64_t entries(SimMachine& machine, bool of_root) {
    uint64_t entries = 0;
    for (const node::StoreRow& row : stores(machine)) entries += row.is_root == of_root ? row.stats.entries : 0;
    return entries;
  }
  uint32_t uses_left() {
    Query query;
    query.kind = QueryKind::invites;
    return std::get<std::vector<node::InviteRow>>(*alice().query(query)).front().uses_left;
  }
  StoreId id_of(SimMachine& machine, bool root) {
    for (const node::StoreRow& row : stores(machine)) {
      if (row.is_root == root) return *StoreId::from_hex(row.uuid);
    }
    return {};
  }
  node::Event remove_peer(const net::PeerId& peer) {
    Request remove;
    remove.kind = RequestKind::peer_remove;
    remove.x = to_bytes(peer.to_string());
    return world.call(alice(), remove);
  }
  // The first frame of a sync stream, as a peer that has nothing of the store sends it.
  Bytes sync_open(const StoreId& store) {
    return to_bytes(store::SyncSession::initiate(store, {}, Digest{}, alice().times()).output());
  }

  Stranger stranger;
};

TEST_F(Strangers, a_stranger_cannot_tell_which_stores_exist) {
  ASSERT_TRUE(connect(stranger, alice()));
  StoreId unknown;
  unknown.bytes.fill(0x33);
  const Answer none = stranger.exchange(store::kSyncProtocol, sync_open(unknown));
  EXPECT_TRUE(none.finished);
  EXPECT_EQ(none.bytes, store::SyncSession::refusal(Code::denied));
  EXPECT_EQ(stranger.exchange(store::kSyncProtocol, sync_open(id_of(alice(), true))), none);
  EXPECT_EQ(stranger.exchange(store::kSyncProtocol, sync_open(id_of(alice(), false))), none);
  EXPECT_EQ(stranger.exchange(store::kSyncProtocol, sync_open(StoreId{})), none);
}

TEST_F(Strangers, whatever_else_begins_a_sync_stream_is_reset_alike) {
  ASSERT_TRUE(connect(stranger, alice()));
  Bytes version = sync_open(id_of(alice(), false));
  const Bytes good = version;
  for (size_t at = store::kFrameHeaderSize; at < version.size(); ++at) {
    Bytes changed = good;
    changed[at] ^= 0x40;
    const Answer answer = stranger.exchange(store::kSyncProtocol, changed);
    EXPECT_TRUE(answer.reset || answer.bytes == store::SyncSession::refusal(Code::denied)) << at;
  }
  for (const auto type : {store::FrameType::sync_tips, store::FrameType::sync_range, store::FrameType::sync_state,
                          store::FrameType::join_request, store::FrameType::join_response}) {
    Bytes frame;
    store::append_frame(frame, type, Bytes(60));
    const Answer answer = stranger.exchange(store::kSyncProtocol, frame);
    EXPECT_TRUE(answer.reset);
    EXPECT_TRUE(answer.bytes.empty());
  }
  // More than a frame may have before a stream has a purpose.
  const Answer large = stranger.exchange(store::kSyncProtocol, Bytes{0x00, 0x00, 0x40, 0x01, 0x00, 0x01});
  EXPECT_TRUE(large.reset);
  EXPECT_TRUE(stranger.connected());
}

TEST_F(Strangers, join_requests_that_are_refused_change_nothing) {
  const Bytes open_invite = invite();
  const node::InviteToken token = token_of(open_invite);
  const uint64_t before = entries(alice(), true);
  ASSERT_TRUE(connect(stranger, alice()));
  node::InviteToken wrong = token;
  wrong[15] ^= 1;
  expect_refusal(ask(stranger, wrong), Code::denied);
  expect_refusal(ask(stranger, ByteView(token).first(15)), Code::malformed);
  expect_refusal(ask(stranger, {}), Code::malformed);
  const auto with = [&](ByteView certificate, uint16_t version = 1) {
    return parse_join_answer(stranger.exchange(kJoin, join_request(token, certificate, "x", version)));
  };
  Stranger other(world, 2);
  expect_refusal(with(other.device_certificate()), Code::denied);  // not the device of this connection
  expect_refusal(with({}), Code::denied);
  expect_refusal(with(Bytes(512, 0x5a)), Code::denied);
  Bytes forged = stranger.device_certificate();
  forged.back() ^= 1;
  expect_refusal(with(forged), Code::denied);
  expect_refusal(with(stranger.device_certificate(), 2), Code::unsupported);
  expect_refusal(with(stranger.device_certificate(), 0), Code::unsupported);
  EXPECT_EQ(uses_left(), 1u);
  EXPECT_EQ(entries(alice(), true), before);
  // The token was good all the time.
  EXPECT_EQ(ask(stranger, token).code, Code::ok);
}

TEST_F(Strangers, invites_that_do_not_count) {
  const Bytes expired = invite(0, 0, 60);
  world.run_for(120 * kSecondUs);
  const Bytes revoked = invite();
  Request revoke;
  revoke.kind = RequestKind::invite_revoke;
  revoke.x = revoked;
  ASSERT_EQ(world.call(alice(), revoke).status, Code::ok);
  const Bytes for_bob = invite(0, 0, 0, info(bob()).peer);
  const Bytes used = invite();
  ASSERT_EQ(join(bob(), used).status, Code::ok);
  const uint64_t before = entries(alice(), true);
  ASSERT_TRUE(connect(stranger, alice()));
  expect_refusal(ask(stranger, token_of(expired)), Code::expired);
  expect_refusal(ask(stranger, token_of(revoked)), Code::denied);
  expect_refusal(ask(stranger, token_of(for_bob)), Code::denied);
  expect_refusal(ask(stranger, token_of(used)), Code::denied);
  EXPECT_EQ(entries(alice(), true), before);
}

TEST_F(Strangers, only_the_issuer_redeems_an_invite) {
  ASSERT_EQ(join(bob(), invite(static_cast<uint64_t>(node::Role::admin))).status, Code::ok);
  const Bytes text = invite();
  ASSERT_TRUE(connect(stranger, bob()));
  expect_refusal(ask(stranger, token_of(text)), Code::denied);
  // Nor does a line that names another issuer lead anywhere.
  auto renamed = *node::invite_from_text(as_text(text));
  renamed.issuer = *net::PeerId::parse(info(bob()).peer)->device_key();
  renamed.addresses = {address_of(bob())};
  EXPECT_EQ(join(mallory(), to_bytes(node::invite_to_text(renamed))).status, Code::denied);
  EXPECT_TRUE(stores(mallory()).empty());
}

TEST_F(Strangers, mutated_join_requests_do_no_harm) {
  const node::InviteToken token = token_of(invite(0, 0, 0, info(bob()).peer));  // not for the stranger in any case
  const Bytes good = join_request(token, stranger.device_certificate());
  const uint64_t before = entries(alice(), true);
  test::TestRandom draws(5);
  size_t reset = 0;
  size_t answered = 0;
  ASSERT_TRUE(connect(stranger, alice()));
  for (int round = 0; round < 500; ++round) {
    // Strangers are sent away after a while.
    ASSERT_TRUE(stranger.connected() || connect(stranger, alice()));
    Bytes frame = good;
    for (uint64_t changes = 1 + draws.below(4); changes > 0; --changes) {
      const size_t at = draws.below(8) == 0 ? draws.below(frame.size()) : 6 + draws.below(frame.size() - 6);
      frame[at] = draws.below(2) == 0 ? static_cast<uint8_t>(draws.below(256)) : frame[at] ^ 0x80;
    }
    if (draws.below(10) == 0) frame.resize(draws.below(frame.size()));
    const Answer answer = stranger.exchange(kJoin, frame, 50'000);
    if (answer.bytes.empty()) {
      reset += answer.reset ? 1 : 0;  // or it waits for the rest of the frame
      continue;
    }
    ++answered;
    const JoinAnswer parsed = parse_join_answer(answer);
    EXPECT_NE(parsed.code, Code::ok);
    EXPECT_TRUE(parsed.root.empty());
  }
  EXPECT_GT(reset, 50u);
  EXPECT_GT(answered, 50u);
  EXPECT_EQ(entries(alice(), true), before);
  EXPECT_EQ(put(alice(), store_of_alice, "k", "v").status, Code::ok);
}

TEST_F(Strangers, streams_that_say_nothing_are_bounded) {
  ASSERT_TRUE(connect(stranger, alice()));
  std::vector<net::StreamId> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(stranger.open(i % 2 == 0 ? kJoin : store::kSyncProtocol));
  world.run_for(kSecondUs);
  stranger.poll();
  size_t reset = 0;
  for (const net::StreamId stream : streams) reset += stranger.answer(stream).reset ? 1 : 0;
  EXPECT_EQ(reset, 84u);
  world.run_for(40 * kSecondUs);
  EXPECT_FALSE(stranger.connected());
}

// ---- One frame each way ---------------------------------------------------------------------------------------------

TEST_F(Strangers, a_request_whose_end_follows_at_once_is_answered) {
  const Bytes text = invite();
  ASSERT_TRUE(connect(stranger, alice()));
  alice().jobs().set_delay_max_us(200'000);
  const net::StreamId stream = stranger.open(kJoin);
  stranger.send(stream, join_request(token_of(text), stranger.device_certificate()));
  world.run_for(7'000);  // the request is there; its answer takes longer
  stranger.host().finish(stream);
  EXPECT_EQ(parse_join_answer(stranger.await(stream)).code, Code::ok);
}

TEST_F(Strangers, a_second_request_on_a_stream_ends_it) {
  const Bytes request = join_request(token_of(invite()), stranger.device_certificate());
  ASSERT_TRUE(connect(stranger, alice()));
  const uint64_t before = entries(alice(), true);
  const net::StreamId stream = stranger.open(kJoin);
  for (int i = 0; i < 5; ++i) stranger.send(stream, request);
  const Answer answer = stranger.await(stream);
  EXPECT_TRUE(answer.reset);
  world.run_for(kSecondUs);
  EXPECT_LE(entries(alice(), true), before + 1);
}

TEST_F(Strangers, repeating_a_join_does_not_make_the_root_grow) {
  const node::InviteToken token = token_of(invite());
  ASSERT_TRUE(connect(stranger, alice()));
  const JoinAnswer first = ask(stranger, token);
  ASSERT_EQ(first.code, Code::ok);
  const uint64_t after_first = entries(alice(), true);
  for (int i = 0; i < 10; ++i) {
    const JoinAnswer again = ask(stranger, token);
    EXPECT_EQ(again.code, Code::ok);
    EXPECT_EQ(again.root, first.root);
    EXPECT_EQ(again.role, first.role);
  }
  EXPECT_EQ(entries(alice(), true), after_first);
}

// ---- After a removal ------------------------------------------------------------------------------------------------

TEST_F(Strangers, a_removed_device_is_sent_away_and_learns_nothing_any_more) {
  ASSERT_TRUE(connect(stranger, alice()));
  ASSERT_EQ(ask(stranger, token_of(invite())).code, Code::ok);
  const Answer let_in = stranger.exchange(store::kSyncProtocol, sync_open(id_of(alice(), false)), 100'000);
  EXPECT_NE(let_in.bytes, store::SyncSession::refusal(Code::denied));
  ASSERT_EQ(remove_peer(stranger.peer()).status, Code::ok);
  EXPECT_TRUE(world.run_until([&] { return !stranger.connected(); }, kSecondUs));
  ASSERT_TRUE(connect(stranger, alice()));
  for (const bool root : {false, true}) {
    const Answer answer = stranger.exchange(store::kSyncProtocol, sync_open(id_of(alice(), root)));
    EXPECT_EQ(answer.bytes, store::SyncSession::refusal(Code::denied));
  }
}

// Who redeemed an invite may repeat it, since the answer may have been lost. That ends with the removal.
TEST_F(Strangers, a_removed_device_does_not_come_back_with_the_invite_it_had) {
  for (const uint64_t uses : {1u, 5u}) {
    Stranger guest(world, 10 + uses);
    const Bytes text = invite(0, uses);
    ASSERT_TRUE(connect(guest, alice()));
    ASSERT_EQ(ask(guest, token_of(text)).code, Code::ok);
    ASSERT_EQ(ask(guest, token_of(text)).code, Code::ok);
    ASSERT_EQ(remove_peer(guest.peer()).status, Code::ok);
    world.run_for(kSecondUs);
    ASSERT_TRUE(connect(guest, alice()));
    expect_refusal(ask(guest, token_of(text)), Code::denied);
    EXPECT_EQ(guest.exchange(store::kSyncProtocol, sync_open(id_of(alice(), false))).bytes,
              store::SyncSession::refusal(Code::denied));
    // A new one is a new decision.
    EXPECT_EQ(ask(guest, token_of(invite())).code, Code::ok);
  }
}

}  // namespace
}  // namespace sereus::sim
