#include "core/codec/cbor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <limits>

#include "tests/support/test_random.h"

namespace sereus::codec {
namespace {

Bytes hex(std::string_view text) {
  const auto bytes = from_hex(text);
  EXPECT_TRUE(bytes.has_value()) << text;
  return bytes.value_or(Bytes());
}

template <typename Write>
std::string written(Write write) {
  Bytes out;
  CborWriter writer(out);
  write(writer);
  writer.finish();
  return to_hex(out);
}

TEST(CborWriter, ShortestHeads) {
  const auto uint = [](uint64_t value) { return written([&](CborWriter& w) { w.uint(value); }); };
  EXPECT_EQ(uint(0), "00");
  EXPECT_EQ(uint(23), "17");
  EXPECT_EQ(uint(24), "1818");
  EXPECT_EQ(uint(255), "18ff");
  EXPECT_EQ(uint(256), "190100");
  EXPECT_EQ(uint(65535), "19ffff");
  EXPECT_EQ(uint(65536), "1a00010000");
  EXPECT_EQ(uint(UINT32_MAX), "1affffffff");
  EXPECT_EQ(uint(uint64_t{UINT32_MAX} + 1), "1b0000000100000000");
  EXPECT_EQ(uint(UINT64_MAX), "1bffffffffffffffff");
}

TEST(CborWriter, SignedIntegers) {
  const auto integer = [](int64_t value) { return written([&](CborWriter& w) { w.integer(value); }); };
  EXPECT_EQ(integer(0), "00");
  EXPECT_EQ(integer(-1), "20");
  EXPECT_EQ(integer(-24), "37");
  EXPECT_EQ(integer(-25), "3818");
  EXPECT_EQ(integer(-1000), "3903e7");
  EXPECT_EQ(integer(INT64_MIN), "3b7fffffffffffffff");
  EXPECT_EQ(integer(INT64_MAX), "1b7fffffffffffffff");
}

TEST(CborWriter, Containers) {
  EXPECT_EQ(written([](CborWriter& w) {
              w.map(2);
              w.uint(1);
              w.array(2);
              w.boolean(true);
              w.null();
              w.text("a");
              w.bytes(Bytes{1, 2});
            }),
            "a20182f5f66161420102");
  EXPECT_EQ(written([](CborWriter& w) {
              w.array(3);
              w.array(0);
              w.map(0);
              w.encoded_item(Bytes{0x81, 0x00});
            }),
            "8380a08100");
}

TEST(CborWriterDeathTest, OursMustBeRight) {
  Bytes out;
  EXPECT_DEATH(
      {
        CborWriter w(out);
        w.map(2);
        w.uint(2);
        w.null();
        w.uint(1);
      },
      "invariant broken");
  EXPECT_DEATH(
      {
        CborWriter w(out);
        w.map(2);
        w.text("a");
        w.null();
        w.text("a");
      },
      "invariant broken");
  EXPECT_DEATH(
      {
        CborWriter w(out);
        w.map(1);
        w.array(0);
      },
      "invariant broken");
  EXPECT_DEATH(
      {
        CborWriter w(out);
        w.array(1);
        w.finish();
      },
      "invariant broken");
  EXPECT_DEATH(
      {
        CborWriter w(out);
        for (size_t i = 0; i <= kCborDepthMax; ++i) w.array(1);
      },
      "invariant broken");
  EXPECT_DEATH(
      {
        CborWriter w(out);
        w.text("\xff");
      },
      "invariant broken");
}

TEST(CborReader, ReadsWhatIsThere) {
  const Bytes input = hex("a301187b022903861bffffffffffffffff6161420102f4f680");
  CborReader reader(input);
  EXPECT_EQ(reader.peek_kind(), CborKind::map);
  EXPECT_EQ(*reader.read_map(), 3u);
  EXPECT_EQ(*reader.read_uint(), 1u);
  EXPECT_EQ(*reader.read_int(), 123);
  EXPECT_EQ(*reader.read_uint(), 2u);
  EXPECT_EQ(reader.peek_kind(), CborKind::negative);
  EXPECT_EQ(*reader.read_int(), -10);
  EXPECT_EQ(*reader.read_uint(), 3u);
  EXPECT_EQ(*reader.read_array(), 6u);
  EXPECT_EQ(*reader.read_uint(), UINT64_MAX);
  EXPECT_EQ(*reader.read_text(), "a");
  const size_t before = reader.position();
  const auto bytes = reader.read_bytes();
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(to_bytes(*bytes), (Bytes{1, 2}));
  EXPECT_EQ(bytes->data(), input.data() + before + 1) << "a view into the input";
  EXPECT_EQ(to_hex(reader.since(before)), "420102");
  EXPECT_FALSE(*reader.read_bool());
  EXPECT_TRUE(reader.read_null().ok());
  EXPECT_EQ(reader.remaining(), 1u);
  EXPECT_FALSE(CborReader(reader).expect_end().ok());
  EXPECT_TRUE(reader.skip().ok());
  EXPECT_TRUE(reader.at_end());
  EXPECT_TRUE(reader.expect_end().ok());
  EXPECT_EQ(reader.peek_kind(), CborKind::end);
  EXPECT_TRUE(cbor_check(input).ok());
}

TEST(CborReader, FirstErrorStaysAndNamesItsPlace) {
  const Bytes input = hex("8301186102");
  CborReader reader(input);
  uint64_t value = 0;
  EXPECT_TRUE(reader.get_array(value));
  EXPECT_TRUE(reader.get_uint(value));
  std::string_view text;
  EXPECT_FALSE(reader.get_text(text));
  EXPECT_TRUE(reader.failed());
  EXPECT_FALSE(reader.get_uint(value)) << "everything fails from then on";
  EXPECT_EQ(reader.peek_kind(), CborKind::end);
  const auto again = reader.read_uint();
  EXPECT_EQ(again.code(), Code::malformed);
  EXPECT_NE(again.error().detail.find("byte 2"), std::string::npos) << again.error().detail;
  EXPECT_FALSE(reader.expect_end().ok());
}

TEST(CborReader, WrongKinds) {
  const auto fails = [](std::string_view input, auto read) {
    const Bytes bytes = hex(input);
    CborReader reader(bytes);
    return read(reader) == Code::malformed;
  };
  EXPECT_TRUE(fails("20", [](CborReader& r) { return r.read_uint().code(); }));
  EXPECT_TRUE(fails("40", [](CborReader& r) { return r.read_int().code(); }));
  EXPECT_TRUE(fails("60", [](CborReader& r) { return r.read_bytes().code(); }));
  EXPECT_TRUE(fails("40", [](CborReader& r) { return r.read_text().code(); }));
  EXPECT_TRUE(fails("a0", [](CborReader& r) { return r.read_array().code(); }));
  EXPECT_TRUE(fails("80", [](CborReader& r) { return r.read_map().code(); }));
  EXPECT_TRUE(fails("f6", [](CborReader& r) { return r.read_bool().code(); }));
  EXPECT_TRUE(fails("f4", [](CborReader& r) { return r.read_null().code(); }));
  EXPECT_TRUE(fails("1b8000000000000000", [](CborReader& r) { return r.read_int().code(); }));
  EXPECT_TRUE(fails("3b8000000000000000", [](CborReader& r) { return r.read_int().code(); }));
  EXPECT_TRUE(fails("4201", [](CborReader& r) { return r.read_bytes().code(); }));
  EXPECT_TRUE(fails("61ff", [](CborReader& r) { return r.read_text().code(); }));
  const Bytes fixed = hex("43010203");
  CborReader reader(fixed);
  std::array<uint8_t, 4> four{};
  EXPECT_FALSE(reader.get_fixed(four));
}

TEST(CborReader, RefusesEverythingOutsideTheProfile) {
  for (const char* bad : {
           "",  // nothing
           "1800",
           "1817",  // not the shortest
           "190000",
           "1900ff",  //
           "1a00000000",
           "1a0000ffff",
           "1b0000000000000000",
           "1b00000000ffffffff",
           "3817",
           "5800",
           "7801"
           "61",
           "9800",
           "b800",
           "9900ff",
           "18",
           "19ff",
           "1affffff",
           "1bffffffffffffff",  // ends inside a head
           "1c",
           "1d",
           "1e",
           "1f",
           "3c",
           "5c",
           "7d",
           "9e",
           "bc",
           "dc",
           "fc",
           "fd",
           "fe",  // reserved
           "5f4100ff",
           "7f6161ff",
           "9fff",
           "bfff",
           "ff",  // indefinite
           "41",
           "4201",
           "61",
           "6261",
           "5affffffff00",
           "5bffffffffffffffff00",
           "7bffffffffffffffff61",  // too long
           "81",
           "8200",
           "a1",
           "a100",
           "9affffffff00",
           "9bffffffffffffffff00",
           "bb800000000000000000",  // too many
           "bbffffffffffffffff00",
           "a20000",
           "c000",
           "d82000",
           "c249010000000000000000",  // tags
           "e0",
           "f0",
           "f3",
           "f7",
           "f800",
           "f818",
           "f8ff",  // simple values
           "f90000",
           "fa47c35000",
           "fb3ff199999999999a",  // floats
           "3bffffffffffffffff",
           "3b8000000000000000",  // below -2^63
           "a200000000",
           "a201000000",
           "a2616100616100",  // keys twice or out of order
           "a2616200616100",
           "a261610000"
           "00",
           "a24101000100",
           "a2620000"
           "0061"
           "6100",
           "a18000",
           "a1a000",
           "a1f400",
           "a1f600",  // keys that are no integer or string
           "61ff",
           "62c080",
           "63eda080",
           "64f4908080",
           "61c3",
           "63e0809f",
           "64f0808080",
           "65f888808080",  // UTF-8
           "0000",
           "8000",
           "f6f6",  // more than one
       }) {
    const Status status = cbor_check(hex(bad));
    EXPECT_EQ(status.code(), Code::malformed) << bad;
  }
}

TEST(CborReader, KeyOrderIsThatOfTheEncodedBytes) {
  // 10, 100, -1, "z", "aa", and byte strings between integers and text: RFC 8949 section 4.2.1.
  EXPECT_TRUE(cbor_check(hex("a60a00186400200041aa00617a0062616100")).ok());
  EXPECT_FALSE(cbor_check(hex("a2200000"
                              "00"))
                   .ok());  // -1 before 0
  EXPECT_FALSE(cbor_check(hex("a26261610061"
                              "7a00"))
                   .ok());  // "aa" before "z"
}

TEST(CborReader, DepthIsBounded) {
  for (const uint8_t open : {uint8_t{0x81}, uint8_t{0xa1}}) {
    const auto nested = [&](size_t depth) {
      Bytes input;
      for (size_t i = 0; i < depth; ++i) {
        input.push_back(open);
        if (open == 0xa1) input.push_back(0);
      }
      input.push_back(0x00);
      return cbor_check(input);
    };
    EXPECT_TRUE(nested(kCborDepthMax).ok());
    EXPECT_EQ(nested(kCborDepthMax + 1).code(), Code::malformed);
    EXPECT_EQ(nested(100'000).code(), Code::malformed);
  }
  // An empty container counts as one.
  Bytes input(kCborDepthMax, 0x81);
  input.push_back(0x80);
  EXPECT_FALSE(cbor_check(input).ok());
  // Wide is not deep.
  Bytes wide = hex("9a000186a0");
  wide.insert(wide.end(), 100'000, 0x80);
  EXPECT_TRUE(cbor_check(wide).ok());
}

TEST(CborUintMap, WalksInOrder) {
  const Bytes input = hex("a301020341ff1819f6");
  CborReader reader(input);
  CborUintMap map(reader);
  uint64_t key = 0;
  uint64_t value = 0;
  ByteView bytes;
  ASSERT_TRUE(map.next(key));
  EXPECT_EQ(key, 1u);
  EXPECT_TRUE(reader.get_uint(value));
  EXPECT_FALSE(CborReader(reader).failed());
  ASSERT_TRUE(map.next(key));
  EXPECT_EQ(key, 3u);
  EXPECT_TRUE(reader.get_bytes(bytes));
  ASSERT_TRUE(map.next(key));
  EXPECT_EQ(key, 25u);
  EXPECT_TRUE(reader.get_null());
  EXPECT_FALSE(map.next(key));
  EXPECT_TRUE(map.finish().ok());
  EXPECT_TRUE(reader.expect_end().ok());
}

TEST(CborUintMap, RefusesDisorderAndUnfinishedMaps) {
  for (const char* bad : {"a202000100", "a201000100",
                          "a2200021"
                          "00",
                          "a1616100"}) {
    const Bytes input = hex(bad);
    CborReader reader(input);
    CborUintMap map(reader);
    for (uint64_t key = 0; map.next(key);) (void)reader.skip().ok();
    EXPECT_EQ(map.finish().code(), Code::malformed) << bad;
  }
  const Bytes input = hex("a201000200");
  CborReader reader(input);
  CborUintMap map(reader);
  uint64_t key = 0;
  EXPECT_TRUE(map.next(key));
  EXPECT_TRUE(reader.skip().ok());
  EXPECT_EQ(map.finish().code(), Code::malformed);
}

// Random values survive; every single-byte change of an encoding is refused or decodes to a value with that encoding.
class RandomValue {
 public:
  explicit RandomValue(uint64_t seed) : random_(seed) {}

  void write(CborWriter& w, size_t depth) {
    switch (random_.below(depth < 5 ? 9 : 7)) {
      case 0:
        return w.uint(random_.next_u64() >> random_.below(64));
      case 1:
        return w.integer(static_cast<int64_t>(random_.next_u64()) >> random_.below(63));
      case 2:
        return w.bytes(Bytes(random_.below(40), 0xab));
      case 3:
        return w.text(std::string(random_.below(40), 'x') + "\xc3\xa9");
      case 4:
        return w.boolean(true);
      case 5:
        return w.boolean(false);
      case 6:
        return w.null();
      case 7: {
        const size_t count = random_.below(5);
        w.array(count);
        for (size_t i = 0; i < count; ++i) write(w, depth + 1);
        return;
      }
      default: {
        const size_t count = random_.below(5);
        w.map(count);
        for (size_t i = 0; i < count; ++i) {
          if (i < 3) {
            w.uint(i * 100);
          } else {
            w.text("key" + std::to_string(i));
          }
          write(w, depth + 1);
        }
      }
    }
  }

 private:
  test::TestRandom random_;
};

// Writes again what a reader reads.
void copy_item(CborReader& reader, CborWriter& writer) {
  switch (reader.peek_kind()) {
    case CborKind::uint:
      return writer.uint(*reader.read_uint());
    case CborKind::negative:
      return writer.integer(*reader.read_int());
    case CborKind::bytes:
      return writer.bytes(*reader.read_bytes());
    case CborKind::text:
      return writer.text(*reader.read_text());
    case CborKind::boolean:
      return writer.boolean(*reader.read_bool());
    case CborKind::null:
      ASSERT_TRUE(reader.read_null().ok());
      return writer.null();
    case CborKind::array: {
      const uint64_t count = *reader.read_array();
      writer.array(count);
      for (uint64_t i = 0; i < count; ++i) copy_item(reader, writer);
      return;
    }
    case CborKind::map: {
      const uint64_t count = *reader.read_map();
      writer.map(count);
      for (uint64_t i = 0; i < 2 * count; ++i) copy_item(reader, writer);
      return;
    }
    default:
      FAIL() << "not an item";
  }
}

TEST(Cbor, OneValueOneEncoding) {
  size_t changed_and_valid = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Bytes original;
    CborWriter writer(original);
    RandomValue(seed).write(writer, 0);
    writer.finish();
    ASSERT_TRUE(cbor_check(original).ok()) << to_hex(original);
    for (size_t at = 0; at < original.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes changed = original;
        changed[at] ^= static_cast<uint8_t>(1 << bit);
        if (!cbor_check(changed).ok()) continue;
        ++changed_and_valid;
        Bytes copied;
        CborReader reader(changed);
        CborWriter copier(copied);
        copy_item(reader, copier);
        ASSERT_EQ(to_hex(copied), to_hex(changed));
      }
    }
    for (size_t size = 0; size < original.size(); ++size) {
      ASSERT_FALSE(cbor_check(ByteView(original).first(size)).ok()) << "truncated to " << size;
    }
  }
  EXPECT_GT(changed_and_valid, 1000u);
}

// The shape of an entry body (docs/formats/entry.md): how fast it parses. A figure, not a limit, except for a very
// slow machine's sanitizer build: the goal of 400k verified entries a second leaves 2.5 us for everything.
TEST(Cbor, SpeedOfAnEntry) {
  Bytes entry;
  CborWriter w(entry);
  w.array(10);
  w.uint(1);
  w.bytes(Bytes(16, 1));
  w.bytes(Bytes(32, 2));
  w.bytes(Bytes(32, 3));
  w.uint(123456);
  w.uint(1'700'000'000'000);
  w.uint(0);
  w.uint(0);
  w.null();
  w.array(1);
  w.array(4);
  w.uint(1);
  w.bytes(Bytes(20, 4));
  w.bytes(Bytes(100, 5));
  w.array(1);
  w.bytes(Bytes(32, 6));
  w.finish();
  const auto begin = std::chrono::steady_clock::now();
  constexpr int kRounds = 200'000;
  uint64_t sum = 0;
  for (int i = 0; i < kRounds; ++i) {
    CborReader r(entry);
    uint64_t count = 0;
    uint64_t number = 0;
    std::array<uint8_t, 16> store{};
    std::array<uint8_t, 32> key{};
    ByteView bytes;
    r.get_array(count);
    r.get_uint(number);
    r.get_fixed(store);
    r.get_fixed(key);
    r.get_fixed(key);
    for (int n = 0; n < 4; ++n) r.get_uint(number);
    r.get_null();
    r.get_array(count);
    r.get_array(count);
    r.get_uint(number);
    r.get_bytes(bytes);
    r.get_bytes(bytes);
    r.get_array(count);
    r.get_fixed(key);
    sum += bytes.size() + key[3];
    ASSERT_TRUE(!r.failed() && r.at_end());
  }
  const double get_ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
  const auto begin_skip = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) ASSERT_TRUE(cbor_check(entry).ok());
  const double skip_ns =
      std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin_skip).count();
  std::printf("an entry of %zu bytes: parsed in %.0f ns, checked in %.0f ns (%llu)\n", entry.size(), get_ns / kRounds,
              skip_ns / kRounds, static_cast<unsigned long long>(sum));
  EXPECT_LT(get_ns / kRounds, 20'000);
}

}  // namespace
}  // namespace sereus::codec
