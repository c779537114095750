// vectors/cbor.json, which tools/vectors/core_vectors.py writes with a CBOR of its own.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/codec/cbor.h"
#include "tests/support/files_in_repository.h"

namespace sereus::codec {
namespace {

using nlohmann::json;

TEST(CborVectors, AcceptedAndRefused) {
  const auto text = test::read_text_file(SEREUS_SOURCE_DIR "/vectors/cbor.json");
  ASSERT_TRUE(text.has_value());
  const json vectors = json::parse(*text, nullptr, false);
  ASSERT_TRUE(vectors.is_object());
  for (const auto& vector : vectors["accepted"]) {
    const std::string hex = vector["hex"].get<std::string>();
    const Status status = cbor_check(from_hex(hex).value());
    EXPECT_TRUE(status.ok()) << hex << ": " << (status.ok() ? "" : status.error().detail);
  }
  for (const auto& vector : vectors["refused"]) {
    const std::string hex = vector["hex"].get<std::string>();
    EXPECT_EQ(cbor_check(from_hex(hex).value()).code(), Code::malformed) << hex << ": " << vector["why"];
  }
  EXPECT_GE(vectors["accepted"].size(), 40u);
  EXPECT_GE(vectors["refused"].size(), 50u);
}

}  // namespace
}  // namespace sereus::codec
