// Replicas that write and exchange in every order end in the same state.

#include "tests/unit/store/store_test_base.h"

namespace sereus::store {
namespace {

size_t rounds() {
  const char* text = std::getenv("SEREUS_CONVERGENCE_ROUNDS");
  return text == nullptr ? 40 : static_cast<size_t>(std::strtoull(text, nullptr, 10));
}

void draw_write(Replica& replica, const Writer& writer, test::TestRandom& draws) {
  std::vector<WriteOp> ops;
  const uint64_t count = 1 + draws.below(3);
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = "k" + std::to_string(draws.below(6));
    if (draws.below(4) == 0) {
      ops.push_back(delete_op(key));
    } else {
      ops.push_back(put_op(key, "v" + std::to_string(draws.below(1000))));
    }
  }
  const auto written = replica.commit(writer, std::move(ops));
  ASSERT_TRUE(written.ok()) << written.error().detail;
}

TEST(Convergence, RandomWritesAndExchanges) {
  size_t conflicts = 0;
  size_t held = 0;
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::TestRandom draws(seed);
    std::vector<std::unique_ptr<Replica>> replicas;
    std::vector<Writer> writers;
    for (uint64_t i = 0; i < 3; ++i) {
      replicas.push_back(std::make_unique<Replica>(seed * 10 + i));
      writers.emplace_back(i + 1);
      // Clocks apart: up to ten minutes, so that some of what they get is from the future.
      replicas[i]->now = at_ms(kStartMs + static_cast<int64_t>(draws.below(600'000)));
    }
    for (int i = 0; i < 120; ++i) {
      const uint64_t who = draws.below(3);
      Replica& replica = *replicas[who];
      replica.now.wall_us += static_cast<int64_t>(draws.below(3)) * 1000;
      switch (draws.below(10)) {
        case 0:
          replica.reopen();
          break;
        case 1: {
          int64_t next = 0;
          ASSERT_TRUE(replica.store->release_held(replica.now, &next).ok());
          break;
        }
        case 2:
        case 3:
        case 4: {
          Replica& from = *replicas[(who + 1 + draws.below(2)) % 3];
          const auto tips = from.store->tips();
          if (tips.empty()) break;
          // One author, perhaps only a piece.
          const AuthorTip& tip = tips[draws.below(tips.size())];
          const auto ours = replica.store->tip(tip.author);
          const uint64_t have = ours ? ours->seq : 0;
          if (tip.seq <= have) break;
          const uint64_t first = 1 + have - (have == 0 ? 0 : draws.below(std::min<uint64_t>(have, 5)));
          MUST_OK(replica.take(from.range(tip.author, first,
                                          draws.below(2) == 0 ? VerifyPolicy::chain : VerifyPolicy::every_signature,
                                          draws.below(2) == 0 ? 600 : 100'000)));
          break;
        }
        default:
          draw_write(replica, writers[who], draws);
      }
      if (HasFatalFailure()) return;
    }
    for (int i = 0; i < 2; ++i) {
      for (auto& to : replicas) {
        for (auto& from : replicas) {
          if (to != from) MUST_OK(to->pull_all(*from));
        }
      }
    }
    for (auto& replica : replicas) held += replica->stats().held;
    for (auto& replica : replicas) {
      EXPECT_EQ(replica->store->digest(), replicas[0]->store->digest());
      replica->now = at_ms(kStartMs + 3'600'000);
      int64_t next = 0;
      must(replica->store->release_held(replica->now, &next));
      EXPECT_EQ(next, 0);
      EXPECT_EQ(replica->state(), replicas[0]->state());
      EXPECT_EQ(replica->stats().keys, replicas[0]->stats().keys);
      EXPECT_EQ(replica->stats().conflicts, replicas[0]->stats().conflicts);
      for (int key = 0; key < 6; ++key) {
        EXPECT_EQ(replica->get("k" + std::to_string(key)), replicas[0]->get("k" + std::to_string(key)));
      }
      MUST_OK(replica->store->verify());
    }
    conflicts += replicas[0]->stats().conflicts;
  }
  EXPECT_GT(conflicts, rounds() / 2);
  EXPECT_GT(held, rounds() / 2);
}

TEST(Convergence, ManyWritersOfOneKeyInEveryOrder) {
  std::vector<Writer> writers;
  std::vector<std::unique_ptr<Replica>> sources;
  for (uint64_t i = 0; i < 5; ++i) {
    writers.emplace_back(i + 1);
    sources.push_back(std::make_unique<Replica>(i + 1));
    for (uint64_t j = 0; j < i; j += 2) MUST_OK(sources[i]->pull(*sources[j], writers[j].key()));
    sources[i]->now = at_ms(kStartMs + static_cast<int64_t>(7 * i % 5));
    sources[i]->put(writers[i], "x", "by " + std::to_string(i));
    sources[i]->put(writers[i], "x", "again by " + std::to_string(i));
  }
  std::vector<size_t> order{0, 1, 2, 3, 4};
  std::optional<Hash> state;
  int tried = 0;
  do {
    if (++tried % 4 != 0) continue;
    Replica replica(50);
    for (const size_t i : order) MUST_OK(replica.pull(*sources[i], writers[i].key()));
    if (!state) state = replica.state();
    EXPECT_EQ(replica.state(), *state);
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace sereus::store
