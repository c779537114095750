// A member that does not keep to its role: it has valid keys and certificates, and a program of its own.

#include "core/store/sync_session.h"
#include "tests/unit/sim/node_world.h"
#include "tests/unit/sim/stranger.h"

namespace sereus::sim {
namespace {

using store::delete_op;
using store::put_op;
using store::WriteOp;

class HostileMember : public NodeWorld {
 protected:
  HostileMember() : member(world, 3) {}

  // Redeems an invite with that role and connects.
  void admit(node::Role role) {
    const std::string all = info(alice()).addresses;
    ASSERT_TRUE(member.connect(all.substr(0, all.find("/p2p/")), info(alice()).peer));
    const node::InviteToken token = node::invite_from_text(as_text(invite(static_cast<uint64_t>(role))))->token;
    const Answer answer = member.exchange("/sereus/join/1.0.0", join_request(token, member.device_certificate()));
    ASSERT_EQ(parse_join_answer(answer).code, Code::ok);
    for (const node::StoreRow& row : stores(alice())) {
      const StoreId id = *StoreId::from_hex(row.uuid);
      (row.is_root ? root : data) = std::make_unique<store::Replica>(row.is_root ? 50 : 51, id);
      (row.is_root ? root : data)->now = alice().times();
    }
    sync(*root);
    sync(*data);
  }

  // A session with alice until nothing moves; what she sends is taken without question.
  void sync(store::Replica& replica) {
    store::SyncSession::TipMap tips;
    for (const store::AuthorTip& tip : replica.store->tips()) tips[tip.author] = tip;
    const Times now = alice().times();
    auto session = store::SyncSession::initiate(replica.store->id(), tips, replica.store->digest(), now);
    const net::StreamId stream = member.open(store::kSyncProtocol);
    const uint64_t end = world.scheduler.now_us() + kSecondUs / 4;
    world.run_until(
        [&] {
          member.poll();
          session.on_bytes(std::exchange(member.answer(stream).bytes, {}), now);
          while (const auto range = session.take_received()) {
            auto verified = verify_range(range->header, range->payload, store::VerifyPolicy::chain, {});
            const Status taken = verified.ok() ? replica.take(std::move(verified).value()) : Status(verified.error());
            session.on_local(replica.store->tips(), replica.store->digest(), AuthorKey{}, now);
            session.on_ingested(range->payload.size(), range->header.entries, taken, now);
          }
          if (const auto read = session.take_read()) {
            session.on_read(replica.ranges->read_range(read->author, read->first_seq, read->bytes_max));
          }
          const auto written = member.host().write(stream, session.output());
          if (written.ok()) session.consume_output(*written);
          return world.scheduler.now_us() >= end;
        },
        kSecondUs);
    synced = session.synced();
    member.host().reset(stream);
  }
  // Writes under the authority of the root as it is here, and offers it to alice.
  void write(store::Replica& replica, std::vector<WriteOp> ops) {
    replica.now = alice().times();
    ASSERT_TRUE(replica.commit(member.keys, std::move(ops), root->store->authority_heads()).ok());
    sync(replica);
  }
  node::PeerRow row_of_member() {
    Query query;
    query.kind = QueryKind::peers;
    const auto rows = alice().query(query);
    for (const node::PeerRow& row : std::get<std::vector<node::PeerRow>>(*rows)) {
      if (row.peer == member.peer().to_string()) return row;
    }
    return {};
  }
  std::string key(std::string_view field) { return node::node_key(member.keys.device.device_key(), field); }

  Stranger member;
  std::unique_ptr<store::Replica> root;
  std::unique_ptr<store::Replica> data;
  bool synced = false;
};

TEST_F(HostileMember, a_writer_writes_into_data_stores) {
  admit(node::Role::write);
  write(*data, {put_op("k", "from the member")});
  EXPECT_TRUE(synced);
  EXPECT_EQ(get(alice(), store_of_alice, "k"), "from the member");
}

TEST_F(HostileMember, a_reader_does_not) {
  admit(node::Role::read);
  ASSERT_EQ(put(alice(), store_of_alice, "k", "hers").status, Code::ok);
  sync(*data);
  EXPECT_EQ(data->get("k"), "hers");
  write(*data, {put_op("k", "from the member")});
  EXPECT_FALSE(synced);
  EXPECT_EQ(get(alice(), store_of_alice, "k"), "hers");
  EXPECT_EQ(put(alice(), store_of_alice, "k", "still hers").status, Code::ok);
}

TEST_F(HostileMember, nobody_makes_himself_admin) {
  const DeviceKey victim = *net::PeerId::parse(info(alice()).peer)->device_key();
  admit(node::Role::write);
  // Its own name it may set; that it arrives shows that the others are refused for what they are.
  write(*root, {put_op(key("name"), "a name of its own")});
  EXPECT_TRUE(synced);
  EXPECT_EQ(row_of_member().name, "a name of its own");
  const std::vector<std::vector<WriteOp>> attempts = {
      {put_op(key("role"), "admin")},
      {put_op(key("name"), "again"), put_op(key("role"), "admin")},
      {put_op(node::node_key(victim, "status"), "removed")},
      {put_op(node::node_key(victim, "name"), "renamed")},
      {delete_op(node::node_key(victim, "role"))},
      {delete_op(key("name"))},
      {put_op(node::store_key(data->store->id(), "deleted_at"), "1")},
      {put_op("/tokens/x", "y")},
  };
  for (size_t i = 0; i < attempts.size(); ++i) {
    SCOPED_TRACE("attempt " + std::to_string(i));
    // Each from a chain that alice still agrees with.
    auto before = std::make_unique<store::Replica>(60 + i, root->store->id());
    before->now = alice().times();
    ASSERT_TRUE(before->pull_all(*root).ok());
    write(*before, attempts[i]);
    EXPECT_FALSE(synced);
    EXPECT_EQ(row_of_member().role, static_cast<uint32_t>(node::Role::write));
    EXPECT_EQ(row_of_member().name, "a name of its own");
    EXPECT_EQ(put(alice(), store_of_alice, "k", std::to_string(i)).status, Code::ok);
    EXPECT_EQ(info(alice()).name, "machine");
  }
  for (const node::StoreRow& row : stores(alice())) {
    EXPECT_EQ(row.state, node::StoreState::active);
    EXPECT_EQ(row.stats.forks, 0u);
  }
}

TEST_F(HostileMember, what_a_removed_member_backdates_does_not_count) {
  admit(node::Role::write);
  write(*data, {put_op("k", "in time")});
  Request remove;
  remove.kind = RequestKind::peer_remove;
  remove.x = to_bytes(member.peer().to_string());
  ASSERT_EQ(world.call(alice(), remove).status, Code::ok);
  // Another member that had not heard of it passes its later entries on: bob, whom alice lets in, gets them from here.
  data->now = alice().times();
  ASSERT_TRUE(data->commit(member.keys, {put_op("k", "too late")}, root->store->authority_heads()).ok());
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(arrives(bob(), "shared", "k", "in time"));
  const std::string all = info(bob()).addresses;
  ASSERT_TRUE(member.connect(all.substr(0, all.find("/p2p/")), info(bob()).peer));
  sync(*data);
  EXPECT_FALSE(synced);
  EXPECT_EQ(get(bob(), handle(bob(), "shared"), "k"), "in time");
}

}  // namespace
}  // namespace sereus::sim
