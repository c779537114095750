#!/usr/bin/env python3
"""Writes vectors/cbor.json, identity.json, certificates.json and keystore.json.

A second implementation of the formats in docs/formats/, written from the pages and sharing no code with the engine:
its own CBOR, hashlib's BLAKE2b, and libsodium (through ctypes) for Ed25519, XChaCha20-Poly1305 and Argon2id. Everything
comes from fixed seeds, so running it again gives the same bytes:

    python3 tools/vectors/core_vectors.py [--check]

--check writes nothing and fails when a file differs.
"""

import argparse
import ctypes
import ctypes.util
import hashlib
import json
import pathlib
import struct
import sys

SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
if SODIUM.sodium_init() < 0:
    sys.exit("libsodium does not initialise")

# ---- CBOR (docs/formats/cbor.md) ---------------------------------------------------------------------------------


class Raw(bytes):
    """An item that is encoded already."""


def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for low, size, code in ((24, 1, ">B"), (25, 2, ">H"), (26, 4, ">I"), (27, 8, ">Q")):
        if value < 1 << (8 * size):
            return bytes([major << 5 | low]) + struct.pack(code, value)
    raise ValueError(value)


def cbor(item):
    if isinstance(item, Raw):
        return bytes(item)
    if item is None:
        return b"\xf6"
    if isinstance(item, bool):
        return b"\xf5" if item else b"\xf4"
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, (list, tuple)):
        return head(4, len(item)) + b"".join(map(cbor, item))
    if isinstance(item, dict):
        pairs = sorted((cbor(key), cbor(value)) for key, value in item.items())
        return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)
    raise TypeError(item)


# ---- Primitives --------------------------------------------------------------------------------------------------


def h(data, key=b""):
    return hashlib.blake2b(data, digest_size=32, key=key).digest()


def in_context(context, data):
    return context.encode() + b"\0" + data


def derive_key(key, context, *parts):
    return h(in_context(context, b"".join(struct.pack("<Q", len(part)) + part for part in parts)), key)


class Pair:
    def __init__(self, seed):
        public = ctypes.create_string_buffer(32)
        secret = ctypes.create_string_buffer(64)
        SODIUM.crypto_sign_seed_keypair(public, secret, seed)
        self.seed, self.public, self.secret = seed, public.raw, secret.raw

    def sign(self, message):
        signature = ctypes.create_string_buffer(64)
        SODIUM.crypto_sign_detached(signature, None, message, ctypes.c_ulonglong(len(message)), self.secret)
        return signature.raw


def seal(key, nonce, associated, plaintext):
    out = ctypes.create_string_buffer(len(plaintext) + 16)
    SODIUM.crypto_aead_xchacha20poly1305_ietf_encrypt(
        out,
        None,
        plaintext,
        ctypes.c_ulonglong(len(plaintext)),
        associated,
        ctypes.c_ulonglong(len(associated)),
        None,
        nonce,
        key,
    )
    return out.raw


def argon2id(passphrase, salt, ops, kib):
    out = ctypes.create_string_buffer(32)
    done = SODIUM.crypto_pwhash(
        out,
        ctypes.c_ulonglong(32),
        passphrase,
        ctypes.c_ulonglong(len(passphrase)),
        salt,
        ctypes.c_ulonglong(ops),
        ctypes.c_size_t(kib * 1024),
        2,
    )
    if done != 0:
        sys.exit("no memory for Argon2id")
    return out.raw


class Draws:
    """The random source of keystore.json: byte number n is n mod 251."""

    def __init__(self):
        self.at = 0

    def __call__(self, size):
        self.at += size
        return bytes((self.at - size + i) % 251 for i in range(size))


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: hexed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [hexed(item) for item in value]
    return value


# ---- cbor.json ---------------------------------------------------------------------------------------------------


def cbor_vectors():
    values = [
        0,
        1,
        23,
        24,
        255,
        256,
        65535,
        65536,
        2**32 - 1,
        2**32,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -1,
        -24,
        -25,
        -256,
        -257,
        -65536,
        -65537,
        -(2**32),
        -(2**32) - 1,
        -(2**63),
        b"",
        b"\0",
        b"\xff" * 23,
        b"\xff" * 24,
        b"\x01" * 256,
        "",
        "a",
        "é",
        "水",
        "𐅑",
        "\0",
        "x" * 24,
        False,
        True,
        None,
        [],
        [[]],
        list(range(24)),
        [1, [2, [3, [4]]]],
        {},
        {0: 1},
        {1: {}, 2: []},
        {10: 0, 100: 0, -1: 0, b"\xaa": 0, "z": 0, "aa": 0},
        {"b": 1, "a": 2, "aa": 3, "": 4},
        {i: i for i in range(30)},
        [Raw(b"\x81" * 14 + b"\x80")],  # 16 deep
    ]
    accepted = [{"hex": cbor(value)} for value in values]
    refused = [
        ("", "nothing"),
        ("1817", "longer than needed"),
        ("190017", "longer than needed"),
        ("1900ff", "longer than needed"),
        ("1a0000ffff", "longer than needed"),
        ("1b00000000ffffffff", "longer than needed"),
        ("5801aa", "length longer than needed"),
        ("780161", "length longer than needed"),
        ("980100", "length longer than needed"),
        ("b8010000", "length longer than needed"),
        ("18", "ends in a head"),
        ("1b00000001", "ends in a head"),
        ("42aa", "ends in a string"),
        ("8201", "ends in an array"),
        ("a101", "ends in a map"),
        ("5bffffffffffffffff", "declares more than there is"),
        ("9bffffffffffffffff", "declares more than there is"),
        ("bbffffffffffffffff", "declares more than there is"),
        ("bb8000000000000000", "declares more than there is"),
        ("5f42010243030405ff", "indefinite"),
        ("7f657374726561646d696e67ff", "indefinite"),
        ("9fff", "indefinite"),
        ("bfff", "indefinite"),
        ("ff", "break"),
        ("1c", "reserved"),
        ("1f", "reserved"),
        ("fc", "reserved"),
        ("c000", "tag"),
        ("c11a514b67b0", "tag"),
        ("d9d9f700", "tag"),
        ("f7", "undefined"),
        ("e0", "simple value"),
        ("f818", "simple value"),
        ("f820", "simple value"),
        ("f97c00", "float"),
        ("fa47c35000", "float"),
        ("fb3ff199999999999a", "float"),
        ("3b8000000000000000", "below -2^63"),
        ("3bffffffffffffffff", "below -2^63"),
        ("a200000000", "key twice"),
        ("a201000000", "keys out of order"),
        ("a220000000", "keys out of order"),
        ("a262616100617a00", "keys out of order"),
        ("a1800000", "array as key"),
        ("a1a00000", "map as key"),
        ("a1f400", "boolean as key"),
        ("a1f600", "null as key"),
        ("61ff", "UTF-8"),
        ("62c080", "UTF-8, overlong"),
        ("63eda080", "UTF-8, surrogate"),
        ("64f4908080", "UTF-8, above U+10FFFF"),
        ("0000", "two items"),
        ("8000", "two items"),
        ("81" * 16 + "80", "17 deep"),
    ]
    return {
        "about": "Deterministic CBOR in the profile of docs/formats/cbor.md: `accepted` items are valid, and writing "
        "what was read gives the same bytes; `refused` ones are errors.",
        "accepted": accepted,
        "refused": [{"hex": text, "why": why} for text, why in refused],
    }


# ---- identity.json -----------------------------------------------------------------------------------------------

STORE = bytes(range(16))
INCARNATION = bytes(range(0x60, 0x70))


def identity_vectors():
    party, device = Pair(b"\x01" * 32), Pair(b"\x02" * 32)
    root = b"\x03" * 32
    author = Pair(derive_key(root, "sereus author key", STORE, INCARNATION))
    text = party.public.hex()
    messages = [b"", b"message", bytes(2000)]
    return {
        "about": "Keys and what is derived from them (docs/formats/keys.md).",
        "party": {
            "seed": party.seed,
            "public_key": party.public,
            "fingerprint": " ".join(text[i : i + 4] for i in range(0, 64, 4)),
        },
        "device": {"seed": device.seed, "public_key": device.public},
        "author": {
            "root": root,
            "store": STORE,
            "incarnation": INCARNATION,
            "seed": author.seed,
            "public_key": author.public,
        },
        "storage_key": {
            "root": b"\x04" * 32,
            "purpose": "database",
            "key": derive_key(b"\x04" * 32, "sereus storage key", b"database"),
        },
        "derive_key": [
            {"key": root, "context": "test", "parts": parts, "derived": derive_key(root, "test", *parts)}
            for parts in ([], [b""], [b"a", b"bc"], [b"ab", b"c"])
        ],
        "hash": [
            {
                "data": m,
                "blake2b_256": h(m),
                "sha256": hashlib.sha256(m).digest(),
                "in_context_test": h(in_context("test", m)),
                "keyed_with_root": h(m, root),
            }
            for m in messages
        ],
        "signature": [
            {"seed": party.seed, "context": "test", "message": m, "signature": party.sign(in_context("test", m))}
            for m in messages
        ],
    }


# ---- certificates.json -------------------------------------------------------------------------------------------

SMALL_ORDER = b"\x01" + bytes(31)  # the neutral element
DEVICE_CONTEXT, AUTHOR_CONTEXT = "sereus device certificate 1", "sereus author certificate 1"


def certificate(issuer, context, body):
    encoded = body if isinstance(body, bytes) else cbor(body)
    return cbor([encoded, issuer.sign(in_context(context, encoded))])


def device_body(party, device, serial=1, issued=1_700_000_000, expires=0, version=1, kind=1):
    return {1: version, 2: kind, 3: party.public, 4: device.public, 5: serial, 6: issued, 7: expires}


def author_body(device, author, serial=1, issued=1_700_000_000, expires=0, version=1, kind=2):
    return {
        1: version,
        2: kind,
        3: device.public,
        4: author.public,
        5: STORE,
        6: INCARNATION,
        7: serial,
        8: issued,
        9: expires,
    }


def certificate_vectors():
    party, device, author, mallory = (Pair(bytes([n]) * 32) for n in (1, 2, 3, 66))
    good_device = certificate(party, DEVICE_CONTEXT, device_body(party, device))
    good_author = certificate(device, AUTHOR_CONTEXT, author_body(device, author))
    dated = certificate(device, AUTHOR_CONTEXT, author_body(device, author, 2**64 - 1, 1_700_000_000, 1_800_000_000))
    loose = bytearray(cbor(device_body(party, device)))
    loose[2:3] = b"\x18\x01"
    flipped = bytearray(good_device)
    flipped[-1] ^= 1

    def refused(kind, wire, code, why, date=None):
        return {"kind": kind, "certificate": wire, "date": date, "code": code, "why": why}

    return {
        "about": "Certificates (docs/formats/keys.md). `date` null: dates are not checked. Codes are SEREUS_E_*.",
        "valid": [
            {
                "kind": "device",
                "certificate": good_device,
                "issuer_seed": party.seed,
                "party": party.public,
                "device": device.public,
                "serial": 1,
                "issued_at": 1_700_000_000,
                "expires_at": 0,
                "date": 1_900_000_000,
            },
            {
                "kind": "author",
                "certificate": good_author,
                "issuer_seed": device.seed,
                "device": device.public,
                "author": author.public,
                "store": STORE,
                "incarnation": INCARNATION,
                "serial": 1,
                "issued_at": 1_700_000_000,
                "expires_at": 0,
                "date": 1_900_000_000,
            },
            {
                "kind": "author",
                "certificate": dated,
                "issuer_seed": device.seed,
                "device": device.public,
                "author": author.public,
                "store": STORE,
                "incarnation": INCARNATION,
                "serial": 2**64 - 1,
                "issued_at": 1_700_000_000,
                "expires_at": 1_800_000_000,
                "date": 1_799_999_999,
            },
        ],
        "refused": [
            refused("author", dated, "SEREUS_E_EXPIRED", "on its last second", 1_800_000_000),
            refused("device", bytes(flipped), "SEREUS_E_BAD_SIGNATURE", "a bit of the signature"),
            refused(
                "device",
                certificate(mallory, DEVICE_CONTEXT, device_body(party, device)),
                "SEREUS_E_BAD_SIGNATURE",
                "signed by somebody else",
            ),
            refused(
                "device",
                certificate(party, AUTHOR_CONTEXT, device_body(party, device)),
                "SEREUS_E_BAD_SIGNATURE",
                "signed in another context",
            ),
            refused(
                "device",
                cbor([cbor({**device_body(party, device), 3: SMALL_ORDER}), SMALL_ORDER + bytes(32)]),
                "SEREUS_E_BAD_SIGNATURE",
                "the party is a key of small order, under which this signature is valid",
            ),
            refused(
                "device",
                certificate(party, DEVICE_CONTEXT, {**device_body(party, device), 4: SMALL_ORDER}),
                "SEREUS_E_BAD_SIGNATURE",
                "the device is a key of small order",
            ),
            refused("device", good_author, "SEREUS_E_MALFORMED", "the other kind"),
            refused("author", good_device, "SEREUS_E_MALFORMED", "the other kind"),
            refused(
                "device",
                certificate(party, DEVICE_CONTEXT, bytes(loose)),
                "SEREUS_E_MALFORMED",
                "version not in its shortest form, although signed",
            ),
            refused(
                "device",
                certificate(party, DEVICE_CONTEXT, device_body(party, device, version=2)),
                "SEREUS_E_TOO_NEW",
                "version 2",
            ),
            refused(
                "device",
                certificate(party, DEVICE_CONTEXT, {**device_body(party, device), 8: 0}),
                "SEREUS_E_MALFORMED",
                "a field that version 1 does not have",
            ),
            refused(
                "device",
                certificate(party, DEVICE_CONTEXT, device_body(party, device, expires=1_700_000_000)),
                "SEREUS_E_MALFORMED",
                "expires when it is issued",
            ),
            refused("device", good_device + b"\0", "SEREUS_E_MALFORMED", "a byte follows"),
            refused("device", bytes(513), "SEREUS_E_TOO_LARGE", "over 512 bytes"),
        ],
        "chains": [
            {
                "author": good_author,
                "device": good_device,
                "store": STORE,
                "date": None,
                "code": "SEREUS_OK",
                "party": party.public,
            },
            {
                "author": good_author,
                "device": good_device,
                "store": bytes(16),
                "date": None,
                "code": "SEREUS_E_WRONG_STORE",
            },
            {
                "author": good_author,
                "device": certificate(mallory, DEVICE_CONTEXT, device_body(mallory, mallory)),
                "store": STORE,
                "date": None,
                "code": "SEREUS_E_BAD_SIGNATURE",
            },
            {"author": dated, "device": good_device, "store": STORE, "date": 1_800_000_000, "code": "SEREUS_E_EXPIRED"},
        ],
    }


# ---- keystore.json -----------------------------------------------------------------------------------------------

NOW = 1_700_000_000


def protection(draws, magic, passphrase, key, ops, kib):
    if not passphrase:
        return [0, key]
    salt, nonce = draws(16), draws(24)
    params = cbor([ops, kib, 0x13, salt])
    wrapping = argon2id(passphrase, salt, ops, kib)
    associated = in_context("sereus sealed file key 1", magic.encode() + b"\0" + params)
    return [1, ops, kib, 0x13, salt, nonce, seal(wrapping, nonce, associated, key)]


def sealed_file(draws, magic, generation, key, protected, records):
    header = cbor({1: generation, 2: protected})
    sealed = []
    for number, content in records:
        nonce = draws(24)
        associated = in_context("sereus sealed file record 1", magic.encode() + b"\0" + cbor([1, number, h(header)]))
        sealed.append([number, nonce, seal(key, nonce, associated, content)])
    content = cbor([magic, 1, header, sealed])
    return content + h(in_context("sereus sealed file checksum 1", content))


def keystore_vector(passphrase, ops, kib):
    draws = Draws()
    party, device = Pair(draws(32)), Pair(draws(32))
    author_root, storage_root, incarnation = draws(32), draws(32), draws(16)
    device_certificate = certificate(party, DEVICE_CONTEXT, device_body(party, device, issued=NOW))
    state = cbor({1: incarnation, 2: device_certificate, 3: NOW, 4: 0})
    key = draws(32)
    protected = protection(draws, "sereus keystore", passphrase, key, ops, kib)
    records = [(1, party.seed), (2, device.seed), (3, author_root), (4, storage_root), (5, state), (6, cbor({}))]
    file = sealed_file(draws, "sereus keystore", 1, key, protected, records)
    # The same, exported by the same process: draws go on.
    backup_key = draws(32)
    protected = protection(draws, "sereus backup", b"backup words", backup_key, ops, kib)
    records = [(1, party.seed), (2, device.seed), (3, author_root), (5, state), (6, cbor({})), (7, b"attachment")]
    backup = sealed_file(draws, "sereus backup", 1, backup_key, protected, records)
    author = Pair(derive_key(author_root, "sereus author key", STORE, incarnation))
    return {
        "passphrase": passphrase.decode(),
        "argon2": {"ops": ops, "mem_kib": kib},
        "created_at": NOW,
        "file": file,
        "party_seed": party.seed,
        "device_seed": device.seed,
        "party": party.public,
        "device": device.public,
        "incarnation": incarnation,
        "device_certificate": device_certificate,
        "store": STORE,
        "author_public_key": author.public,
        "storage_key_database": derive_key(storage_root, "sereus storage key", b"database"),
        "backup_passphrase": "backup words",
        "backup": backup,
        "backup_attachment": b"attachment",
    }


def keystore_vectors():
    return {
        "about": "Keystores and backups (docs/formats/keystore.md) as Keystore::create and export_backup write them "
        "when byte n of the random source is n mod 251. Drawn in this order: party seed, device seed, author "
        "root, storage root, incarnation, file key, salt, nonce of the wrapped key, nonces of the records; "
        "then for the backup its file key, salt and nonces. The Argon2 parameters of the first two are below "
        "the floor: for tests only.",
        "keystores": [
            keystore_vector(b"open sesame", 1, 8),
            keystore_vector(b"", 1, 8),
            keystore_vector("Pässwort".encode(), 2, 64 * 1024),
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    arguments = parser.parse_args()
    folder = pathlib.Path(__file__).resolve().parents[2] / "vectors"
    folder.mkdir(exist_ok=True)
    different = []
    for name, make in (
        ("cbor", cbor_vectors),
        ("identity", identity_vectors),
        ("certificates", certificate_vectors),
        ("keystore", keystore_vectors),
    ):
        path = folder / f"{name}.json"
        text = json.dumps(hexed(make()), indent=1, ensure_ascii=False) + "\n"
        if not arguments.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            different.append(path.name)
    if different:
        sys.exit("differ from what the generator writes: " + ", ".join(different))


if __name__ == "__main__":
    main()
