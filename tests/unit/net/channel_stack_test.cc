// Stages one on another: the order in which they are established, and what every byte goes through.
#include "core/net/channel_stack.h"

#include <gtest/gtest.h>

namespace sereus::net {
namespace {

using State = Channel::State;

// Greets with its letter, is established once the peer has greeted alike, then puts the letter before every byte.
class Letter final : public Channel {
 public:
  explicit Letter(char letter) : letter_(static_cast<uint8_t>(letter)) {}
  Status start(Bytes& out) override {
    out.push_back(letter_);
    return {};
  }
  Status feed(ByteView in, Bytes& out, Bytes& plain) override {
    for (const uint8_t byte : in) {
      if (state_ == State::handshaking || expecting_letter_) {
        if (byte == '.') {
          state_ = State::ended;
          out.push_back('!');
          return {};
        }
        if (byte != letter_) return fail(Code::protocol, "another letter");
        expecting_letter_ = state_ == State::established ? false : true;
        state_ = State::established;
      } else {
        plain.push_back(byte);
        expecting_letter_ = true;
      }
    }
    return {};
  }
  Status seal(ByteView plain, Bytes& out) override {
    for (const uint8_t byte : plain) {
      out.push_back(letter_);
      out.push_back(byte);
    }
    return {};
  }
  void finish(Bytes& out) override { out.push_back('.'); }
  State state() const override { return state_; }

 private:
  uint8_t letter_;
  State state_ = State::handshaking;
  bool expecting_letter_ = false;
};

ChannelStack two() {
  std::vector<std::unique_ptr<Channel>> stages;
  stages.push_back(std::make_unique<Letter>('a'));
  stages.push_back(std::make_unique<Letter>('b'));
  return ChannelStack(std::move(stages));
}
std::string text(Bytes& bytes) { return to_string(std::exchange(bytes, {})); }

TEST(ChannelStack, EstablishesOneAfterTheOtherAndGoesThroughAll) {
  for (const bool at_once : {true, false}) {
    ChannelStack stack = two();
    Bytes out, plain;
    ASSERT_TRUE(stack.start(out).ok());
    EXPECT_EQ(text(out), "a") << "the second one waits for the first";
    EXPECT_EQ(stack.seal(as_bytes("x"), out).code(), Code::again);
    const std::string all =
        "aabab"
        "ax";
    for (size_t i = 0; i < all.size(); i += at_once ? all.size() : 1) {
      const auto part = at_once ? std::string_view(all) : std::string_view(all).substr(i, 1);
      ASSERT_TRUE(stack.feed(as_bytes(part), out, plain).ok());
      if (!at_once && i == 0) {
        EXPECT_EQ(stack.state(), State::handshaking);
      }
    }
    EXPECT_EQ(stack.state(), State::established);
    EXPECT_EQ(text(out), "ab") << "the second stage's greeting inside the first";
    EXPECT_EQ(text(plain), "x");
    ASSERT_TRUE(stack.seal(as_bytes("yz"), out).ok());
    EXPECT_EQ(text(out), "abayabaz");
    stack.finish(out);
    EXPECT_EQ(text(out), "a..");
  }
}

TEST(ChannelStack, AnErrorOfAnyStageIsTheStacks) {
  ChannelStack stack = two();
  Bytes out, plain;
  ASSERT_TRUE(stack.start(out).ok());
  EXPECT_EQ(stack.feed(as_bytes("aac"), out, plain).code(), Code::protocol);
  EXPECT_TRUE(plain.empty());
}

TEST(ChannelStack, TheGoodbyeOfAnyStageEndsTheStack) {
  ChannelStack stack = two();
  Bytes out, plain;
  ASSERT_TRUE(stack.start(out).ok());
  ASSERT_TRUE(stack.feed(as_bytes("aab"), out, plain).ok());
  ASSERT_EQ(stack.state(), State::established);
  text(out);
  ASSERT_TRUE(stack.feed(as_bytes("a."), out, plain).ok());
  EXPECT_EQ(stack.state(), State::ended);
  EXPECT_EQ(text(out), "a!");
}

TEST(ChannelStack, EmptyItPassesBytesAsTheyAre) {
  ChannelStack stack({});
  Bytes out, plain;
  EXPECT_TRUE(stack.start(out).ok());
  EXPECT_EQ(stack.state(), State::established);
  EXPECT_TRUE(stack.feed(as_bytes("in"), out, plain).ok());
  EXPECT_EQ(text(plain), "in");
  EXPECT_TRUE(stack.seal(as_bytes("sent"), out).ok());
  EXPECT_EQ(text(out), "sent");
}

}  // namespace
}  // namespace sereus::net
