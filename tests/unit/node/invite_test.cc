#include "core/node/invite.h"

#include <gtest/gtest.h>

#include "core/crypto/init.h"

namespace sereus::node {
namespace {

Invite sample() {
  Invite invite;
  invite.issuer.bytes.fill(7);
  invite.token.fill(9);
  invite.expires_wall_s = 1'800'000'000;
  invite.role = 2;
  invite.addresses = {"/ip4/192.0.2.1/udp/4001/quic-v1", "/ip6/2001:db8::1/udp/4001/quic-v1"};
  return invite;
}

TEST(Invite, comes_back_from_its_text) {
  crypto::init();
  const std::string text = invite_to_text(sample());
  EXPECT_TRUE(text.starts_with("sereus1"));
  EXPECT_EQ(text.find_first_of(" \n:"), std::string::npos) << "one word, so that a double click selects it";
  const auto invite = invite_from_text("  " + text + "\n");
  ASSERT_TRUE(invite.ok());
  EXPECT_EQ(invite->issuer, sample().issuer);
  EXPECT_EQ(invite->token, sample().token);
  EXPECT_EQ(invite->expires_wall_s, sample().expires_wall_s);
  EXPECT_EQ(invite->role, 2u);
  EXPECT_EQ(invite->addresses, sample().addresses);
}

TEST(Invite, every_mistyped_letter_is_noticed) {
  crypto::init();
  const std::string text = invite_to_text(sample());
  for (size_t i = 0; i < text.size(); ++i) {
    std::string wrong = text;
    wrong[i] = wrong[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(invite_from_text(wrong).ok()) << i;
  }
}

TEST(Invite, every_truncation_is_refused) {
  crypto::init();
  const std::string text = invite_to_text(sample());
  for (size_t size = 0; size < text.size(); ++size) {
    const auto invite = invite_from_text(text.substr(0, size));
    ASSERT_FALSE(invite.ok()) << size;
    EXPECT_EQ(invite.code(), Code::malformed);
    EXPECT_FALSE(invite.error().detail.empty());
  }
  EXPECT_FALSE(invite_from_text(std::string(kInviteTextSizeMax + 1, 'a')).ok());
}

}  // namespace
}  // namespace sereus::node
