#!/usr/bin/env python3
"""Writes vectors/noise_libp2p.json: whole Noise connections between two libp2p hosts, byte by byte.

Written from the Noise specification (revision 34) and docs/formats/transport.md, sharing no code with the engine: hashlib,
hmac, and libsodium's X25519 and ChaCha20-Poly1305 through ctypes. Its own Noise is first checked against the published
vectors in vectors/noise_xx.json.

    python3 tools/vectors/noise_vectors.py [--check]
"""

import argparse
import ctypes
import hashlib
import hmac
import json
import pathlib
import sys

from core_vectors import SODIUM, Pair, hexed

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "vectors"
NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"


def public(secret):
    out = ctypes.create_string_buffer(32)
    SODIUM.crypto_scalarmult_curve25519_base(out, secret)
    return out.raw


def agree(secret, other):
    out = ctypes.create_string_buffer(32)
    assert SODIUM.crypto_scalarmult_curve25519(out, secret, other) == 0
    return out.raw


def encrypt(key, counter, associated, plaintext):
    out = ctypes.create_string_buffer(len(plaintext) + 16)
    SODIUM.crypto_aead_chacha20poly1305_ietf_encrypt(
        out,
        None,
        plaintext,
        ctypes.c_ulonglong(len(plaintext)),
        associated,
        ctypes.c_ulonglong(len(associated)),
        None,
        bytes(4) + counter.to_bytes(8, "little"),
        key,
    )
    return out.raw


def derive(chain, data):
    base = hmac.digest(chain, data, "sha256")
    first = hmac.digest(base, b"\1", "sha256")
    return first, hmac.digest(base, first + b"\2", "sha256")


class Symmetric:
    """What both sides compute alike; writing it once gives the bytes of both."""

    def __init__(self, prologue):
        self.hash = self.chain = NAME
        self.key, self.counter = None, 0
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, data):
        self.chain, self.key = derive(self.chain, data)
        self.counter = 0

    def encrypted(self, plaintext):
        out = plaintext
        if self.key is not None:
            out = encrypt(self.key, self.counter, self.hash, plaintext)
            self.counter += 1
        self.mix_hash(out)
        return out


def handshake(prologue, statics, ephemerals, payloads):
    """The three messages, the hash, and the keys from the initiator and from the responder."""
    s1, s2 = statics
    e1, e2 = ephemerals
    state = Symmetric(prologue)
    first = public(e1)
    state.mix_hash(first)
    first += state.encrypted(payloads[0])
    second = public(e2)
    state.mix_hash(second)
    state.mix_key(agree(e2, public(e1)))
    second += state.encrypted(public(s2))
    state.mix_key(agree(s2, public(e1)))
    second += state.encrypted(payloads[1])
    third = state.encrypted(public(s1))
    state.mix_key(agree(s1, public(e2)))
    third += state.encrypted(payloads[2])
    return [first, second, third], state.hash, derive(state.chain, b"")


def check_against_published():
    for vector in json.loads((VECTORS / "noise_xx.json").read_text())["vectors"]:
        names = ["init_static", "resp_static", "init_ephemeral", "resp_ephemeral"]
        secrets = [bytes.fromhex(vector[name]) for name in names]
        payloads = [bytes.fromhex(item["payload"]) for item in vector["messages"]]
        messages, digest, keys = handshake(
            bytes.fromhex(vector["init_prologue"]),
            secrets[:2],
            secrets[2:],
            payloads,
        )
        for index, payload in enumerate(payloads[3:], start=3):
            messages.append(encrypt(keys[index % 2], (index - 3) // 2, b"", payload))
        assert [m.hex() for m in messages] == [item["ciphertext"] for item in vector["messages"]]
        assert digest.hex() == vector["handshake_hash"]


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def payload(seed, static, muxers):
    pair = Pair(seed)
    signature = pair.sign(b"noise-libp2p-static-key:" + public(static))
    out = field(1, b"\x08\x01\x12\x20" + pair.public) + field(2, signature)
    return out + field(4, b"".join(field(2, m.encode()) for m in muxers)) if muxers else out


def framed(message):
    return len(message).to_bytes(2, "big") + message


def connection(about, muxers, agreed):
    seeds = [bytes([1]) * 32, bytes([2]) * 32]
    statics = [bytes(range(0x10, 0x30)), bytes(range(0x30, 0x50))]
    ephemerals = [bytes(range(0x50, 0x70)), bytes(range(0x70, 0x90))]
    payloads = [b"", payload(seeds[1], statics[1], muxers[1]), payload(seeds[0], statics[0], muxers[0])]
    messages, digest, keys = handshake(b"", statics, ephemerals, payloads)
    texts = [b"from the initiator", b"from the responder", b"", b"again", bytes(range(256)) * 300]
    frames = []
    counters = [0, 0]
    for index, text in enumerate(texts):
        side = index % 2
        wire = b""
        for at in range(0, len(text), 65519):
            wire += framed(encrypt(keys[side], counters[side], b"", text[at : at + 65519]))
            counters[side] += 1
        digest_only = len(wire) > 1000  # too long to print
        frames.append(
            {
                "from": side,
                "plain": text if not digest_only else {"repeat": bytes(range(256)), "times": 300},
                "wire": wire if not digest_only else {"size": len(wire), "sha256": hashlib.sha256(wire).digest()},
            }
        )
    return {
        "about": about,
        "device_seeds": seeds,
        "static_secrets": statics,
        "ephemeral_secrets": ephemerals,
        "muxers": muxers,
        "agreed": agreed,
        "handshake": [framed(message) for message in messages],
        "handshake_hash": digest,
        "frames": frames,
    }


def noise_vectors():
    yamux, mplex = "/yamux/1.0.0", "/mplex/6.7.0"
    return {
        "about": "Noise connections of libp2p (docs/formats/transport.md). Of two values, the first is the initiator's.",
        "connections": [
            connection("no muxers are said", [[], []], ""),
            connection("yamux on both sides", [[yamux], [yamux]], yamux),
            connection("the initiator prefers", [[mplex, yamux], [yamux, mplex]], mplex),
            connection("only the responder says muxers", [[], [yamux]], ""),
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    check_against_published()
    path = VECTORS / "noise_libp2p.json"
    text = json.dumps(hexed(noise_vectors()), indent=1, ensure_ascii=False) + "\n"
    if not arguments.check:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        sys.exit("differs from what the generator writes: noise_libp2p.json")


if __name__ == "__main__":
    main()
