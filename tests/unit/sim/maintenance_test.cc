// Work that waits for an idle moment: the index's WAL is moved into the index while a node runs, not only when it closes.
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

class Maintenance : public NodeWorld {
 protected:
  // What a file of the only store of alice that is no root store holds.
  size_t size_of(std::string_view suffix) {
    size_t found = 0;
    for (const node::StoreRow& row : stores(alice())) {
      if (row.is_root) continue;
      const std::string folder = "stores/" + row.uuid;
      const auto names = alice().disk().list(folder);
      EXPECT_TRUE(names.ok()) << folder;
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        if (name.ends_with(suffix)) found = alice().disk().contents(folder + "/" + name).size();
      }
    }
    return found;
  }

  Code write_many(uint32_t first, uint32_t count) {
    Request request;
    request.kind = RequestKind::store_write;
    request.store = store_of_alice;
    for (uint32_t i = first; i < first + count; ++i) {
      store::WriteOp op;
      // In no order, so that every transaction touches the whole index.
      op.key = to_bytes(std::to_string(i * 2654435761u) + std::string(200, '.'));
      op.value = to_bytes("value");
      request.writes.push_back(op);
    }
    return world.call(alice(), request).status;
  }
};

TEST_F(Maintenance, MovesTheWalWhenTheWriterIsIdle) {
  const size_t before = size_of("index.db");
  ASSERT_GT(before, 0u);
  for (uint32_t i = 0; i < 30; ++i) ASSERT_EQ(write_many(i * 2000, 2000), Code::ok);
  EXPECT_GT(size_of("-wal"), size_t{16} << 20) << "too little was written for the test to say anything";
  EXPECT_LT(size_of("-wal"), size_t{60} << 20) << "so much was written that a commit moved it";
  EXPECT_TRUE(world.run_until([&] { return size_of("index.db") > before + (size_t{4} << 20); }, kSecondUs));
}

}  // namespace
}  // namespace sereus::sim
