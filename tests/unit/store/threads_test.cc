// Readers beside the writer: every call sees one state, nothing is torn, and closing waits for calls under way.

#include <atomic>
#include <thread>

#include "tests/unit/store/store_test_base.h"

namespace sereus::store {
namespace {

TEST(Threads, ReadersBesideTheWriter) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "a", "0");
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      auto reader = must(a.store->make_reader());
      auto ranges = must(a.store->make_range_reader());
      uint64_t sequence = 0;
      uint64_t last = 0;
      while (!stop.load()) {
        if (i == 0) {
          // Both keys are written in one transaction.
          const auto rows = reader->list({}, {}, 10, true);
          if (!rows.ok() || rows->empty() || (rows->size() == 2 && (*rows)[0].value != (*rows)[1].value)) ++wrong;
        } else if (i == 1) {
          uint64_t scanned = 0;
          const auto page = reader->changes(sequence, as_bytes("a"), 7, 1000, &scanned);
          if (!page.ok()) {
            ++wrong;
            break;
          }
          for (const Change& change : *page) {
            const uint64_t value = std::strtoull(to_string(change.value).c_str(), nullptr, 10);
            if (value != last + 1 && value != 0) ++wrong;
            last = value;
          }
          sequence = scanned;
        } else {
          const auto tip = reader->stats();
          const auto range = tip.ok() ? ranges->read_range(alice.key(), std::max<uint64_t>(1, tip->entries / 2), 3000)
                                      : Result<std::pair<RangeHeader, Bytes>>(tip.error());
          if (!range.ok() || !verify_range(range->first, range->second, VerifyPolicy::chain, {}).ok()) ++wrong;
        }
        ++reads;
      }
    });
  }
  for (int i = 1; i <= 300; ++i) {
    must(a.commit(alice, {put_op("a", std::to_string(i)), put_op("b", std::to_string(i))}));
    if (i % 50 == 0) MUST_OK(a.store->maintain());
  }
  while (reads.load() < 30) std::this_thread::yield();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  MUST_OK(a.store->verify());
}

TEST(Threads, CloseWaitsForReaders) {
  for (int round = 0; round < 10; ++round) {
    Replica a(1);
    const Writer alice(1);
    for (int i = 0; i < 50; ++i) a.put(alice, "k" + std::to_string(i), "v");
    std::atomic<bool> started{false};
    std::thread thread([&] {
      while (true) {
        const auto rows = a.reader->list({}, {}, 100, true);
        started = true;
        if (rows.ok()) continue;
        EXPECT_EQ(rows.code(), Code::closed);
        return;
      }
    });
    while (!started.load()) std::this_thread::yield();
    MUST_OK(a.store->close());
    thread.join();
  }
}

}  // namespace
}  // namespace sereus::store
