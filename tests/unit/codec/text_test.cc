// varint, multibase, UTF-8.
#include <gtest/gtest.h>

#include "core/codec/multibase.h"
#include "core/codec/utf8.h"
#include "core/codec/varint.h"
#include "tests/support/test_random.h"

namespace sereus::codec {
namespace {

TEST(Varint, KnownValues) {
  const std::pair<uint64_t, const char*> known[] = {
      {0, "00"},
      {1, "01"},
      {127, "7f"},
      {128, "8001"},
      {255, "ff01"},
      {300, "ac02"},
      {16384, "808001"},
      {INT64_MAX, "ffffffffffffffff7f"},
      {UINT64_MAX, "ffffffffffffffffff01"},
  };
  for (const auto& [value, hex] : known) {
    Bytes out;
    varint_append(out, value);
    EXPECT_EQ(to_hex(out), hex);
    EXPECT_EQ(varint_size(value), out.size());
    out.push_back(0xee);
    ByteView in(out);
    EXPECT_EQ(varint_read(in), value);
    EXPECT_EQ(in.size(), 1u) << "took exactly the varint";
  }
}

TEST(Varint, EveryLengthRoundTrips) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit}) {
      Bytes out;
      varint_append(out, value);
      ByteView in(out);
      EXPECT_EQ(varint_read(in), value);
      for (size_t size = 0; size < out.size(); ++size) {
        uint64_t ignored = 0;
        size_t used = 0;
        EXPECT_EQ(varint_parse(ByteView(out).first(size), ignored, used), VarintState::need_more);
      }
    }
  }
}

TEST(Varint, RefusesLongAndLargeOnes) {
  for (const char* bad : {"8000", "808000", "ff00", "ffffffffffffffffff02", "ffffffffffffffffff7f",
                          "80808080808080808080", "8080808080808080808001", "ffffffffffffffffffff01"}) {
    const Bytes bytes = from_hex(bad).value();
    ByteView in(bytes);
    EXPECT_FALSE(varint_read(in).has_value()) << bad;
    EXPECT_EQ(in.size(), bytes.size()) << "untouched";
    uint64_t value = 7;
    size_t used = 7;
    EXPECT_EQ(varint_parse(bytes, value, used), VarintState::bad) << bad;
    EXPECT_EQ(value, 7u);
    EXPECT_EQ(used, 7u);
  }
  ByteView empty;
  EXPECT_FALSE(varint_read(empty).has_value());
}

// draft-msporny-base58-03 section 5, Bitcoin's own tests, and a libp2p peer id.
TEST(Base58, KnownVectors) {
  const std::pair<Bytes, const char*> known[] = {
      {to_bytes("Hello World!"), "2NEpo7TZRRrLZSi2U"},
      {to_bytes("The quick brown fox jumps over the lazy dog."),
       "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"},
      {from_hex("0000287fb4cd").value(), "11233QC4"},
      {from_hex("").value(), ""},
      {from_hex("61").value(), "2g"},
      {from_hex("626262").value(), "a3gV"},
      {from_hex("516b6fcd0f").value(), "ABnLTmg"},
      {from_hex("bf4f89001e670274dd").value(), "3SEo3LWLoPntC"},
      {from_hex("572e4794").value(), "3EFU7m"},
      {from_hex("ecac89cad93923c02321").value(), "EJDM8drfXA6uyA"},
      {from_hex("10c8511e").value(), "Rt5zm"},
      {from_hex("00000000000000000000").value(), "1111111111"},
      {from_hex("00eb15231dfceb60925886b67d065299925915aeb172c06647").value(), "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"},
  };
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(base58btc_encode(bytes), text);
    EXPECT_EQ(base58btc_decode(text), bytes);
  }
}

// Of every length that a word of four bytes or a limb of five digits can end in, with digits that are zero inside.
TEST(Base58, AllLengthsComeBack) {
  for (size_t size = 0; size <= 70; ++size) {
    for (const uint8_t fill : {0x00, 0x01, 0x3a, 0x80, 0xff}) {
      Bytes bytes(size, fill);
      EXPECT_EQ(base58btc_decode(base58btc_encode(bytes)), bytes) << size << " of " << int{fill};
      for (size_t at = 0; at < size; at += 3) bytes[at] = static_cast<uint8_t>(at * 37 + size);
      EXPECT_EQ(base58btc_decode(base58btc_encode(bytes)), bytes) << size << " of " << int{fill};
      if (size > 0) bytes[0] = 0;
      EXPECT_EQ(base58btc_decode(base58btc_encode(bytes)), bytes) << size << " of " << int{fill};
    }
  }
  // Powers of 58: the digits below are all zero.
  EXPECT_EQ(base58btc_encode(from_hex("271f35a0").value()), "211111");
  EXPECT_EQ(base58btc_encode(from_hex("05fa8624c7fba400").value()), "21111111111");
}

TEST(Base58, RefusesBadText) {
  for (const char* bad : {"0", "O", "I", "l", "a b", "2g ", "2g=", "\xc3\xa9", "2g\n"}) {
    EXPECT_FALSE(base58btc_decode(bad).has_value()) << bad;
  }
  EXPECT_FALSE(base58btc_decode(std::string(kBase58TextMax + 1, '1')).has_value());
  EXPECT_FALSE(base58btc_decode(std::string(kBase58BytesMax + 1, '1')).has_value());
  EXPECT_TRUE(base58btc_decode(std::string(kBase58BytesMax, '1')).has_value());
  const Bytes largest(kBase58BytesMax, 0xff);
  EXPECT_EQ(base58btc_decode(base58btc_encode(largest)), largest);
}

// RFC 4648 section 10, lower case and without padding.
TEST(Base32, Rfc4648Vectors) {
  const std::pair<const char*, const char*> known[] = {
      {"", ""},
      {"f", "my"},
      {"fo", "mzxq"},
      {"foo", "mzxw6"},
      {"foob", "mzxw6yq"},
      {"fooba", "mzxw6ytb"},
      {"foobar", "mzxw6ytboi"},
  };
  for (const auto& [plain, text] : known) {
    EXPECT_EQ(base32_encode(as_bytes(plain)), text);
    EXPECT_EQ(base32_decode(text), to_bytes(plain));
  }
  for (const char* bad :
       {"m", "mzx", "mzxw6y", "MY", "my======", "m1", "m0", "m8", "mz", "mzxr", "mzxw7", "my ", "m-"}) {
    EXPECT_FALSE(base32_decode(bad).has_value()) << bad;
  }
}

TEST(Base64Url, Rfc4648Vectors) {
  const std::pair<const char*, const char*> known[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "-__-"},
  };
  for (const auto& [plain, text] : known) {
    EXPECT_EQ(base64url_encode(as_bytes(plain)), text);
    EXPECT_EQ(base64url_decode(text), to_bytes(plain));
  }
  for (const char* bad : {"Z", "Zg==", "Zh", "Zm9", "Zm9vY", "+/", "Zg ", "Zg\n", "Z.", "\xff\xff"}) {
    EXPECT_FALSE(base64url_decode(bad).has_value()) << bad;
  }
  EXPECT_FALSE(base64url_decode(std::string(kBaseTextMax + 4, 'A')).has_value());
}

TEST(Multibase, RoundTripsOfAllBasesAndLengths) {
  test::TestRandom random(3);
  for (size_t size = 0; size < 70; ++size) {
    Bytes bytes(size);
    random.fill(bytes);
    if (size > 2) bytes[0] = 0;
    for (const auto base : {Multibase::base16, Multibase::base32, Multibase::base58btc, Multibase::base64url}) {
      const std::string text = multibase_encode(base, bytes);
      EXPECT_EQ(text[0], static_cast<char>(base));
      EXPECT_EQ(multibase_decode(text), bytes);
    }
  }
}

TEST(Multibase, RefusesOtherPrefixes) {
  for (const char* bad : {"", "x00", "F00", "fAB", "B0", "Zabc", "m", "0", "f0", "z0"}) {
    EXPECT_FALSE(multibase_decode(bad).has_value()) << bad;
  }
  EXPECT_EQ(multibase_decode("f"), Bytes());
}

// Strict means: no second text for the same bytes.
TEST(Multibase, ChangedTextIsRefusedOrOtherBytes) {
  const Bytes bytes = from_hex("00ff10ab").value();
  for (const auto base : {Multibase::base16, Multibase::base32, Multibase::base58btc, Multibase::base64url}) {
    const std::string text = multibase_encode(base, bytes);
    for (size_t at = 1; at < text.size(); ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string changed = text;
        changed[at] = static_cast<char>(c);
        if (changed == text) continue;
        const auto decoded = multibase_decode(changed);
        EXPECT_TRUE(!decoded || *decoded != bytes) << changed;
      }
    }
  }
}

TEST(Utf8, AcceptsAndRefuses) {
  for (const char* good : {"", "plain ascii, longer than eight", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
                           "aaaaaaa\xc3\xa9"
                           "b"}) {
    EXPECT_TRUE(valid_utf8(as_bytes(good))) << good;
  }
  for (const char* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0",
                          "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                          "\xf8\x88\x80\x80\x80", "\xff", "\xfe", "12345678\x80", "1234567\xc3", "\xf0\x9f\x98"}) {
    EXPECT_FALSE(valid_utf8(as_bytes(bad))) << to_hex(as_bytes(bad));
  }
  EXPECT_TRUE(valid_utf8(Bytes{0, 0, 0}));
}

}  // namespace
}  // namespace sereus::codec
