#!/usr/bin/env python3
"""Writes vectors/entry.json: entries, ranges and root store ids (docs/formats/entry.md).

Written from the page, sharing no code with the engine; CBOR, hashes and keys are those of core_vectors.py.

    python3 tools/vectors/entry_vectors.py [--check]
"""

import argparse
import json
import pathlib
import struct
import sys

from core_vectors import (
    AUTHOR_CONTEXT,
    DEVICE_CONTEXT,
    STORE,
    Pair,
    Raw,
    author_body,
    cbor,
    certificate,
    device_body,
    h,
    head,
    hexed,
    in_context,
)

PARTY, DEVICE, AUTHOR, OTHER = (Pair(bytes([n]) * 32) for n in (1, 2, 3, 4))
NONCE = bytes(range(16))
ZERO = bytes(32)
WALL = 1_700_000_000_000
H1, H2, H3 = (bytes([n]) * 32 for n in (0x11, 0x22, 0x33))


def put(key, value, parents=()):
    return [1, key, value, list(parents)]


def remove(key, parents=()):
    return [2, key, list(parents)]


def author():
    return [
        3,
        [
            certificate(DEVICE, AUTHOR_CONTEXT, author_body(DEVICE, AUTHOR)),
            certificate(PARTY, DEVICE_CONTEXT, device_body(PARTY, DEVICE)),
        ],
    ]


def genesis():
    return [4, PARTY.public, NONCE]


def body(ops, prev=H1, seq=2, wall=WALL, counter=0, epoch=0, authority=None, store=STORE, by=AUTHOR, version=1):
    return cbor([version, store, by.public, prev, seq, wall, counter, epoch, authority, ops])


def sign(pair, encoded):
    return pair.sign(in_context("sereus entry 1", h(encoded)))


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def valid():
    def one(name, **fields):
        encoded = body(**fields)
        ops = []
        for op in fields["ops"]:
            if op[0] == 1:
                ops.append({"kind": "put", "key": op[1], "value": op[2], "parents": op[3]})
            elif op[0] == 2:
                ops.append({"kind": "delete", "key": op[1], "parents": op[2]})
            elif op[0] == 3:
                ops.append({"kind": "author", "certificates": op[1]})
            else:
                ops.append({"kind": "genesis", "party": op[1], "nonce": op[2]})
        return {
            "name": name,
            "store": STORE,
            "author": AUTHOR.public,
            "prev": fields.get("prev", H1),
            "seq": fields.get("seq", 2),
            "hlc_wall_ms": fields.get("wall", WALL),
            "hlc_counter": fields.get("counter", 0),
            "authority": fields.get("authority"),
            "ops": ops,
            "body": encoded,
            "hash": h(encoded),
            "signature": sign(AUTHOR, encoded),
        }

    return [
        one("put", ops=[put(b"colour", b"red")]),
        one("an empty value", ops=[put(b"k", b"")]),
        one("put that replaces two heads", ops=[put(b"k", b"v", [H1, H2])]),
        one("delete", ops=[remove(b"k", [H3])]),
        one("first entry", prev=ZERO, seq=1, ops=[author(), put(b"k", b"v")]),
        one("genesis", prev=ZERO, seq=1, ops=[author(), genesis(), put(b"/nodes", b"")]),
        one("certified anew", seq=9, ops=[author()]),
        one("transaction", ops=[put(b"b", b"1"), put(b"a", b"2"), remove(b"c")]),
        one("authority", authority=[H1, H3], ops=[put(b"k", b"v")]),
        one("greatest numbers", seq=2**63 - 1, wall=2**47 - 1, counter=65535, ops=[put(b"k", b"v")]),
        one("time zero", wall=0, ops=[put(b"k", b"v")]),
        one("longest key", ops=[put(b"k" * 4096, b"v")]),
    ]


def invalid():
    good = [put(b"k", b"v")]
    plain = body(good)
    malformed, too_large, unsupported = "SEREUS_E_MALFORMED", "SEREUS_E_TOO_LARGE", "SEREUS_E_UNSUPPORTED"

    def item(index, encoded, ops=good):
        """The body with item `index` replaced by encoded bytes."""
        items = [1, STORE, AUTHOR.public, H1, 2, WALL, 0, 0, None, ops]
        items[index] = Raw(encoded)
        return cbor(items)

    cases = [
        ("empty", b"", malformed),
        ("trailing byte", plain + b"\x00", malformed),
        ("nine items", b"\x89" + plain[1:], malformed),
        ("eleven items", b"\x8b" + plain[1:] + b"\x00", malformed),
        ("indefinite array", b"\x9f" + plain[1:] + b"\xff", malformed),
        ("array head not shortest", b"\x98\x0a" + plain[1:], malformed),
        ("version 0", body(good, version=0), malformed),
        ("version 2", body(good, version=2), "SEREUS_E_TOO_NEW"),
        ("version not shortest", item(0, b"\x18\x01"), malformed),
        ("store of 15 bytes", body(good, store=STORE[:15]), malformed),
        ("store as text", item(1, b"\x70" + b"a" * 16), malformed),
        ("author of 31 bytes", item(2, b"\x58\x1f" + bytes(31)), malformed),
        ("author length not shortest", item(2, b"\x59\x00\x20" + AUTHOR.public), malformed),
        ("prev of 33 bytes", item(3, b"\x58\x21" + bytes(33)), malformed),
        ("prev null", item(3, b"\xf6"), malformed),
        ("sequence 0", body(good, prev=ZERO, seq=0), malformed),
        ("sequence negative", item(4, b"\x20"), malformed),
        ("sequence over 63 bits", body(good, seq=2**63), malformed),
        ("sequence not shortest", item(4, b"\x18\x02"), malformed),
        ("sequence as float", item(4, b"\xf9\x40\x00"), malformed),
        ("first entry with prev", body([author()], prev=H1, seq=1), malformed),
        ("later entry without prev", body(good, prev=ZERO), malformed),
        ("wall time over 47 bits", body(good, wall=2**47), malformed),
        ("counter over 16 bits", body(good, counter=65536), malformed),
        ("counter tagged", item(6, b"\xc0\x00"), malformed),
        ("key epoch 1", body(good, epoch=1), unsupported),
        ("authority empty", body(good, authority=[]), malformed),
        ("authority unsorted", body(good, authority=[H2, H1]), malformed),
        ("authority twice", body(good, authority=[H1, H1]), malformed),
        ("authority false", item(8, b"\xf4"), malformed),
        ("authority undefined", item(8, b"\xf7"), malformed),
        ("authority of 9", body(good, authority=[bytes([n]) * 32 for n in range(9)]), too_large),
        ("authority with a short hash", body(good, authority=[bytes(31)]), malformed),
        ("no operations", body([]), malformed),
        ("operations null", item(9, b"\xf6"), malformed),
        ("operations as map", item(9, b"\xa0"), malformed),
        ("4097 operations", body([put(struct.pack(">H", n), b"") for n in range(4097)]), too_large),
        ("more operations declared than bytes", item(9, head(4, 1 << 40)), malformed),
        ("operation not an array", body([1]), malformed),
        ("operation 0", body([[0, b"k", b"v", []]]), unsupported),
        ("operation 5", body([[5, b"k"]]), unsupported),
        ("operation 64", body([[64, b"tag", b"sealed"]]), unsupported),
        ("put of 3 items", body([[1, b"k", b"v"]]), malformed),
        ("put of 5 items", body([[1, b"k", b"v", [], 0]]), malformed),
        ("put with text key", body([[1, "k", b"v", []]]), malformed),
        ("put with text value", body([[1, b"k", "v", []]]), malformed),
        ("put with null value", body([[1, b"k", None, []]]), malformed),
        ("put with empty key", body([put(b"", b"v")]), malformed),
        ("key of 4097 bytes", body([put(b"k" * 4097, b"v")]), too_large),
        ("parents unsorted", body([put(b"k", b"v", [H2, H1])]), malformed),
        ("parents twice", body([put(b"k", b"v", [H1, H1])]), malformed),
        ("65 parents", body([put(b"k", b"v", [bytes([n]) * 32 for n in range(65)])]), too_large),
        ("parents null", body([[1, b"k", b"v", None]]), malformed),
        ("a parent nested deeply", body([[1, b"k", b"v", Raw(b"\x81" * 100 + b"\x00")]]), malformed),
        ("delete of 4 items", body([[2, b"k", [], 0]]), malformed),
        ("delete with empty key", body([remove(b"")]), malformed),
        ("a key twice", body([put(b"k", b"1"), put(b"k", b"2")]), malformed),
        ("a key put and deleted", body([put(b"k", b"1"), put(b"j", b"1"), remove(b"k")]), malformed),
        ("a key twice among many", body([put(bytes([n]), b"") for n in range(30)] + [put(b"\x05", b"")]), malformed),
        ("author second", body([put(b"k", b"v"), author()]), malformed),
        ("author twice", body([author(), author()]), malformed),
        ("one certificate", body([[3, [author()[1][0]]]]), malformed),
        ("three certificates", body([[3, author()[1] + [b"x"]]]), malformed),
        ("a certificate of 513 bytes", body([[3, [bytes(513), b""]]]), too_large),
        ("genesis in a later entry", body([author(), genesis()]), malformed),
        ("genesis without certificates", body([genesis()], prev=ZERO, seq=1), malformed),
        ("genesis third", body([author(), put(b"k", b"v"), genesis()], prev=ZERO, seq=1), malformed),
        ("genesis nonce of 15", body([author(), [4, PARTY.public, NONCE[:15]]], prev=ZERO, seq=1), malformed),
        ("genesis party of 31", body([author(), [4, bytes(31), NONCE]], prev=ZERO, seq=1), malformed),
    ]
    cases += [(f"cut to {n} bytes", plain[:n], malformed) for n in (1, 2, 18, 53, 86, 87, 90, len(plain) - 1)]
    return [{"name": name, "body": encoded, "code": code} for name, encoded, code in cases]


def chain(count, signer=AUTHOR, bad=(), prev=ZERO, first=1, step=1):
    """Payload of a range of `count` entries; sequence numbers in `bad` get a forged signature."""
    payload, hashes = b"", []
    for seq in range(first, first + count):
        ops = ([author()] if seq == 1 else []) + [put(b"k%d" % seq, b"value")]
        encoded = body(ops, prev=prev, seq=seq, wall=WALL + seq * step)
        signature = sign(OTHER if seq in bad else signer, encoded)
        payload += varint(len(encoded) - 87) + encoded[87:] + signature
        prev = h(encoded)
        hashes.append(prev)
    return payload, hashes


def ranges():
    good, hashes = chain(5)
    later, _ = chain(3, prev=hashes[1], first=3)
    forged, _ = chain(5, bad=(3,))
    forged_end, _ = chain(5, bad=(5,))
    still, _ = chain(5, step=0)
    ok, gap, bad, malformed = "SEREUS_OK", "SEREUS_E_GAP", "SEREUS_E_BAD_SIGNATURE", "SEREUS_E_MALFORMED"

    def one(name, payload, every, chained, first=1, prev=ZERO, entries=5, store=STORE, by=AUTHOR):
        return {
            "name": name,
            "store": store,
            "author": by.public,
            "first_seq": first,
            "prev": prev,
            "entries": entries,
            "payload": payload,
            "every_signature": every,
            "chain": chained,
        }

    return [
        one("five entries", good, ok, ok) | {"hashes": hashes},
        one("three later ones", later, ok, ok, first=3, prev=hashes[1], entries=3),
        one("forged in the middle", forged, bad, ok),
        one("forged at the end", forged_end, bad, bad),
        one("another store", good, bad, bad, store=bytes(16)),
        one("another author", good, bad, bad, by=OTHER),
        one("another prev", later, bad, bad, first=3, prev=hashes[0], entries=3),
        one("another first sequence", later, gap, gap, first=4, prev=hashes[1], entries=3),
        one("first with a prev", good, gap, gap, prev=H1),
        one("later without prev", later, gap, gap, first=3, entries=3),
        one("fewer entries than there are", good, malformed, malformed, entries=4),
        one("more entries than there are", good, malformed, malformed, entries=6),
        one("no entries", b"", malformed, malformed, entries=0),
        one("truncated", good[:-1], malformed, malformed),
        one("time stands still", still, malformed, malformed),
        one("a size that is not minimal", b"\x80\x00" + good, malformed, malformed),
        one("8193 entries", bytes(8193 * 80), "SEREUS_E_TOO_LARGE", "SEREUS_E_TOO_LARGE", entries=8193)
        | {"payload": b"", "payload_zeros": 8193 * 80},
    ]


def entry_vectors():
    root = h(in_context("sereus root 1", PARTY.public + NONCE))[:16]
    return {
        "about": "Entries, ranges and root store ids (docs/formats/entry.md). Codes are SEREUS_E_*.",
        "author_seed": AUTHOR.seed,
        "valid": valid(),
        "invalid": invalid(),
        "ranges": ranges(),
        "root_store": {"party": PARTY.public, "nonce": NONCE, "id": root},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    path = pathlib.Path(__file__).resolve().parents[2] / "vectors" / "entry.json"
    text = json.dumps(hexed(entry_vectors()), indent=1, ensure_ascii=False) + "\n"
    if not arguments.check:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        sys.exit("differs from what the generator writes: entry.json")


if __name__ == "__main__":
    main()
