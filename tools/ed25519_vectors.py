#!/usr/bin/env python3
"""Writes vectors/ed25519_zip215.json: Ed25519 signatures with their outcome under ZIP 215.

Plain integers and the textbook formulas of RFC 8032, sharing nothing with core/crypto, so that the two can disagree.
Deterministic: every "random" number is a hash of a label. Usage: python3 tools/ed25519_vectors.py > vectors/ed25519_zip215.json
"""

import hashlib
import json

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
ZERO = (0, 1)


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P)


def mul(n, p):
    out = ZERO
    while n:
        if n & 1:
            out = add(out, p)
        p = add(p, p)
        n >>= 1
    return out


def neg(p):
    return (-p[0] % P, p[1])


def find_x(y, sign):
    """x for a y modulo P and a sign bit, with minus zero allowed; None when there is none."""
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * SQRT_M1 % P
    if v * x * x % P != u:
        return None
    return -x % P if x & 1 != sign else x


def decode(data):
    n = int.from_bytes(data, "little")
    y = (n & (2**255 - 1)) % P
    x = find_x(y, n >> 255)
    return None if x is None else (x, y)


def encode(p):
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def sha_int(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def number(label):
    return sha_int(b"sereus vectors " + label.encode()) % L


B = (find_x(4 * pow(5, -1, P) % P, 0), 4 * pow(5, -1, P) % P)
_point = next(q for q in (decode(y.to_bytes(32, "little")) for y in range(2, 99)) if q and mul(4 * L, q) != ZERO)
T = [mul(i, mul(L, _point)) for i in range(8)]  # T[1] has order 8
assert T[4] == (0, P - 1) and len(set(T)) == 8 and mul(L, B) == ZERO


def outcomes(public_key, message, signature):
    """(valid under ZIP 215, the same equation without the cofactor)"""
    a, r = decode(public_key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False, False
    k = sha_int(signature[:32], public_key, message) % L
    error = add(add(mul(s, B), neg(r)), neg(mul(k, a)))
    return mul(8, error) == ZERO, error == ZERO


VECTORS = []


def emit(group, name, public_key, message, signature, expect=None):
    valid, cofactorless = outcomes(public_key, message, signature)
    assert expect is None or valid == expect, name
    VECTORS.append(
        {
            "group": group,
            "name": name,
            "public_key": public_key.hex(),
            "message": message.hex(),
            "signature": signature.hex(),
            "valid": valid,
            "cofactorless": cofactorless,
        }
    )


def scalar(s):
    return s.to_bytes(32, "little")


def rfc8032():
    # RFC 8032 section 7.1, tests 1, 2, 3 and SHA(abc): secret key, message, signature.
    for name, secret, message, signature in [
        (
            "1",
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "2",
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "3",
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "SHA(abc)",
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            hashlib.sha512(b"abc").hexdigest(),
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ]:
        h = hashlib.sha512(bytes.fromhex(secret)).digest()
        a = int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254
        emit(
            "rfc8032",
            "RFC 8032 test " + name,
            encode(mul(a, B)),
            bytes.fromhex(message),
            bytes.fromhex(signature),
            True,
        )


def small_order_encodings():
    """The 14 encodings of the eight points of small order: canonical, y >= P, and minus zero."""
    found = []
    for y in [p[1] for p in T]:
        for n in (y, y + P):
            for sign in (0, 1):
                if n < 2**255:
                    found.append((n | sign << 255).to_bytes(32, "little"))
    return sorted(set(found))


def small_order():
    encodings = small_order_encodings()
    assert len(encodings) == 14
    for i, a in enumerate(encodings):
        for j, r in enumerate(encodings):
            emit("small-order", f"A {i}, R {j}", a, b"Zcash", r + scalar(0), True)


def torsion():
    """A = aB + T[i], R = rB + T[j]: valid for all 64, though most fail without the cofactor."""
    a, message = number("torsion a"), b"torsion"
    for i in range(8):
        for j in range(8):
            r = number(f"torsion r {i} {j}")
            public_key, r_bytes = encode(add(mul(a, B), T[i])), encode(add(mul(r, B), T[j]))
            s = (r + sha_int(r_bytes, public_key, message) * a) % L
            emit("torsion", f"A + T{i}, R + T{j}", public_key, message, r_bytes + scalar(s), True)
            if i == j:
                emit("torsion", f"A + T{i}, R + T{j}, S + 1", public_key, message, r_bytes + scalar((s + 1) % L), False)


def not_canonical_s():
    a, r, message = number("s a"), number("s r"), b"range of S"
    public_key, r_bytes = encode(mul(a, B)), encode(mul(r, B))
    s = (r + sha_int(r_bytes, public_key, message) * a) % L
    for multiple in range(16):
        if s + multiple * L < 2**256:
            emit(
                "range-of-s",
                f"S + {multiple} L",
                public_key,
                message,
                r_bytes + scalar(s + multiple * L),
                multiple == 0,
            )
    for name, value in [
        ("L", L),
        ("L - 1", L - 1),
        ("L + 1", L + 1),
        ("2^252", 2**252),
        ("2^255 - 1", 2**255 - 1),
        ("2^256 - 1", 2**256 - 1),
    ]:
        for r_name, r_point in [("0", ZERO), ("SB", mul(value % L, B))]:
            emit(
                "range-of-s", f"A = 0, R = {r_name}, S = {name}", encode(ZERO), message, encode(r_point) + scalar(value)
            )
    emit("range-of-s", "A = 0, R = 0, S = 0", encode(ZERO), message, encode(ZERO) + scalar(0), True)


def not_points():
    good = encode(mul(number("points a"), B))
    for y in [2, 7, 11, P + 2, P + 7, P + 11, 2**255 - 1]:
        for sign in (0, 1):
            bad = (y | sign << 255).to_bytes(32, "little")
            on_curve = decode(bad) is not None
            emit("not-points", f"A has y = {y % P}, on curve: {on_curve}", bad, b"", good + scalar(0), False)
            emit("not-points", f"R has y = {y % P}, on curve: {on_curve}", encode(T[1]), b"", bad + scalar(0), False)


def search(make):
    """The first message for which make(message) gives a case."""
    for i in range(100000):
        message = hashlib.sha256(b"sereus chalkias %d" % i).digest()
        case = make(message)
        if case is not None:
            return message, case
    raise AssertionError("no case")


def chalkias():
    """The twelve kinds of Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs" (SSR 2020), table 6: reconstructed from
    the properties stated there, with points and messages of our own."""
    a, r, t8 = number("chalkias a"), number("chalkias r"), T[1]
    mixed_a, mixed_r, small = encode(add(mul(a, B), t8)), encode(add(mul(r, B), t8)), encode(t8)
    minus_zero_order4 = P.to_bytes(32, "little")  # y = P, that is 0: a point of order 4
    minus_one = (P - 1 | 1 << 255).to_bytes(32, "little")  # y = -1 and x = "-0": the point of order 2

    def case(public_key, r_bytes, wants_cofactorless, secret_a, secret_r, hashed_a=None, hashed_r=None, also=None):
        def make(message):
            k = sha_int(hashed_r or r_bytes, hashed_a or public_key, message) % L
            signature = r_bytes + scalar((secret_r + k * secret_a) % L)
            error = add(
                add(mul((secret_r + k * secret_a) % L, B), neg(decode(r_bytes))), neg(mul(k, decode(public_key)))
            )
            if (error == ZERO) != wants_cofactorless or (also and not also(k)):
                return None
            return public_key, signature

        return search(make)

    def put(index, name, found, expect):
        message, (public_key, signature) = found
        emit("chalkias", f"{index}: {name}", public_key, message, signature, expect)

    put(0, "S = 0, A and R of small order", case(small, small, True, 0, 0), True)
    put(1, "A of small order, R mixed", case(small, mixed_r, True, 0, r), True)
    put(2, "A mixed, R of small order", case(mixed_a, small, True, a, 0), True)
    put(3, "A and R mixed, holds without the cofactor too", case(mixed_a, mixed_r, True, a, r), True)
    put(4, "A and R mixed, holds with the cofactor only", case(mixed_a, mixed_r, False, a, r), True)
    put(
        5,
        "A mixed, R of order L, fails if 8k is reduced modulo L before multiplying A",
        case(mixed_a, encode(mul(r, B)), False, a, r, also=lambda k: (8 * k % L) % 8 != 0),
        True,
    )
    pure = case(encode(mul(a, B)), encode(mul(r, B)), True, a, r)
    for index, name, multiple in [(6, "S + L", 1), (7, "S + 14 L, above 2^255", 14)]:
        message, (public_key, signature) = pure
        s = int.from_bytes(signature[32:], "little") + multiple * L
        put(index, name, (message, (public_key, signature[:32] + scalar(s))), False)
    put(
        8,
        "A mixed, R of small order and not canonical, k over the canonical R",
        case(mixed_a, minus_zero_order4, True, a, 0, hashed_r=encode(decode(minus_zero_order4))),
        False,
    )
    put(
        9,
        "A mixed, R of small order and not canonical, k over R as sent",
        case(mixed_a, minus_zero_order4, True, a, 0),
        True,
    )
    put(
        10,
        "A of small order and not canonical, R mixed, k over the canonical A",
        case(minus_one, encode(add(mul(r, B), T[4])), True, 0, r, hashed_a=encode(decode(minus_one))),
        True,
    )
    put(
        11,
        "A of small order and not canonical, R mixed, k over A as sent",
        case(minus_one, encode(add(mul(r, B), T[4])), True, 0, r),
        True,
    )


def main():
    for group in (rfc8032, small_order, torsion, not_canonical_s, not_points, chalkias):
        group()
    print("[")
    print(",\n".join(json.dumps(v) for v in VECTORS))
    print("]")


if __name__ == "__main__":
    main()
