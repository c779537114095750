#include "core/capi/event_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/capi/limits.h"

namespace sereus::capi {
namespace {

using node::Event;
using node::EventKind;

Event done(uint64_t op) {
  Event event;
  event.kind = EventKind::done;
  event.op = op;
  return event;
}

Event of_kind(EventKind kind, uint64_t sequence = 0) {
  Event event;
  event.kind = kind;
  event.sequence = sequence;
  return event;
}

Event progress(uint64_t op, uint64_t store, std::string peer, uint64_t count) {
  Event event;
  event.kind = EventKind::sync_progress;
  event.op = op;
  event.store = store;
  event.peer = std::move(peer);
  event.count = count;
  return event;
}

std::vector<Event> drain(EventQueue& queue) {
  std::vector<Event> out;
  std::optional<Event> event;
  while (queue.poll(event) == Code::ok && event) out.push_back(std::move(*event));
  return out;
}

TEST(EventQueue, ReservesRoomForEveryDone) {
  EventQueue queue({1, 2});
  EXPECT_EQ(queue.reserve(1, 0), Code::ok);
  EXPECT_EQ(queue.reserve(2, 0), Code::ok);
  EXPECT_EQ(queue.reserve(3, 0), Code::again);
  queue.push(done(1));
  EXPECT_EQ(queue.reserve(3, 0), Code::again) << "its DONE is still in the queue";
  EXPECT_FALSE(queue.pending(1));
  EXPECT_TRUE(queue.pending(2));
  EXPECT_EQ(drain(queue).size(), 1u);
  EXPECT_EQ(queue.reserve(3, 0), Code::ok);
  queue.withdraw(3);
  EXPECT_EQ(queue.reserve(4, 0), Code::ok);
}

TEST(EventQueue, BoundsTheBytesUnderWayButLetsOneLargeRequestIn) {
  EventQueue queue({4, 100});
  EXPECT_EQ(queue.reserve(1, kOperationBytesMax * 2), Code::ok);
  EXPECT_EQ(queue.reserve(2, 1), Code::again);
  queue.push(done(1));
  EXPECT_EQ(queue.reserve(2, 1), Code::ok);
  EXPECT_EQ(queue.pending_bytes(), 1u);
}

TEST(EventQueue, LeavesOutADoneThatNobodyWaitsFor) {
  EventQueue queue({4, 4});
  queue.push(done(7));
  EXPECT_TRUE(drain(queue).empty());
  EXPECT_EQ(queue.reserve(1, 0), Code::ok);
  queue.push(done(1));
  queue.push(done(1));
  EXPECT_EQ(drain(queue).size(), 1u);
}

TEST(EventQueue, CountsWhatItDropsInItsPlace) {
  EventQueue queue({2, 4});
  ASSERT_EQ(queue.reserve(1, 0), Code::ok);
  for (uint64_t i = 1; i <= 5; ++i) queue.push(of_kind(EventKind::fork, i));
  queue.push(done(1));
  std::optional<Event> first;
  ASSERT_EQ(queue.poll(first), Code::ok);
  EXPECT_EQ(first->sequence, 1u);
  queue.push(of_kind(EventKind::fork, 6));  // there is room again
  queue.push(of_kind(EventKind::fork, 7));  // and none: lost after 6, so told after it
  const auto rest = drain(queue);
  ASSERT_EQ(rest.size(), 5u);
  EXPECT_EQ(rest[0].sequence, 2u);
  EXPECT_EQ(rest[1].kind, EventKind::dropped);
  EXPECT_EQ(rest[1].count, 3u);
  EXPECT_EQ(rest[2].kind, EventKind::done);
  EXPECT_EQ(rest[3].sequence, 6u);
  EXPECT_EQ(rest[4].kind, EventKind::dropped);
  EXPECT_EQ(rest[4].count, 1u);
}

TEST(EventQueue, KeepsTheNewestProgressInTheOldestPlace) {
  EventQueue queue({3, 4});
  queue.push(progress(1, 1, "a", 10));
  queue.push(of_kind(EventKind::fork));
  queue.push(progress(1, 1, "a", 20));
  queue.push(progress(1, 1, "b", 5));
  queue.push(progress(1, 1, "a", 30));
  auto events = drain(queue);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].count, 30u);
  EXPECT_EQ(events[1].kind, EventKind::fork);
  EXPECT_EQ(events[2].count, 5u);
  queue.push(progress(1, 1, "a", 40));  // the old one was taken: a new event
  events = drain(queue);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].count, 40u);
}

TEST(EventQueue, TellsWatchesLessRoomThanThereIs) {
  EventQueue queue({8, 1});
  EXPECT_EQ(queue.room(), 6u);
  for (int i = 0; i < 6; ++i) queue.push(of_kind(EventKind::store_change));
  EXPECT_EQ(queue.room(), 0u);
  queue.push(of_kind(EventKind::peer));
  queue.push(of_kind(EventKind::peer));
  EXPECT_EQ(drain(queue).size(), 8u) << "the rest is for others";
  EventQueue smallest({1, 1});
  EXPECT_EQ(smallest.room(), 1u);
}

TEST(EventQueue, StopsWatchesAtABoundOfBytes) {
  EventQueue queue({1000, 1});
  Event large = of_kind(EventKind::store_change);
  large.data.resize(1 << 20);
  size_t pushed = 0;
  while (queue.room() != 0) {
    queue.push(large);
    ++pushed;
  }
  EXPECT_EQ(pushed, kEventBytesMax >> 20);
  size_t drained = 0;
  EXPECT_EQ(drain(queue).size(), pushed);
  EXPECT_NE(queue.room(), 0u);
  (void)drained;
}

TEST(EventQueue, TellsWhenAQuarterWasTaken) {
  EventQueue queue({8, 1});
  std::vector<size_t> told;
  queue.on_drained([&told](size_t count) { told.push_back(count); });
  for (int i = 0; i < 6; ++i) queue.push(of_kind(EventKind::store_change));
  drain(queue);
  EXPECT_EQ(told, (std::vector<size_t>{2, 2, 2}));
}

TEST(EventQueue, EndsWithClosed) {
  EventQueue queue({8, 8});
  ASSERT_EQ(queue.reserve(1, 0), Code::ok);
  queue.push(done(1));
  queue.push(of_kind(EventKind::closed));
  queue.push(of_kind(EventKind::fork));
  EXPECT_EQ(queue.reserve(2, 0), Code::closed);
  const auto events = drain(queue);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].kind, EventKind::closed);
  std::optional<Event> none;
  EXPECT_EQ(queue.poll(none), Code::closed);
  EXPECT_EQ(queue.wait(UINT32_MAX, none), Code::closed);
  uint64_t number = 0;
  EXPECT_EQ(queue.begin_delivery(&number), Code::closed);
}

TEST(EventQueue, WakesOnlyFromEmpty) {
  EventQueue queue({8, 8});
  int wakes = 0;
  queue.on_wake([&wakes] { ++wakes; });
  queue.push(of_kind(EventKind::fork));
  queue.push(of_kind(EventKind::fork));
  EXPECT_EQ(wakes, 1);
  drain(queue);
  queue.push(of_kind(EventKind::fork));
  EXPECT_EQ(wakes, 2);
  queue.on_wake(nullptr);
  drain(queue);
  queue.push(of_kind(EventKind::fork));
  EXPECT_EQ(wakes, 2);
}

TEST(EventQueue, PollAndDeliveryExcludeEachOther) {
  EventQueue queue({8, 8});
  uint64_t number = 0;
  ASSERT_EQ(queue.begin_delivery(&number), Code::ok);
  std::optional<Event> event;
  EXPECT_EQ(queue.poll(event), Code::busy);
  queue.push(of_kind(EventKind::fork));
  EXPECT_TRUE(queue.next_delivery(number).has_value());
  queue.end_delivery();
  EXPECT_FALSE(queue.next_delivery(number).has_value());
  EXPECT_EQ(queue.poll(event), Code::ok);
}

TEST(EventQueue, CountsEventsOnTheWireUntilTheyAreAcknowledged) {
  EventQueue queue({4, 1});
  for (uint64_t i = 0; i < 4; ++i) queue.push(of_kind(EventKind::fork, i));
  EXPECT_TRUE(queue.take_for_wire().has_value());
  EXPECT_TRUE(queue.take_for_wire().has_value());
  EXPECT_EQ(queue.room(), 0u);
  queue.push(of_kind(EventKind::fork, 9));  // the other side still holds two: no room
  queue.acknowledge(2);
  EXPECT_EQ(queue.room(), 1u);
  queue.acknowledge(1000);  // more than were sent: harmless
  queue.push(of_kind(EventKind::fork, 10));
  std::vector<EventKind> kinds;
  while (auto event = queue.take_for_wire()) kinds.push_back(event->kind);
  EXPECT_EQ(kinds, (std::vector<EventKind>{EventKind::fork, EventKind::fork, EventKind::dropped, EventKind::fork}));
}

// Producers and a consumer that cannot keep up: every DONE arrives, and taken + dropped is what was pushed.
TEST(EventQueue, LosesNothingUncountedBetweenThreads) {
  constexpr uint64_t kEach = 20000;
  EventQueue queue({64, 16});
  std::atomic<uint64_t> next_op{0};
  std::vector<std::thread> producers;
  for (int thread = 0; thread < 3; ++thread) {
    producers.emplace_back([&] {
      for (uint64_t i = 0; i < kEach; ++i) {
        const uint64_t op = ++next_op;
        while (queue.reserve(op, 1) != Code::ok) std::this_thread::yield();
        queue.push(of_kind(EventKind::fork));
        queue.push(done(op));
      }
    });
  }
  uint64_t dones = 0;
  uint64_t others = 0;
  uint64_t dropped = 0;
  std::thread consumer([&] {
    std::optional<Event> event;
    while (queue.wait(UINT32_MAX, event) == Code::ok) {
      if (!event) continue;
      dones += event->kind == EventKind::done;
      others += event->kind == EventKind::fork;
      if (event->kind == EventKind::dropped) dropped += event->count;
    }
  });
  for (auto& producer : producers) producer.join();
  queue.push(of_kind(EventKind::closed));
  consumer.join();
  EXPECT_EQ(dones, 3 * kEach);
  EXPECT_EQ(others + dropped, 3 * kEach);
}

}  // namespace
}  // namespace sereus::capi
