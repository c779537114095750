#include "core/codec/protobuf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sereus::codec {
namespace {

// What a message holds, in short: "1=150 2:616263", and "bad" at the end when it is.
std::string read_all(std::string_view hex) {
  const Bytes message = from_hex(hex).value();
  ProtobufReader reader(message);
  std::string out;
  while (const auto field = reader.next()) {
    if (!out.empty()) out += ' ';
    out += std::to_string(field->number);
    out += field->type == ProtobufField::Type::bytes ? ":" + to_hex(field->bytes) : "=" + std::to_string(field->value);
  }
  if (reader.bad()) out += out.empty() ? "bad" : " bad";
  EXPECT_FALSE(reader.next().has_value());
  return out;
}

TEST(Protobuf, ReadsEveryType) {
  EXPECT_EQ(read_all(""), "");
  EXPECT_EQ(read_all("089601"), "1=150");
  EXPECT_EQ(read_all("120774657374696e67"), "2:74657374696e67");
  EXPECT_EQ(read_all("1a0308960108001200"), "3:089601 1=0 2:");
  EXPECT_EQ(read_all("090100000000000080"), "1=9223372036854775809");
  EXPECT_EQ(read_all("0dffffffff"), "1=4294967295");
  EXPECT_EQ(read_all("08ffffffffffffffffff01"), "1=18446744073709551615");
  EXPECT_EQ(read_all("f8ffffff0f01"), "536870911=1");
  // Padded varints are the reader's to take: the format allows them.
  EXPECT_EQ(read_all("08968100"), "1=150");
  EXPECT_EQ(read_all("8800018a80000161"), "1=1 1:61");
  // Repeated fields come as often as they stand there.
  EXPECT_EQ(read_all("080108020803"), "1=1 1=2 1=3");
}

TEST(Protobuf, RefusesWhatIsNoMessage) {
  for (const std::string_view hex : {
           "08",    // no value
           "0880",  // a varint cut short
           "80",    // a tag cut short
           "0001",  // field number 0
           "8080808010"
           "01",                        // field number 2^29
           "08ffffffffffffffffff02",    // 65 bits
           "08ffffffffffffffffffff01",  // eleven bytes
           "0901020304050607",          // seven of eight bytes
           "0d010203",                  // three of four
           "12026100"                   // (fine so far) then a tag of field number 0
           "00",
           "120261",                    // one of two bytes
           "12ffffffffffffffffff0161",  // a length near 2^64
           "0b0c",                      // a group
           "0c",                        // its end
           "0e", "0f",                  // types that do not exist
       }) {
    EXPECT_TRUE(read_all(hex).ends_with("bad")) << hex;
  }
  // What stood before the fault is given out, nothing after it.
  EXPECT_EQ(read_all("08010b0802"), "1=1 bad");
}

TEST(Protobuf, DeepNestingCostsNothing) {
  Bytes message;
  for (int i = 0; i < 2000; ++i) {
    ProtobufWriter outer;
    outer.bytes(1, message);
    message = outer.take();
  }
  ProtobufReader reader(message);
  const auto field = reader.next();
  ASSERT_TRUE(field.has_value());
  EXPECT_LT(field->bytes.size(), message.size());
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_FALSE(reader.bad());
}

TEST(Protobuf, WritesWhatItReads) {
  ProtobufWriter writer;
  writer.number(1, 0);
  writer.number(2, UINT64_MAX);
  writer.bytes(3, {});
  writer.bytes(16, as_bytes("abc"));
  writer.number(kProtobufFieldMax, 1);
  EXPECT_EQ(to_hex(writer.view()), "080010ffffffffffffffffff011a00820103616263f8ffffff0f01");
  EXPECT_EQ(read_all(to_hex(writer.view())), "1=0 2=18446744073709551615 3: 16:616263 536870911=1");
  EXPECT_EQ(writer.take().size(), 27u);
}

}  // namespace
}  // namespace sereus::codec
