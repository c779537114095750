"""The Kad-DHT against js-libp2p, both ways, by bootstrap nodes of both kinds: lookups by peer id alone, providers, values."""

from __future__ import annotations

import pytest
from conftest import BUILD, ROOT, TCP, TRANSPORTS, Peers, Program

PROGRAM = BUILD / "test" / "interop_kad_peer"
QUIC = TRANSPORTS["quic"][0]
both_bootstraps = pytest.mark.parametrize("bootstrap_of", ["ours", "js"])


@pytest.fixture(autouse=True)
def needs_the_program() -> None:
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not built")


def ours(peers: Peers, *arguments: str) -> Program:
    program = Program([PROGRAM, *arguments], ROOT)
    peers.running.append(program)
    return program


def bootstrap(peers: Peers, kind: str, protocol: str = "") -> str:
    """The address of a DHT server that knows nobody."""
    if kind == "ours":
        options = ["--protocol", protocol] if protocol else []
        return ours(peers, "--listen", TCP, *options).wait_for("listening")["addrs"][0]
    options = ["--dht-protocol", protocol] if protocol else []
    ready = peers.js("server", "--no-ws", "--no-quic", "--no-relay", *options).wait_for("ready")
    return ready["addrs"][0]


def js_dht(peers: Peers, address: str, op: str, *arguments: str) -> dict:
    return peers.js("dht", "--bootstrap", address, "--op", op, *arguments).wait_for("result")


def our_dht(peers: Peers, address: str, op: str, *arguments: str) -> dict:
    return ours(peers, "--client", "--bootstrap", address, "--op", op, *arguments).wait_for("result")


@both_bootstraps
@pytest.mark.parametrize("mode", ["client", "server"])
def test_js_finds_ours_by_its_id_alone(peers: Peers, bootstrap_of: str, mode: str) -> None:
    address = bootstrap(peers, bootstrap_of)
    options = ["--client"] if mode == "client" else []
    listener = ours(peers, "--listen", QUIC, "--bootstrap", address, *options)
    listening = listener.wait_for("listening")
    listener.wait_for("ready")
    found = js_dht(peers, address, "findpeer", "--peer", listening["peerId"])["peer"]
    assert found["id"] == listening["peerId"]
    assert [f"{a}/p2p/{found['id']}" for a in found["addrs"]] == listening["addrs"]


@both_bootstraps
@pytest.mark.parametrize("mode", ["client", "server"])
def test_ours_finds_js_by_its_id_alone(peers: Peers, bootstrap_of: str, mode: str) -> None:
    address = bootstrap(peers, bootstrap_of)
    ready = peers.js("listener", "--listen", TCP, "--bootstrap", address, "--dht", mode).wait_for("ready")
    [found] = our_dht(peers, address, "findpeer", "--peer", ready["peerId"])["peers"]
    assert found["id"] == ready["peerId"]
    assert [f"{a}/p2p/{found['id']}" for a in found["addrs"]] == ready["addrs"]


@both_bootstraps
def test_ours_finds_ours_by_its_id_alone(peers: Peers, bootstrap_of: str) -> None:
    address = bootstrap(peers, bootstrap_of)
    listener = ours(peers, "--client", "--listen", QUIC, "--bootstrap", address)
    listening = listener.wait_for("listening")
    listener.wait_for("ready")
    result = our_dht(peers, address, "findpeer", "--peer", listening["peerId"])
    [found] = result["peers"]
    assert [f"{a}/p2p/{found['id']}" for a in found["addrs"]] == listening["addrs"]
    # js passes on addresses without the signature, so there the peer was dialed to be sure.
    if bootstrap_of == "ours":
        assert result["certified"]


@both_bootstraps
def test_providers(peers: Peers, bootstrap_of: str) -> None:
    address = bootstrap(peers, bootstrap_of)
    provider = ours(peers, "--listen", QUIC, "--bootstrap", address, "--op", "provide", "--key", "of ours")
    peer = provider.wait_for("listening")["peerId"]
    provider.wait_for("result")
    [found] = js_dht(peers, address, "findprovs", "--key", "of ours")["providers"]
    assert found["id"] == peer
    assert found["addrs"]
    theirs = peers.js("listener", "--listen", TCP, "--bootstrap", address, "--dht", "server", "--provide", "of js")
    ready = theirs.wait_for("ready")
    [found] = our_dht(peers, address, "findprovs", "--key", "of js")["peers"]
    assert found["id"] == ready["peerId"]
    assert found["addrs"]


@both_bootstraps
def test_values(peers: Peers, bootstrap_of: str) -> None:
    address = bootstrap(peers, bootstrap_of)
    assert our_dht(peers, address, "put", "--key", "a", "--value", "one")["copies"] >= 1
    assert js_dht(peers, address, "get", "--key", "a")["value"] == "one"
    js_dht(peers, address, "put", "--key", "b", "--value", "two")
    assert our_dht(peers, address, "get", "--key", "b")["value"] == "two"


@both_bootstraps
def test_networks_do_not_mix(peers: Peers, bootstrap_of: str) -> None:
    """Another protocol id is another network, even at one bootstrap node's address."""
    address = bootstrap(peers, bootstrap_of, "/sereus/one/kad/1.0.0")
    listener = ours(peers, "--listen", QUIC, "--bootstrap", address, "--protocol", "/sereus/one/kad/1.0.0")
    listening = listener.wait_for("listening")
    listener.wait_for("ready")
    options = ["--peer", listening["peerId"], "--protocol", "/sereus/one/kad/1.0.0"]
    assert our_dht(peers, address, "findpeer", *options)["peers"]
    failed = peers.js(
        "dht", "--bootstrap", address, "--op", "findpeer", "--peer", listening["peerId"], "--timeout", "5000"
    )
    assert failed.wait_for("error")
