"""Circuit Relay v2 against js-libp2p: our client on its relay, and its clients on ours, dialing in every direction."""

from __future__ import annotations

import os

import pytest
from conftest import TCP, TRANSPORTS, Peers, Program, security_options

CHURN_ROUNDS = int(os.environ.get("SEREUS_INTEROP_CHURN", "5"))
BYTES = 20_000
LIMIT = 131_072  # of both implementations, of a circuit
JS_TRANSPORTS = {name: TRANSPORTS[name] for name in ("quic", "tcp-noise", "tcp-tls")}
transports = pytest.mark.parametrize("transport", JS_TRANSPORTS)


def js_relay(peers: Peers, transport: str, *more: str) -> tuple[Program, str]:
    listen, security = TRANSPORTS[transport]
    relay = peers.js("relay", "--listen", listen, *security_options(security), *more)
    return relay, relay.wait_for("ready")["addrs"][0]


def our_relay(peers: Peers, transport: str) -> tuple[Program, str]:
    relay = peers.native("relay_peer", "relay", "--listen", TRANSPORTS[transport][0])
    return relay, relay.wait_for("ready")["addrs"][0]


def our_listener(peers: Peers, relay: str) -> tuple[dict, dict]:
    listener = peers.native("relay_peer", "listen", "--relay", relay)
    return listener.wait_for("reserved"), listener.wait_for("ready")


def our_dial(peers: Peers, to: str) -> dict:
    return peers.native("relay_peer", "dial", "--to", to, "--bytes", str(BYTES)).wait_for("result")


def js_dial(peers: Peers, to: str) -> dict:
    return peers.js("dialer", "--dial", to, "--echo", str(BYTES), "--pings", "3").wait_for("result")


@transports
def test_our_client_on_its_relay(peers: Peers, transport: str) -> None:
    """We reserve there, with its voucher verified, and are dialed through it by js and by ours."""
    _, relay = js_relay(peers, transport)
    reserved, ready = our_listener(peers, relay)
    assert reserved["bytes"] == LIMIT
    assert reserved["seconds"] == 120  # which it writes in milliseconds
    assert 7000 < reserved["life"] <= 7201  # which it rounds up
    assert f"{relay}/p2p-circuit" in reserved["addresses"]
    address = f"{relay}/p2p-circuit/p2p/{ready['peerId']}"
    assert address in ready["addrs"]
    theirs = js_dial(peers, address)
    assert theirs["connection"]["remotePeer"] == ready["peerId"]
    assert theirs["connection"]["limits"]["bytes"]
    assert theirs["identify"]["signedRecord"]
    assert theirs["echo"]["bytes"] == BYTES
    ours = our_dial(peers, address)
    assert ours == {"event": "result", "bytes": BYTES, "same": True, "relay": relay.split("/")[-1], "limit": LIMIT}


@transports
def test_we_dial_its_listener_through_its_relay(peers: Peers, transport: str) -> None:
    _, relay = js_relay(peers, transport)
    ready = peers.js("listener", "--relay", relay).wait_for("ready")
    ours = our_dial(peers, ready["relayed"])
    assert ours["same"]
    assert ours["relay"] == relay.split("/")[-1]


@transports
def test_its_clients_on_our_relay(peers: Peers, transport: str) -> None:
    """js reserves on ours, and is dialed through it by both; the circuits end in order, and their bytes were counted."""
    relay, address = our_relay(peers, transport)
    # Its TLS does not work over circuits, not even with itself: there it needs Noise beside it.
    security = "tls-first" if transport == "tcp-tls" else ""
    ready = peers.js("listener", "--relay", address, *security_options(security)).wait_for("ready")
    assert relay.wait_for("granted")["peer"] == ready["peerId"]
    theirs = js_dial(peers, ready["relayed"])
    assert theirs["connection"]["remotePeer"] == ready["peerId"]
    assert theirs["connection"]["limits"]["bytes"]
    assert theirs["echo"]["bytes"] == BYTES
    assert relay.wait_for("circuit")["target"] == ready["peerId"]
    closed = relay.wait_for("circuit closed")
    assert closed["to_target"] > BYTES
    assert closed["to_source"] > BYTES
    assert our_dial(peers, ready["relayed"])["same"]


@transports
def test_js_dials_ours_through_our_relay(peers: Peers, transport: str) -> None:
    _, address = our_relay(peers, transport)
    _, ready = our_listener(peers, address)
    assert js_dial(peers, f"{address}/p2p-circuit/p2p/{ready['peerId']}")["echo"]["bytes"] == BYTES


def test_a_wrong_target_is_refused(peers: Peers) -> None:
    """The relay has no reservation of the peer that the address names."""
    _, relay = js_relay(peers, "tcp-noise")
    our_listener(peers, relay)
    stranger = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
    dialer = peers.native("relay_peer", "dial", "--to", f"{relay}/p2p-circuit/p2p/{stranger}")
    assert dialer.wait_for("circuit refused")["status"] == "no_reservation"
    assert dialer.finish() == 1


def test_a_full_relay_refuses(peers: Peers) -> None:
    _, relay = js_relay(peers, "tcp-noise", "--reservations", "1")
    our_listener(peers, relay)
    second = peers.native("relay_peer", "listen", "--relay", relay)
    assert second.wait_for("refused")["status"] == "reservation_refused"


def test_a_relay_that_comes_back_serves_again(peers: Peers) -> None:
    """Killed and started again, at the same place: the reservation is lost, told, and made again by itself."""
    relay = peers.js("relay", "--listen", TCP, "--seed", "relay")
    address = relay.wait_for("ready")["addrs"][0]
    port = address.split("/")[4]
    listener = peers.native("relay_peer", "listen", "--relay", address)
    listener.wait_for("reserved")
    peer = listener.wait_for("ready")["peerId"]
    for _ in range(CHURN_ROUNDS):
        relay.stop()
        assert listener.wait_for("lost")["reason"] == "disconnected"
        relay = peers.js("relay", "--listen", TCP.replace("/0", f"/{port}"), "--seed", "relay")
        relay.wait_for("ready")
        listener.wait_for("reserved")
        assert our_dial(peers, f"{address}/p2p-circuit/p2p/{peer}")["same"]
