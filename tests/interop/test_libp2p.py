"""Our hosts against js-libp2p's, each dialing the other over QUIC, and over TCP and WebSocket with TLS or Noise and yamux:
identify, ping, echo, and the refusal of a wrong peer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, SECONDS, Peers

LISTEN = "/ip4/127.0.0.1/udp/0/quic-v1"
TCP = "/ip4/127.0.0.1/tcp/0"
# Where to listen, and what either side is told to secure TCP with (nothing: its own default).
TRANSPORTS = {
    "quic-ip4": (LISTEN, ""),
    "quic-ip6": ("/ip6/::1/udp/0/quic-v1", ""),
    "tcp-noise-ip4": (TCP, "noise"),
    "tcp-noise-ip6": ("/ip6/::1/tcp/0", "noise"),
    "tcp-tls-ip4": (TCP, "tls"),
    "tcp-tls-ip6": ("/ip6/::1/tcp/0", "tls"),
    "tcp-default": (TCP, ""),
    "ws-noise-ip4": (f"{TCP}/ws", "noise"),
    "ws-noise-ip6": ("/ip6/::1/tcp/0/ws", "noise"),
    "ws-tls-ip4": (f"{TCP}/ws", "tls"),
    "ws-default": (f"{TCP}/ws", ""),
}
ECHO_BYTES = int(os.environ.get("SEREUS_INTEROP_MIB", "16")) << 20
PINGS = 5
PROTOCOLS = {"tls": "/tls/1.0.0", "noise": "/noise"}
STRANGER = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
SERVICES = {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/echo/1.0.0"}
VECTORS = ROOT / "vectors" / "libp2p_messages.json"
TRANSCRIPTS = ROOT / "vectors" / "transcripts.json"


def security_options(security: str) -> list[str]:
    return ["--security", security] if security else []


def without_peer(address: str) -> str:
    return address.rpartition("/p2p/")[0]


@pytest.mark.parametrize(("listen", "security"), TRANSPORTS.values(), ids=TRANSPORTS.keys())
def test_we_dial(peers: Peers, listen: str, security: str) -> None:
    options = security_options(security)
    ready = peers.js("listener", "--listen", listen, *options).wait_for("ready")
    address = ready["addrs"][0]
    ours = peers.ours(*options, "dial", address, str(PINGS), str(ECHO_BYTES))
    assert ours.wait_for("connected")["peer"] == ready["peerId"]
    identified = ours.wait_for("identified")
    assert identified["agent"].startswith("js-libp2p/")
    assert set(identified["protocols"]) >= SERVICES
    assert identified["addrs"] == [without_peer(address)]
    assert identified["signed"]
    assert identified["skipped"] == 0
    assert f"/{listen.split('/')[3]}/" in identified["observed"]
    for _ in range(PINGS):
        assert ours.wait_for("ping")["us"] > 0
    assert ours.wait_for("echo")["bytes"] == ECHO_BYTES
    assert ours.finish() == 0


@pytest.mark.parametrize(("listen", "security"), TRANSPORTS.values(), ids=TRANSPORTS.keys())
def test_js_dials(peers: Peers, listen: str, security: str) -> None:
    options = security_options(security)
    ours = peers.ours(*options, "listen", listen)
    ready = ours.wait_for("ready")
    address = ready["addrs"][0]
    dialer = peers.js("dialer", "--dial", address, *options, "--pings", str(PINGS), "--echo", str(ECHO_BYTES))
    result = dialer.wait_for("result")
    if security:
        assert result["connection"]["encryption"] == PROTOCOLS[security]
    assert result["connection"]["remotePeer"] == ready["peer"]
    assert result["identify"]["agent"] == "interop/1"
    assert set(result["identify"]["protocols"]) == SERVICES
    assert result["identify"]["addrs"] == [without_peer(address)]
    assert result["identify"]["signedRecord"]
    assert result["pingMs"]["n"] == PINGS
    assert result["echo"]["bytes"] == ECHO_BYTES
    assert ours.wait_for("identified")["agent"].startswith("js-libp2p/")


@pytest.mark.parametrize(("listen", "security"), TRANSPORTS.values(), ids=TRANSPORTS.keys())
def test_the_wrong_peer_is_refused(peers: Peers, listen: str, security: str) -> None:
    options = security_options(security)
    address = peers.js("listener", "--listen", listen, *options).wait_for("ready")["addrs"][0]
    ours = peers.ours(*options, "dial", f"{without_peer(address)}/p2p/{STRANGER}", "1", "1")
    assert ours.wait_for("error")["code"] == "SEREUS_E_DENIED"
    assert ours.finish() == 1
    assert not any('"connected"' in line for line in ours.seen)


@pytest.mark.parametrize(("theirs", "ours", "agreed"), [("noise", "tls,noise", "noise"), ("tls", "noise,tls", "tls")])
def test_the_second_choice_when_the_first_is_refused(peers: Peers, theirs: str, ours: str, agreed: str) -> None:
    ready = peers.js("listener", "--listen", TCP, "--security", theirs).wait_for("ready")
    dialing = peers.ours("--security", ours, "dial", ready["addrs"][0], "1", "1000")
    assert dialing.wait_for("echo")["bytes"] == 1000
    assert dialing.finish() == 0
    address = peers.ours("--security", agreed, "listen", TCP).wait_for("ready")["addrs"][0]
    # js proposes Noise first when it is told "both", and TLS first when "tls-first".
    order = "both" if agreed == "tls" else "tls-first"
    dialer = peers.js("dialer", "--dial", address, "--security", order, "--pings", "1", "--echo", "1000")
    result = dialer.wait_for("result")
    assert result["connection"]["encryption"] == PROTOCOLS[agreed]
    assert result["echo"]["bytes"] == 1000


def certificate_for_loopback(folder: Path) -> Path:
    """chain.pem and key.pem for 127.0.0.1 in `folder`; returned is the file of the authority that signed them."""

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority", "-days", "30")
    openssl("req", *key, "-keyout", "key.pem", "-out", "server.csr", "-subj", "/CN=Test server")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "30"]
    openssl("x509", "-req", "-in", "server.csr", *signing, "-out", "chain.pem")
    return folder / "ca.pem"


def test_js_dials_secure_websocket(peers: Peers, tmp_path: Path) -> None:
    authority = certificate_for_loopback(tmp_path)
    ready = peers.ours("--certificate", str(tmp_path), "listen", f"{TCP}/tls/ws").wait_for("ready")
    address = ready["addrs"][0]
    assert without_peer(address).endswith("/tls/ws")
    options = ["--dial", address, "--pings", "1", "--echo", "1000000"]
    result = peers.js("dialer", *options, env={"NODE_EXTRA_CA_CERTS": str(authority)}).wait_for("result")
    assert result["connection"]["remotePeer"] == ready["peer"]
    assert result["echo"]["bytes"] == 1000000
    # Node checks the certificate; without the authority it does not go on.
    refused = peers.js("dialer", *options)
    assert refused.wait_for("error")
    assert refused.finish() != 0


@pytest.mark.parametrize("kind", ["secp256k1", "rsa 2048"])
def test_host_keys_of_other_types(peers: Peers, tmp_path: Path, kind: str) -> None:
    key = next(key for key in json.loads(VECTORS.read_text())["keys"] if key["name"] == kind)
    file = tmp_path / "key"
    file.write_bytes(bytes.fromhex(key["private"]))
    ready = peers.js("listener", "--listen", LISTEN, "--key-file", file).wait_for("ready")
    assert ready["peerId"] == key["peer"]
    ours = peers.ours("dial", ready["addrs"][0], "1", "1000")
    assert ours.wait_for("connected")["peer"] == key["peer"]
    assert ours.wait_for("identified")["signed"]
    assert ours.wait_for("echo")["bytes"] == 1000
    assert ours.finish() == 0


def test_vectors_are_what_js_makes(js: Path) -> None:
    done = subprocess.run(
        ["node", "bin/vectors.mjs", "--keep", VECTORS],
        cwd=js,
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(VECTORS.read_text())


def test_certificates_of_vectors_prove_their_peers_to_js(peers: Peers) -> None:
    vectors = json.loads(TRANSCRIPTS.read_text())
    sides = vectors["tcp_tls"]["sides"] + vectors["quic"]["sides"]
    result = peers.js("certificates", "--file", TRANSCRIPTS).wait_for("result")
    assert result["peers"] == [side["peer"] for side in sides]
