// RFC 8949 appendix A: the examples within our profile round-trip, all others are refused.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/codec/cbor.h"
#include "tests/support/files_in_repository.h"

namespace sereus::codec {
namespace {

using nlohmann::json;

// Refused although the example is well-formed CBOR: floats, tags, undefined and simple values, indefinite lengths, and
// integers below -2^63. Everything else in the appendix is within the profile.
bool within_profile(const std::string& hex) {
  const Bytes bytes = from_hex(hex).value_or(Bytes());
  if (bytes.empty()) return false;
  const uint8_t first = bytes[0];
  if ((first & 0x1f) == 31) return false;
  const uint8_t major = first >> 5;
  if (major == 6) return false;
  if (major == 7) return first == 0xf4 || first == 0xf5 || first == 0xf6;
  if (hex == "3bffffffffffffffff") return false;
  // Containers in the appendix that hold something of the above.
  return hex != "826161bf61626163ff" && hex != "83018202039f0405ff" && hex != "83019f0203ff820405";
}

// Writes what the appendix says the value is.
void write_json(CborWriter& writer, const json& value) {
  if (value.is_number_unsigned()) return writer.uint(value.get<uint64_t>());
  if (value.is_number_integer()) return writer.integer(value.get<int64_t>());
  if (value.is_boolean()) return writer.boolean(value.get<bool>());
  if (value.is_null()) return writer.null();
  if (value.is_string()) return writer.text(value.get<std::string>());
  if (value.is_array()) {
    writer.array(value.size());
    for (const auto& item : value) write_json(writer, item);
    return;
  }
  ASSERT_TRUE(value.is_object());
  writer.map(value.size());
  for (const auto& [key, item] : value.items()) {
    writer.text(key);
    write_json(writer, item);
  }
}

TEST(Rfc8949, AppendixA) {
  const auto text = test::read_conformance_file(SEREUS_SOURCE_DIR, "cbor/appendix_a.json");
  if (!text) GTEST_SKIP() << "no cbor/appendix_a.json in ../shared/conformance or $SEREUS_CONFORMANCE_DIR";
  const json examples = json::parse(*text, nullptr, false);
  ASSERT_TRUE(examples.is_array());
  size_t round_trips = 0;
  size_t refused = 0;
  for (const auto& example : examples) {
    const std::string hex = example["hex"].get<std::string>();
    const Bytes bytes = from_hex(hex).value_or(Bytes());
    const Status status = cbor_check(bytes);
    if (!within_profile(hex)) {
      EXPECT_EQ(status.code(), Code::malformed) << hex;
      ++refused;
      continue;
    }
    EXPECT_TRUE(status.ok()) << hex << ": " << (status.ok() ? "" : status.error().detail);
    ++round_trips;
    if (!example.contains("decoded")) continue;  // no JSON for it: byte strings, maps with integer keys
    Bytes out;
    CborWriter writer(out);
    write_json(writer, example["decoded"]);
    EXPECT_EQ(to_hex(out), hex);
  }
  EXPECT_EQ(round_trips + refused, examples.size());
  EXPECT_EQ(examples.size(), 82u);
  std::printf("RFC 8949 appendix A: %zu round-tripped, %zu refused\n", round_trips, refused);
}

}  // namespace
}  // namespace sereus::codec
