// vectors/invite.json, which tools/vectors/invite_vectors.py writes from docs/formats/invite.md without any of our code.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/crypto/init.h"
#include "core/node/invite.h"
#include "tests/support/files_in_repository.h"

namespace sereus::node {
namespace {

using nlohmann::json;

json load() {
  crypto::init();
  return json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/invite.json").value_or("null"), nullptr, false);
}

std::string text_of(const json& value) { return value.get<std::string>(); }

TEST(InviteVectors, valid_lines_are_read_and_written) {
  const json vectors = load();
  ASSERT_GE(vectors["valid"].size(), 5u);
  for (const json& item : vectors["valid"]) {
    const auto invite = invite_from_text(text_of(item["text"]));
    ASSERT_TRUE(invite.ok()) << item["text"] << ": " << invite.error().detail;
    EXPECT_EQ(invite->issuer.hex(), text_of(item["issuer"]));
    EXPECT_EQ(to_hex(invite->token), text_of(item["token"]));
    EXPECT_EQ(invite_token_hash(invite->token).hex(), text_of(item["token_hash"]));
    EXPECT_EQ(invite->expires_wall_s, item["expires"].get<int64_t>());
    EXPECT_EQ(invite->role, item["role"].get<uint32_t>());
    EXPECT_EQ(invite->addresses, item["addresses"].get<std::vector<std::string>>());
    EXPECT_EQ(invite_to_text(*invite), text_of(item["text"]));
    EXPECT_TRUE(invite_from_text(" \t" + text_of(item["text"]) + " \r\n").ok());
  }
}

TEST(InviteVectors, others_are_refused) {
  const json vectors = load();
  ASSERT_GE(vectors["invalid"].size(), 20u);
  for (const json& item : vectors["invalid"]) {
    const auto invite = invite_from_text(text_of(item["text"]));
    ASSERT_FALSE(invite.ok()) << item["about"];
    EXPECT_EQ(code_name(invite.code()), "SEREUS_E_" + text_of(item["code"])) << item["about"];
    EXPECT_FALSE(invite.error().detail.empty()) << item["about"];
  }
}

}  // namespace
}  // namespace sereus::node
