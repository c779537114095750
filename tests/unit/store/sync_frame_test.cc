// The cutting of a byte stream into frames: every split, every bound, and bytes that are no frames.

#include "core/store/sync_frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/test_random.h"

namespace sereus::store {
namespace {

Bytes header(uint32_t size, uint16_t type) {
  Bytes out(kFrameHeaderSize);
  store_be<uint32_t>(out.data(), size);
  store_be<uint16_t>(out.data() + 4, type);
  return out;
}

// All frames that are whole; an error of the stream is a failure of the test.
std::vector<Frame> take_all(FrameReader& reader) {
  std::vector<Frame> frames;
  while (true) {
    auto next = reader.next();
    EXPECT_TRUE(next.ok());
    if (!next.ok() || !next->has_value()) return frames;
    frames.push_back(std::move(**next));
  }
}

Bytes three_frames() {
  Bytes stream;
  append_frame(stream, FrameType::sync_open, {});
  append_frame(stream, FrameType::sync_tips, Bytes{0x55});
  append_frame(stream, FrameType::sync_range, Bytes(300, 0xaa));
  return stream;
}

void expect_three(const std::vector<Frame>& frames) {
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].type, FrameType::sync_open);
  EXPECT_TRUE(frames[0].payload.empty());
  EXPECT_EQ(frames[1].type, FrameType::sync_tips);
  EXPECT_EQ(frames[1].payload, Bytes{0x55});
  EXPECT_EQ(frames[2].type, FrameType::sync_range);
  EXPECT_EQ(frames[2].payload, Bytes(300, 0xaa));
}

TEST(SyncFrame, LaidOutAsThePageSays) {
  Bytes out;
  append_frame(out, FrameType::join_request, Bytes{1, 2, 3});
  EXPECT_EQ(to_hex(out),
            "00000005"
            "0020"
            "010203");
}

TEST(SyncFrame, EverySplitGivesTheSameFrames) {
  const Bytes stream = three_frames();
  for (size_t split = 0; split <= stream.size(); ++split) {
    FrameReader reader;
    reader.feed(ByteView(stream).first(split));
    std::vector<Frame> frames = take_all(reader);
    reader.feed(ByteView(stream).subspan(split));
    for (Frame& frame : take_all(reader)) frames.push_back(std::move(frame));
    expect_three(frames);
    EXPECT_EQ(reader.buffered(), 0u);
  }
}

TEST(SyncFrame, ByteByByte) {
  FrameReader reader;
  std::vector<Frame> frames;
  for (const uint8_t byte : three_frames()) {
    reader.feed(ByteView(&byte, 1));
    for (Frame& frame : take_all(reader)) frames.push_back(std::move(frame));
  }
  expect_three(frames);
}

TEST(SyncFrame, NothingOfATruncatedFrameIsGiven) {
  Bytes stream;
  append_frame(stream, FrameType::sync_state, Bytes(40, 7));
  for (size_t size = 0; size < stream.size(); ++size) {
    FrameReader reader;
    reader.feed(ByteView(stream).first(size));
    EXPECT_TRUE(take_all(reader).empty()) << size;
    EXPECT_EQ(reader.buffered(), size);
  }
}

TEST(SyncFrame, SizesOutOfBoundsEndTheStreamBeforeTheirBytesCome) {
  for (const uint32_t size : {0u, 1u, uint32_t{kFrameSizeMax} + 1, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    FrameReader reader;
    reader.feed(header(size, 1));
    EXPECT_EQ(reader.next().code(), Code::protocol) << size;
    // There is no way back into step.
    reader.feed(three_frames());
    EXPECT_EQ(reader.next().code(), Code::protocol) << size;
  }
  for (const uint32_t size : {2u, 3u, uint32_t{kFrameSizeMax}}) {
    FrameReader reader;
    reader.feed(header(size, 1));
    reader.feed(Bytes(size - 2, 9));
    const auto frame = reader.next();
    ASSERT_TRUE(frame.ok() && frame->has_value()) << size;
    EXPECT_EQ((*frame)->payload.size(), size - 2);
  }
}

TEST(SyncFrame, AReaderForSmallFramesKeepsItsOwnBound) {
  FrameReader reader(100);
  Bytes stream = header(100, 1);
  stream.resize(stream.size() + 98);
  append(stream, header(101, 1));
  reader.feed(stream);
  const auto first = reader.next();
  ASSERT_TRUE(first.ok() && first->has_value());
  EXPECT_EQ(reader.next().code(), Code::protocol);
}

TEST(SyncFrame, AnyTypeIsCutOutAndLeftToTheProtocol) {
  for (uint32_t type = 0; type <= 0xffff; ++type) {
    FrameReader reader;
    reader.feed(header(2, static_cast<uint16_t>(type)));
    const auto frame = reader.next();
    ASSERT_TRUE(frame.ok() && frame->has_value());
    ASSERT_EQ(static_cast<uint32_t>((*frame)->type), type);
  }
}

TEST(SyncFrame, GarbageIsRefusedOrWaitsAndIsNeverMoreThanItWas) {
  test::TestRandom draws(11);
  size_t refused = 0;
  for (int i = 0; i < 5000; ++i) {
    Bytes garbage(draws.below(200));
    draws.fill(garbage);
    FrameReader reader;
    reader.feed(garbage);
    size_t given = 0;
    while (true) {
      const auto next = reader.next();
      if (!next.ok()) {
        EXPECT_EQ(next.code(), Code::protocol);
        ++refused;
        break;
      }
      if (!next->has_value()) break;
      given += (*next)->payload.size() + kFrameHeaderSize;
      ASSERT_LE(given + reader.buffered(), garbage.size());
    }
  }
  EXPECT_GT(refused, 4000u);  // four random bytes are almost never a size within bounds
}

TEST(SyncFrame, TheRestIsForAnotherReader) {
  const Bytes stream = three_frames();
  FrameReader first(512);
  first.feed(stream);
  const auto open = first.next();
  ASSERT_TRUE(open.ok() && open->has_value());
  FrameReader second;
  second.feed(first.take_rest());
  EXPECT_EQ(first.buffered(), 0u);
  EXPECT_EQ(take_all(second).size(), 2u);
}

}  // namespace
}  // namespace sereus::store
