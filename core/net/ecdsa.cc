#include "core/net/ecdsa.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ecc.h>

#include <algorithm>

#include "core/net/der.h"

namespace sereus::net {
namespace {

constexpr uint8_t kUncompressed = 0x04;

// Half of secp256k1's group order, rounded down (SEC 2 section 2.4.1 has the order): BIP 62's largest s.
constexpr std::array<uint8_t, 32> kSecp256k1HalfOrder = {
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

int wolfssl_curve(EcCurve curve) {
  switch (curve) {
    case EcCurve::p256:
      return ECC_SECP256R1;
    case EcCurve::p384:
      return ECC_SECP384R1;
    case EcCurve::secp256k1:
      return ECC_SECP256K1;
  }
  return ECC_CURVE_INVALID;
}

size_t coordinate_size(EcCurve curve) { return curve == EcCurve::p384 ? 48 : 32; }

bool has_right_form(EcCurve curve, ByteView point) {
  if (curve == EcCurve::secp256k1) return point.size() == 33 && (point[0] == 0x02 || point[0] == 0x03);
  return point.size() == 1 + 2 * coordinate_size(curve) && point[0] == kUncompressed;
}

class Key {
 public:
  Key(EcCurve curve, ByteView point) {
    if (wc_ecc_init(&key_) != 0) return;
    ready_ = true;
    imported_ =
        wc_ecc_import_x963_ex(point.data(), static_cast<word32>(point.size()), &key_, wolfssl_curve(curve)) == 0;
  }
  ~Key() {
    if (ready_) wc_ecc_free(&key_);
  }
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  bool imported() const { return imported_; }
  ecc_key* get() { return &key_; }

 private:
  ecc_key key_{};
  bool ready_ = false;
  bool imported_ = false;
};

// wolfCrypt's own reading of signatures takes more than the shortest form.
bool signature_form_valid(EcCurve curve, ByteView signature) {
  der::Reader outer(signature);
  const auto sequence = outer.next(der::kSequence);
  if (!sequence || !outer.empty()) return false;
  der::Reader numbers(sequence->content);
  const auto r = der::next_positive(numbers);
  const auto s = der::next_positive(numbers);
  if (!r || !s || !numbers.empty()) return false;
  if (r->size() > coordinate_size(curve) || s->size() > coordinate_size(curve)) return false;
  if (curve != EcCurve::secp256k1) return true;
  return s->size() < kSecp256k1HalfOrder.size() || compare(*s, kSecp256k1HalfOrder) <= 0;
}

}  // namespace

bool ec_point_valid(EcCurve curve, ByteView point) {
  if (!has_right_form(curve, point)) return false;
  Key key(curve, point);
  return key.imported() && wc_ecc_check_key(key.get()) == 0;
}

bool ecdsa_verify(EcCurve curve, ByteView point, ByteView digest, ByteView signature) {
  if (!has_right_form(curve, point) || !signature_form_valid(curve, signature)) return false;
  Key key(curve, point);
  if (!key.imported()) return false;
  int valid = 0;
  const int rc = wc_ecc_verify_hash(signature.data(), static_cast<word32>(signature.size()), digest.data(),
                                    static_cast<word32>(digest.size()), &valid, key.get());
  return rc == 0 && valid == 1;
}

}  // namespace sereus::net
