#include "core/crypto/ed25519_field.h"

namespace sereus::crypto::ed25519 {
namespace {

uint64_t load64(const uint8_t* bytes) {
  uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return value;
}

void store64(uint8_t* out, uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

FieldElement square_times(const FieldElement& a, unsigned times) {
  FieldElement value = a;
  for (unsigned i = 0; i < times; ++i) value = square(value);
  return value;
}

// a^(2^250 - 1), and a^11 beside it. The exponent 2^n - 1 doubles its length by (2^n - 1) 2^n + (2^n - 1).
struct Power250 {
  FieldElement ones250, a11;
};

Power250 power_250(const FieldElement& a) {
  const FieldElement a2 = square(a);
  const FieldElement a9 = multiply(square_times(a2, 2), a);
  const FieldElement a11 = multiply(a9, a2);
  const FieldElement ones5 = multiply(square(a11), a9);  // 22 + 9 = 31
  const FieldElement ones10 = multiply(square_times(ones5, 5), ones5);
  const FieldElement ones20 = multiply(square_times(ones10, 10), ones10);
  const FieldElement ones40 = multiply(square_times(ones20, 20), ones20);
  const FieldElement ones50 = multiply(square_times(ones40, 10), ones10);
  const FieldElement ones100 = multiply(square_times(ones50, 50), ones50);
  const FieldElement ones200 = multiply(square_times(ones100, 100), ones100);
  return {multiply(square_times(ones200, 50), ones50), a11};
}

// One pass of carries: limbs of a loose element become tight.
FieldElement carry(const FieldElement& a) {
  FieldElement out;
  uint64_t over = 0;
  for (size_t i = 0; i < 5; ++i) {
    const uint64_t value = a.limb[i] + over;
    out.limb[i] = value & kLimbMask;
    over = value >> 51;
  }
  out.limb[0] += 19 * over;
  return out;
}

}  // namespace

FieldElement from_bytes(const uint8_t* bytes) {
  const uint64_t w0 = load64(bytes), w1 = load64(bytes + 8), w2 = load64(bytes + 16), w3 = load64(bytes + 24);
  return {{w0 & kLimbMask, ((w0 >> 51) | (w1 << 13)) & kLimbMask, ((w1 >> 38) | (w2 << 26)) & kLimbMask,
           ((w2 >> 25) | (w3 << 39)) & kLimbMask, (w3 >> 12) & kLimbMask}};
}

void to_bytes(uint8_t* out, const FieldElement& a) {
  FieldElement t = carry(carry(a));  // now below 2^255 + 2^51, so at most one p too many
  uint64_t over = 19;                // t >= p exactly when t + 19 reaches 2^255
  for (size_t i = 0; i < 5; ++i) over = (t.limb[i] + over) >> 51;
  over *= 19;
  for (size_t i = 0; i < 5; ++i) {
    const uint64_t value = t.limb[i] + over;
    t.limb[i] = value & kLimbMask;
    over = value >> 51;
  }
  store64(out, t.limb[0] | (t.limb[1] << 51));
  store64(out + 8, (t.limb[1] >> 13) | (t.limb[2] << 38));
  store64(out + 16, (t.limb[2] >> 26) | (t.limb[3] << 25));
  store64(out + 24, (t.limb[3] >> 39) | (t.limb[4] << 12));
}

bool is_zero(const FieldElement& a) {
  std::array<uint8_t, 32> bytes;
  to_bytes(bytes.data(), a);
  uint8_t any = 0;
  for (uint8_t byte : bytes) any = static_cast<uint8_t>(any | byte);
  return any == 0;
}

bool is_odd(const FieldElement& a) {
  std::array<uint8_t, 32> bytes;
  to_bytes(bytes.data(), a);
  return (bytes[0] & 1) != 0;
}

// p - 2 = 2^255 - 21 = (2^250 - 1) 32 + 11.
FieldElement invert(const FieldElement& a) {
  const Power250 power = power_250(a);
  return multiply(square_times(power.ones250, 5), power.a11);
}

// (p - 5)/8 = 2^252 - 3 = (2^250 - 1) 4 + 1.
FieldElement power_p58(const FieldElement& a) { return multiply(square_times(power_250(a).ones250, 2), a); }

}  // namespace sereus::crypto::ed25519
