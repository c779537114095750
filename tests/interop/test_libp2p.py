"""The command against js-libp2p, each dialing the other over QUIC, and over TCP and WebSocket with TLS or Noise and yamux:
identify, ping, echo, perf, and the refusal of a wrong peer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from conftest import (
    BINARY,
    ECHO_BYTES,
    PROTOCOLS,
    ROOT,
    SECONDS,
    TCP,
    TRANSPORTS,
    Peers,
    security_options,
    without_peer,
)

MORE_TRANSPORTS = {
    "quic-ip6": ("/ip6/::1/udp/0/quic-v1", ""),
    "tcp-noise-ip6": ("/ip6/::1/tcp/0", "noise"),
    "tcp-tls-ip6": ("/ip6/::1/tcp/0", "tls"),
    "tcp-default": (TCP, ""),
    "ws-noise-ip6": ("/ip6/::1/tcp/0/ws", "noise"),
    "ws-tls": (f"{TCP}/ws", "tls"),
    "ws-default": (f"{TCP}/ws", ""),
}
ALL = TRANSPORTS | MORE_TRANSPORTS
all_transports = pytest.mark.parametrize("transport", ALL)
PERF_BYTES = ECHO_BYTES // 4
PINGS = 5
STREAMS = 100
STRANGER = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
SERVICES = {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/echo/1.0.0", "/perf/1.0.0"}
VECTORS = ROOT / "vectors"
JsListener = Callable[[str], dict]


def sereus(*arguments: str, code: int = 0) -> list[dict]:
    """What a run of the command printed; with `code`, the error it ended with."""
    done = subprocess.run([BINARY, "--json", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    return printed if code == 0 else [json.loads(done.stderr.splitlines()[-1])["error"]]


@pytest.fixture(scope="module")
def js_listener(lasting_peers: Peers) -> JsListener:
    """What the js listener of a transport said when it was ready; one for all tests."""

    @cache
    def listener(transport: str) -> dict:
        listen, security = ALL[transport]
        return lasting_peers.js("listener", "--listen", listen, *security_options(security)).wait_for("ready")

    return listener


@all_transports
def test_we_dial(js_listener: JsListener, transport: str) -> None:
    listen, _ = ALL[transport]
    ready = js_listener(transport)
    address = ready["addrs"][0]
    [identified] = sereus("identify", address)
    assert identified["peer"] == ready["peerId"]
    assert identified["agent"].startswith("js-libp2p/")
    assert set(identified["protocols"]) >= SERVICES
    assert identified["addrs"] == [without_peer(address)]
    assert identified["signed"]
    assert f"/{listen.split('/')[3]}/" in identified["observed"]
    *pings, summary = sereus("ping", address, "-n", str(PINGS))
    assert summary["n"] == len(pings) == PINGS
    assert summary["min_us"] > 0
    size = ECHO_BYTES if transport in TRANSPORTS else 1 << 20
    [echoed] = sereus("echo", address, "--bytes", str(size))
    assert echoed["bytes"] == size
    assert echoed["verified"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_we_dial_and_do_much_at_once(js_listener: JsListener, transport: str) -> None:
    address = js_listener(transport)["addrs"][0]
    [echoed] = sereus("echo", address, "--bytes", "100000", "--streams", str(STREAMS))
    assert echoed["bytes"] == 100000 * STREAMS
    # Half-close: js answers after our end.
    [measured] = sereus("perf", address, "--up", str(PERF_BYTES), "--down", str(PERF_BYTES))
    assert measured["up"] == measured["down"] == PERF_BYTES


@all_transports
def test_js_dials(peers: Peers, transport: str) -> None:
    listen, security = ALL[transport]
    ready = peers.sereus("listen", "--listen", listen, "--echo").wait_for("listening")
    address = ready["addrs"][0]
    size = ECHO_BYTES if transport in TRANSPORTS else 1 << 20
    options = ["--dial", address, *security_options(security), "--pings", str(PINGS), "--echo", str(size)]
    # Half-close, the other way: we answer after js's end.
    perf = ["--up", str(PERF_BYTES), "--down", str(PERF_BYTES)] if transport in TRANSPORTS else []
    result = peers.js("dialer", *options, *perf, "--timeout", str(SECONDS * 1000)).wait_for("result")
    if security:
        assert result["connection"]["encryption"] == PROTOCOLS[security]
    assert result["connection"]["remotePeer"] == ready["peer"]
    assert result["identify"]["agent"].startswith("sereus/")
    assert set(result["identify"]["protocols"]) == SERVICES
    assert result["identify"]["addrs"] == [without_peer(address)]
    assert result["identify"]["signedRecord"]
    assert result["pingMs"]["n"] == PINGS
    assert result["echo"]["bytes"] == size
    if perf:
        assert result["up"]["up"] == result["down"]["down"] == PERF_BYTES


@all_transports
def test_the_wrong_peer_is_refused(js_listener: JsListener, transport: str) -> None:
    address = f"{without_peer(js_listener(transport)['addrs'][0])}/p2p/{STRANGER}"
    [error] = sereus("ping", address, code=1)
    assert error["status"] == "SEREUS_E_DENIED", error


@pytest.mark.parametrize(("theirs", "ours", "agreed"), [("noise", "tls,noise", "noise"), ("tls", "noise,tls", "tls")])
def test_the_second_choice_when_the_first_is_refused(peers: Peers, theirs: str, ours: str, agreed: str) -> None:
    ready = peers.js("listener", "--listen", TCP, "--security", theirs).wait_for("ready")
    [echoed] = sereus("echo", ready["addrs"][0], "--bytes", "1000", "--security", ours)
    assert echoed["verified"]
    listener = peers.sereus("listen", "--listen", TCP, "--echo", "--security", agreed)
    address = listener.wait_for("listening")["addrs"][0]
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
    files = ["--certificate", str(tmp_path / "chain.pem"), "--key", str(tmp_path / "key.pem")]
    ready = peers.sereus("listen", "--listen", f"{TCP}/tls/ws", "--echo", *files).wait_for("listening")
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


def test_we_dial_secure_websocket(peers: Peers, tmp_path: Path) -> None:
    authority = certificate_for_loopback(tmp_path)
    files = ["--certificate", tmp_path / "chain.pem", "--key", tmp_path / "key.pem"]
    ready = peers.js("listener", "--listen", f"{TCP}/tls/ws", *files).wait_for("ready")
    address = ready["addrs"][0]
    assert without_peer(address).endswith("/tls/ws")
    [echoed] = sereus("echo", address, "--bytes", "1000000", "--authorities", str(authority))
    assert echoed["verified"]
    # Our side looks at the certificate, too, unless it is told that the peer inside is enough.
    [error] = sereus("echo", address, code=1)
    assert "certificate" in error["message"], error
    [echoed] = sereus("echo", address, "--bytes", "1000", "--any-server")
    assert echoed["verified"]


@pytest.mark.parametrize("kind", ["secp256k1", "rsa 2048"])
def test_host_keys_of_other_types(peers: Peers, tmp_path: Path, kind: str) -> None:
    key = next(key for key in json.loads((VECTORS / "libp2p_messages.json").read_text())["keys"] if key["name"] == kind)
    file = tmp_path / "key"
    file.write_bytes(bytes.fromhex(key["private"]))
    ready = peers.js("listener", "--listen", TRANSPORTS["quic"][0], "--key-file", file).wait_for("ready")
    assert ready["peerId"] == key["peer"]
    [identified] = sereus("identify", ready["addrs"][0])
    assert identified["peer"] == key["peer"]
    assert identified["signed"]
    [echoed] = sereus("echo", ready["addrs"][0], "--bytes", "1000")
    assert echoed["verified"]


@pytest.mark.parametrize(
    ("program", "file"),
    [
        ("vectors", "libp2p_messages.json"),
        ("wire", "libp2p_wire.json"),
        ("circuit", "libp2p_circuit.json"),
        ("kad", "libp2p_kad.json"),
        ("nat", "libp2p_nat.json"),
    ],
)
def test_vectors_are_what_js_makes(js: Path, program: str, file: str) -> None:
    command = ["node", f"bin/{program}.mjs"]
    if program == "vectors":
        command += ["--keep", str(VECTORS / file)]
    done = subprocess.run(command, cwd=js, capture_output=True, text=True, timeout=10 * SECONDS, check=True)
    assert json.loads(done.stdout) == json.loads((VECTORS / file).read_text())


def test_js_agrees_with_vectors_of_others(peers: Peers) -> None:
    """Names, certificates, Noise handshakes."""
    checked = peers.js("checks", "--vectors", VECTORS).wait_for("result")
    assert checked["names"] >= 14
    assert checked["certificates"] >= 8
    assert checked["noise"] >= 4
