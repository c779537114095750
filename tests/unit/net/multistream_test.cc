#include "core/net/multistream.h"

#include <gtest/gtest.h>

#include "core/net/chunk_buffer.h"
#include "core/net/limits.h"
#include "core/net/timer_heap.h"
#include "tests/support/net_world.h"

namespace sereus::net {
namespace {

using State = Multistream::State;

Bytes line(std::string_view text) {
  Bytes out;
  const size_t size = text.size() + 1;
  if (size >= 0x80) {
    out.push_back(static_cast<uint8_t>(0x80 | (size & 0x7f)));
    out.push_back(static_cast<uint8_t>(size >> 7));
  } else {
    out.push_back(static_cast<uint8_t>(size));
  }
  append(out, as_bytes(text));
  out.push_back('\n');
  return out;
}
Bytes operator+(Bytes a, const Bytes& b) {
  append(a, b);
  return a;
}
const std::vector<std::string> kProtocols = {"/a/1", "/b/1"};
const Bytes kHeader = line("/multistream/1.0.0");

TEST(Multistream, AgreesInEveryCutOfTheBytes) {
  Bytes proposal;
  Multistream initiator = Multistream::initiator("/b/1", proposal);
  EXPECT_EQ(proposal, kHeader + line("/b/1"));
  const Bytes sent = proposal + Bytes{1, 2, 3};
  for (size_t cut = 0; cut <= sent.size(); ++cut) {
    Multistream responder = Multistream::responder();
    Bytes answer;
    size_t used = responder.feed(ByteView(sent).first(cut), kProtocols, answer);
    used += responder.feed(ByteView(sent).subspan(cut), kProtocols, answer);
    EXPECT_EQ(used, proposal.size());
    EXPECT_EQ(responder.state(), State::agreed);
    EXPECT_EQ(responder.protocol(), "/b/1");
    EXPECT_EQ(answer, kHeader + line("/b/1"));
  }
  Bytes nothing;
  EXPECT_EQ(initiator.feed(kHeader + line("/b/1") + Bytes{9}, {}, nothing), proposal.size());
  EXPECT_EQ(initiator.state(), State::agreed);
  EXPECT_TRUE(nothing.empty());
}

TEST(Multistream, RefusesAndTakesTheNextProposal) {
  Multistream responder = Multistream::responder();
  Bytes answer;
  responder.feed(kHeader + line("/c/1") + line("ls") + line("/a/1"), kProtocols, answer);
  EXPECT_EQ(responder.state(), State::agreed);
  EXPECT_EQ(answer, kHeader + line("na") + line("na") + line("/a/1"));

  Bytes proposal;
  Multistream initiator = Multistream::initiator("/c/1", proposal);
  initiator.feed(kHeader + line("na"), {}, answer);
  EXPECT_EQ(initiator.state(), State::refused);
}

TEST(Multistream, ProposesTheNextWhenRefused) {
  const std::vector<std::string> wanted = {"/c/1", "/d/1", "/b/1", "/e/1"};
  Bytes proposal, answer, second, more;
  Multistream initiator = Multistream::initiator(wanted, proposal);
  EXPECT_EQ(proposal, kHeader + line("/c/1"));
  Multistream responder = Multistream::responder();
  responder.feed(proposal, kProtocols, answer);
  for (const std::string& next : {wanted[1], wanted[2]}) {
    Bytes again;
    initiator.feed(std::exchange(answer, {}), {}, again);
    EXPECT_EQ(again, line(next));
    EXPECT_EQ(initiator.state(), State::negotiating);
    responder.feed(again, kProtocols, answer);
  }
  EXPECT_EQ(responder.state(), State::agreed);
  initiator.feed(answer + Bytes{1}, {}, more);
  EXPECT_EQ(initiator.state(), State::agreed);
  EXPECT_EQ(initiator.protocol(), "/b/1");
  EXPECT_TRUE(more.empty());
}

TEST(Multistream, RefusedWhenNothingIsLeftToPropose) {
  const std::vector<std::string> wanted = {"/c/1", "/d/1"};
  Bytes proposal, out;
  Multistream initiator = Multistream::initiator(wanted, proposal);
  initiator.feed(kHeader + line("na") + line("na"), {}, out);
  EXPECT_EQ(initiator.state(), State::refused);
  EXPECT_EQ(out, line("/d/1"));
  Multistream confused = Multistream::initiator(wanted, proposal);
  confused.feed(kHeader + line("/d/1"), {}, out);
  EXPECT_EQ(confused.state(), State::failed) << "agreed on what was not proposed";
}

TEST(Multistream, BadInput) {
  const auto state_after = [](const Bytes& input) {
    Multistream responder = Multistream::responder();
    Bytes answer;
    responder.feed(input, kProtocols, answer);
    EXPECT_LE(answer.size(), 200u);
    return responder.state();
  };
  EXPECT_EQ(state_after(line("/multistream/2.0.0")), State::failed);
  EXPECT_EQ(state_after({0}), State::failed);
  EXPECT_EQ(state_after({0x80, 0x80}), State::negotiating);
  EXPECT_EQ(state_after({0x80, 0x80, 0x80}), State::failed);
  EXPECT_EQ(state_after({0x81, 0x08}), State::failed);       // 1025
  EXPECT_EQ(state_after({0x80, 0x08}), State::negotiating);  // 1024
  EXPECT_EQ(state_after({2, 'a', 'b'}), State::failed);      // no newline
  EXPECT_EQ(state_after(kHeader + line(std::string(1023, 'x'))), State::negotiating);
  EXPECT_EQ(state_after(kHeader + line(std::string(1024, 'x'))), State::failed);
  Bytes flood = kHeader;
  for (size_t i = 0; i < kMultistreamProposalsMax; ++i) append(flood, line("/x"));
  EXPECT_EQ(state_after(flood), State::failed);
  Bytes proposal;
  Bytes answer;
  Multistream initiator = Multistream::initiator("/a/1", proposal);
  initiator.feed(kHeader + line("/b/1"), {}, answer);
  EXPECT_EQ(initiator.state(), State::failed);
}

TEST(Multistream, Names) {
  EXPECT_TRUE(valid_protocol_name("/echo/1.0.0"));
  for (const std::string& bad :
       std::vector<std::string>{"", "na", "/multistream/1.0.0", "/a\n", std::string(1024, 'x')}) {
    EXPECT_FALSE(valid_protocol_name(bad));
  }
}

TEST(ChunkBuffer, IsAQueueOfBytesThatDoNotMove) {
  test::SeededRandom random(1);
  ChunkBuffer buffer;
  std::deque<uint8_t> model;
  uint8_t next = 0;
  for (int round = 0; round < 20000; ++round) {
    if (random.below(2) == 0 && model.size() < 300000) {
      Bytes data(random.below(round % 10 == 0 ? 100000 : 600));
      for (uint8_t& byte : data) {
        byte = next++;
        model.push_back(byte);
      }
      ByteView before[1];
      const bool held = buffer.peek(0, before) > 0;
      buffer.append(data);
      ByteView after[1];
      if (held && buffer.peek(0, after) > 0) {
        ASSERT_EQ(before[0].data(), after[0].data());
      }
    } else {
      Bytes out(random.below(900));
      const size_t count = buffer.read(out);
      ASSERT_EQ(count, std::min(out.size(), model.size()));
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(out[i], model.front());
        model.pop_front();
      }
    }
    ASSERT_EQ(buffer.size(), model.size());
    if (model.empty()) continue;
    const size_t offset = random.below(model.size() + 1);
    ByteView spans[3];
    const size_t count = buffer.peek(offset, spans);
    size_t at = offset;
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(spans[i].front(), model[at]);
      at += spans[i].size();
      ASSERT_EQ(spans[i].back(), model[at - 1]);
    }
    ASSERT_TRUE(count == 3 || at == model.size());
  }
}

TEST(TimerHeap, GivesTheEarliestAndForgetsTheRemoved) {
  test::SeededRandom random(2);
  TimerHeap heap;
  std::vector<TimerEntry> entries(200);
  std::vector<uint64_t> deadlines(entries.size(), kNever);
  for (size_t i = 0; i < entries.size(); ++i) entries[i].order = i;
  for (int round = 0; round < 20000; ++round) {
    const size_t i = random.below(entries.size());
    deadlines[i] = random.below(3) == 0 ? kNever : random.below(1000);
    heap.set(entries[i], deadlines[i]);
    const uint64_t least = *std::min_element(deadlines.begin(), deadlines.end());
    ASSERT_EQ(heap.next_us(), least);
    if (least == kNever) continue;
    // Of equal deadlines, the smallest order.
    const auto first = static_cast<uint64_t>(std::find(deadlines.begin(), deadlines.end(), least) - deadlines.begin());
    ASSERT_EQ(heap.front()->order, first);
  }
}

}  // namespace
}  // namespace sereus::net
