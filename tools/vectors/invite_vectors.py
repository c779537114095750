#!/usr/bin/env python3
"""Writes vectors/invite.json: invite lines, and lines that must be refused (docs/formats/invite.md).

Written from the page, sharing no code with the engine; CBOR, hashes and keys are those of core_vectors.py.

    python3 tools/vectors/invite_vectors.py [--check]
"""

import argparse
import base64
import json
import pathlib
import sys

from core_vectors import Pair, Raw, cbor, h, hexed, in_context

ISSUER = Pair(bytes([2]) * 32).public
TOKEN = bytes(range(0x40, 0x50))
V4, V6 = "/ip4/192.0.2.1/udp/4001/quic-v1", "/ip6/2001:db8::1/udp/4001/quic-v1"


def base32(data):
    return base64.b32encode(data).decode().lower().rstrip("=")


def line(body, check=None):
    return "sereus1" + base32(body + (h(body)[:4] if check is None else check))


def body(issuer=ISSUER, token=TOKEN, expires=1_800_000_000, role=2, addresses=(V4,)):
    return [1, issuer, token, expires, role, list(addresses)]


def valid_vectors():
    cases = [
        {},
        {"addresses": (V4, V6), "role": 1},
        {"addresses": (), "role": 3},
        {"addresses": [V4.replace("4001", str(4001 + n)) for n in range(8)]},
        {"expires": 0, "role": 0},
        {"expires": 2**63 - 1, "role": 255},
        {"issuer": Pair(bytes([7]) * 32).public, "token": bytes(16)},
    ]
    vectors = []
    for case in cases:
        fields = body(**case)
        vectors.append(
            {
                "issuer": fields[1],
                "token": fields[2],
                "token_hash": h(in_context("sereus invite 1", fields[2])),
                "expires": fields[3],
                "role": fields[4],
                "addresses": fields[5],
                "body": cbor(fields),
                "text": line(cbor(fields)),
            }
        )
    return vectors


def invalid_vectors():
    good = cbor(body())
    text = line(good)
    fields = body()
    cases = [
        ("another version", "TOO_NEW", line(cbor([2, *fields[1:]]))),
        ("another version with other items", "TOO_NEW", line(cbor([2, "later"]))),
        ("an item too many", "MALFORMED", line(cbor([*fields, 0]))),
        ("an item too few", "MALFORMED", line(cbor(fields[:5]))),
        ("a short issuer", "MALFORMED", line(cbor(body(issuer=ISSUER[:31])))),
        ("a long token", "MALFORMED", line(cbor(body(token=TOKEN + b"\0")))),
        ("the issuer as text", "MALFORMED", line(cbor(body(issuer="a" * 32)))),
        ("an expiry of 2^63", "MALFORMED", line(cbor(body(expires=2**63)))),
        ("a negative expiry", "MALFORMED", line(cbor(body(expires=-1)))),
        ("a role above 255", "MALFORMED", line(cbor(body(role=256)))),
        ("nine addresses", "MALFORMED", line(cbor(body(addresses=[V4] * 9)))),
        ("an address as bytes", "MALFORMED", line(cbor(body(addresses=[V4.encode()])))),
        ("an address that is not UTF-8", "MALFORMED", line(cbor(body(addresses=[Raw(b"\x61\xff")])))),
        ("bytes behind the array", "MALFORMED", line(good + b"\0")),
        ("a number not in its shortest form", "MALFORMED", line(cbor([Raw(b"\x18\x01"), *fields[1:]]))),
        ("a map", "MALFORMED", line(cbor({1: 1}))),
        ("an empty body", "MALFORMED", line(b"")),
        ("the check of another body", "MALFORMED", line(good, h(good + b"\0")[:4])),
        ("no check", "MALFORMED", "sereus1" + base32(good)),
        ("upper case", "MALFORMED", "sereus1" + text.removeprefix("sereus1").upper()),
        ("an upper case prefix", "MALFORMED", "SEREUS1" + text.removeprefix("sereus1")),
        ("padding", "MALFORMED", text + "="),
        ("a blank inside", "MALFORMED", text[:40] + " " + text[40:]),
        ("only the prefix", "MALFORMED", "sereus1"),
        ("another prefix", "MALFORMED", "sereus2" + text.removeprefix("sereus1")),
        ("nothing", "MALFORMED", ""),
        ("too long", "MALFORMED", line(cbor(body(addresses=["/" * 1300])))),
    ]
    return [{"about": about, "code": code, "text": text} for about, code, text in cases]


def invite_vectors():
    return {
        "about": "Invites (docs/formats/invite.md). Codes are SEREUS_E_*. Blanks around a text do not count.",
        "valid": valid_vectors(),
        "invalid": invalid_vectors(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    path = pathlib.Path(__file__).resolve().parents[2] / "vectors" / "invite.json"
    text = json.dumps(hexed(invite_vectors()), indent=1, ensure_ascii=False) + "\n"
    if not arguments.check:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        sys.exit("differs from what the generator writes: invite.json")


if __name__ == "__main__":
    main()
