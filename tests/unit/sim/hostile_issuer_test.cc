// Who accepts an invite trusts its issuer with what they will share, and with nothing that was there before.

#include "core/store/sync_session.h"
#include "tests/unit/sim/node_world.h"
#include "tests/unit/sim/stranger.h"

namespace sereus::sim {
namespace {

// A stranger that issues invites, answers every join with `root`, and serves one store.
class Issuer {
 public:
  explicit Issuer(World& world) : stranger(world, 7), world_(world) { EXPECT_TRUE(stranger.host().listen("any").ok()); }
  Bytes invite(const Times& now) {
    node::Invite invite;
    invite.issuer = stranger.keys.device.device_key();
    invite.token.fill(9);
    invite.expires_wall_s = now.wall_us / 1'000'000 + 3600;
    invite.role = 2;
    invite.addresses = stranger.host().listen_addresses();
    return to_bytes(node::invite_to_text(invite));
  }
  // Does what is due; true always.
  bool serve() {
    stranger.poll();
    auto& incoming = stranger.incoming();
    std::erase_if(incoming, [&](const Stranger::Incoming& stream) {
      Answer& got = stranger.answer(stream.stream);
      store::FrameReader reader;
      reader.feed(got.bytes);
      const auto first = reader.next();
      if (!first.ok() || !first->has_value()) return false;
      got.bytes.clear();
      if (stream.protocol == store::kSyncProtocol) {
        begin_sync(stream.stream, **first, reader.take_rest());
      } else {
        ++joins;
        stranger.send(stream.stream, join_response(Code::ok, root.view(), 2));
        stranger.host().finish(stream.stream);
      }
      return true;
    });
    for (auto& [stream, session] : sessions_) go_on(stream, session);
    return true;
  }

  Stranger stranger;
  StoreId root;
  std::unique_ptr<store::Replica> served;
  std::vector<StoreId> wanted;  // stores that were opened here
  size_t joins = 0;
  uint64_t received = 0;  // entries that were sent here

 private:
  void begin_sync(net::StreamId stream, const store::Frame& first, const Bytes& rest) {
    const auto id = store::SyncSession::store_of(first);
    if (!id.ok()) return;
    wanted.push_back(*id);
    if (!served || *id != served->store->id()) {
      stranger.send(stream, store::SyncSession::refusal(Code::denied));
      return stranger.host().finish(stream);
    }
    store::SyncSession::TipMap tips;
    for (const store::AuthorTip& tip : served->store->tips()) tips[tip.author] = tip;
    auto session = store::SyncSession::accept(first, *id, tips, served->store->digest());
    if (!session.ok()) return;
    session->on_bytes(rest, world_.machines[0]->times());
    sessions_.emplace(stream, std::move(session).value());
  }
  void go_on(net::StreamId stream, store::SyncSession& session) {
    session.on_bytes(std::exchange(stranger.answer(stream).bytes, {}), world_.machines[0]->times());
    while (const auto range = session.take_received()) {
      received += range->header.entries;
      session.on_ingested(range->payload.size(), range->header.entries, fail(Code::denied),
                          world_.machines[0]->times());
    }
    if (const auto read = session.take_read()) {
      session.on_read(served->ranges->read_range(read->author, read->first_seq, read->bytes_max));
    }
    const auto written = stranger.host().write(stream, session.output());
    if (written.ok()) session.consume_output(*written);
  }

  World& world_;
  std::map<net::StreamId, store::SyncSession> sessions_;
};

class HostileIssuer : public NodeWorld {
 protected:
  HostileIssuer() : issuer(world) {}

  node::StoreRow row(bool root) {
    for (const node::StoreRow& row : stores(alice())) {
      if (row.is_root == root) return row;
    }
    return {};
  }
  StoreId id_of(bool root) { return *StoreId::from_hex(row(root).uuid); }
  // The machine accepts the invite.
  node::Event accept(SimMachine& machine) {
    Request request;
    request.kind = RequestKind::join;
    request.x = issuer.invite(machine.times());
    const uint64_t op = machine.submit(std::move(request));
    world.run_until([&] { return issuer.serve() && machine.done(op) != nullptr; }, 90 * kSecondUs);
    const node::Event* done = machine.done(op);
    return done == nullptr ? node::Event{} : *done;
  }
  void serve_for(uint64_t time_us) {
    const uint64_t end = world.scheduler.now_us() + time_us;
    world.run_until([&] { return issuer.serve() && world.scheduler.now_us() >= end; }, time_us);
  }
  Bytes open_frame(const StoreId& store) {
    return to_bytes(store::SyncSession::initiate(store, {}, Digest{}, alice().times()).output());
  }
  Answer open_sync(const StoreId& store) {
    return issuer.stranger.exchange(store::kSyncProtocol, open_frame(store), kSecondUs);
  }
  void expect_all_well() {
    EXPECT_EQ(row(false).state, node::StoreState::active);
    EXPECT_EQ(row(false).name, "shared");
    EXPECT_EQ(row(true).state, node::StoreState::active);
    EXPECT_EQ(put(alice(), store_of_alice, "still", "here").status, Code::ok);
  }

  Issuer issuer;
};

// An issuer that answers with the id of a root we already belong to would be let into it by our own introduction.
TEST_F(HostileIssuer, does_not_get_into_a_root_that_is_here_already) {
  issuer.root = id_of(true);
  EXPECT_NE(accept(alice()).status, Code::ok);
  EXPECT_EQ(issuer.joins, 1u);
  serve_for(5 * kSecondUs);
  EXPECT_TRUE(issuer.wanted.empty()) << "a stranger was offered a store";
  ASSERT_TRUE(issuer.stranger.connected() ||
              issuer.stranger.connect(info(alice()).addresses.substr(0, info(alice()).addresses.find("/p2p/")),
                                      info(alice()).peer));
  for (const bool root : {true, false}) {
    EXPECT_EQ(open_sync(id_of(root)).bytes, store::SyncSession::refusal(Code::denied));
  }
  expect_all_well();
}

// The same before the root is here: who let us in is trusted with it only until it says who belongs.
TEST_F(HostileIssuer, loses_the_root_it_introduced_when_the_root_arrives) {
  issuer.root = id_of(true);
  issuer.served = std::make_unique<store::Replica>(77, issuer.root);  // nothing in it, but a session stays open
  EXPECT_EQ(accept(bob()).status, Code::timeout);
  EXPECT_EQ(std::count(issuer.wanted.begin(), issuer.wanted.end(), issuer.root), 1);
  // A new connection, so that it is not ended for its age.
  for (const uint64_t online : {0u, 1u}) {
    Request request;
    request.kind = RequestKind::set_online;
    request.a = online;
    ASSERT_EQ(world.call(bob(), request).status, Code::ok);
  }
  ASSERT_TRUE(world.run_until([&] { return issuer.serve() && issuer.wanted.size() == 2; }, 10 * kSecondUs));
  ASSERT_EQ(put(alice(), store_of_alice, "secret", "value").status, Code::ok);
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(world.run_until(
      [&] { return issuer.serve() && get(bob(), handle(bob(), "shared"), "secret") == "value"; }, 60 * kSecondUs));
  const size_t before = issuer.wanted.size();
  serve_for(5 * kSecondUs);
  EXPECT_EQ(issuer.wanted.size(), before);
  EXPECT_EQ(issuer.received, 0u);
  const std::string all = info(bob()).addresses;
  ASSERT_TRUE(issuer.stranger.connected() ||
              issuer.stranger.connect(all.substr(0, all.find("/p2p/")), info(bob()).peer));
  for (const bool root : {true, false}) {
    EXPECT_EQ(open_sync(id_of(root)).bytes, store::SyncSession::refusal(Code::denied));
  }
}

// A member that answers with the id of a data store, which it syncs.
TEST_F(HostileIssuer, a_data_store_is_no_root) {
  Stranger& member = issuer.stranger;
  const std::string all = info(alice()).addresses;
  ASSERT_TRUE(member.connect(all.substr(0, all.find("/p2p/")), info(alice()).peer));
  const node::InviteToken token = node::invite_from_text(as_text(invite()))->token;
  ASSERT_EQ(
      parse_join_answer(member.exchange("/sereus/join/1.0.0", join_request(token, member.device_certificate()))).code,
      Code::ok);
  // In step with alice, as far as she can tell: her digest, told back to her.
  const net::StreamId sync = member.open(store::kSyncProtocol);
  member.send(sync, open_frame(id_of(false)));
  ASSERT_TRUE(world.run_until([&] { return member.poll() && !member.answer(sync).bytes.empty(); }, kSecondUs));
  store::FrameReader reader;
  reader.feed(member.answer(sync).bytes);
  const auto open = reader.next();
  ASSERT_TRUE(open.ok() && open->has_value());
  ASSERT_TRUE(store::SyncSession::store_of(**open).ok());
  Digest digest;
  for (const node::StoreRow& one : stores(alice())) {
    if (!one.is_root) digest = one.stats.digest;
  }
  store::SyncSession echo = store::SyncSession::initiate(id_of(false), {}, digest, alice().times());
  echo.on_bytes(member.answer(sync).bytes, alice().times());
  Bytes state;
  (void)echo.ask();
  while (!echo.output().empty()) {
    append(state, echo.output());
    echo.consume_output(echo.output().size());
  }
  const size_t own_open = open_frame(id_of(false)).size();
  member.send(sync, ByteView(state).subspan(own_open));
  world.run_for(kSecondUs);
  issuer.root = id_of(false);
  EXPECT_NE(accept(alice()).status, Code::ok);
  EXPECT_EQ(issuer.joins, 1u);
  expect_all_well();
}

// A root declares the stores under it. It has no say over those of another.
TEST_F(HostileIssuer, another_root_cannot_rename_or_delete_our_stores) {
  using store::put_op;
  const store::Writer& writer = issuer.stranger.keys;
  store::WriteOp genesis;
  genesis.kind = store::OpKind::genesis;
  genesis.party = writer.party.party_key();
  genesis.nonce[0] = 1;
  issuer.root = store::root_store_id(genesis.party, genesis.nonce);
  issuer.served = std::make_unique<store::Replica>(77, issuer.root);
  issuer.served->now = alice().times();
  std::vector<store::WriteOp> ops{genesis};
  const DeviceKey victim = *net::PeerId::parse(info(alice()).peer)->device_key();
  const auto member = [&](const DeviceKey& device, const std::string& party, std::string_view role) {
    ops.push_back(put_op(node::node_key(device, "status"), "active"));
    ops.push_back(put_op(node::node_key(device, "role"), role));
    ops.push_back(put_op(node::node_key(device, "party"), party));
  };
  member(writer.device.device_key(), writer.party.party_key().hex(), "admin");
  member(victim, info(alice()).party, "write");
  for (const bool root : {true, false}) {
    ops.push_back(put_op(node::store_key(id_of(root), "name"), "taken over"));
    ops.push_back(put_op(node::store_key(id_of(root), "created_at"), "1"));
    ops.push_back(put_op(node::store_key(id_of(root), "deleted_at"), "2"));
  }
  ASSERT_TRUE(issuer.served->commit(writer, ops).ok());
  const StoreId own_root = id_of(true);
  const StoreId own_data = id_of(false);
  ASSERT_EQ(accept(alice()).status, Code::ok) << "a root of somebody else's may be joined";
  serve_for(5 * kSecondUs);
  for (const node::StoreRow& one : stores(alice())) {
    if (one.uuid != own_root.hex() && one.uuid != own_data.hex()) continue;
    EXPECT_EQ(one.state, node::StoreState::active);
    EXPECT_NE(one.name, "taken over");
  }
  EXPECT_EQ(put(alice(), store_of_alice, "still", "here").status, Code::ok);
  for (const StoreId& id : {own_root, own_data}) {
    EXPECT_EQ(std::count(issuer.wanted.begin(), issuer.wanted.end(), id), 0);
  }
}

}  // namespace
}  // namespace sereus::sim
