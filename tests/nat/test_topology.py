"""Each NAT of topology.py does what its kind says: looked at with plain sockets, before any node is trusted to find out."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from topology import KINDS, PORT, Host, Internet

QUIET_S = 0.3  # long for a bridge in the kernel: what has not come by then was dropped


def exchange(sender: socket.socket, to: tuple[str, int], receiver: socket.socket, word: bytes) -> tuple | None:
    """Sends, and gives whence it came if it did."""
    sender.sendto(word, to)
    receiver.settimeout(QUIET_S)
    try:
        while True:
            data, source = receiver.recvfrom(100)
            if data == word:
                return source
    except TimeoutError:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_nat_maps_and_filters_as_its_kind_says(wire: Internet, kind: str) -> None:
    first, second, node = wire.add("open"), wire.add("open"), wire.add(kind)
    inside = node.udp(PORT)
    one, other_port, other = first.udp(1000), first.udp(2000), second.udp(1000)
    seen = exchange(inside, (first.outside, 1000), one, b"out")
    if kind == "udp_blocked":
        assert seen is None
        return
    assert seen is not None and seen[0] == node.outside
    # Where it goes out for others.
    mapped = {
        seen,
        exchange(inside, (first.outside, 2000), other_port, b"again"),
        exchange(inside, (second.outside, 1000), other, b"elsewhere"),
    }
    assert None not in mapped
    assert (len(mapped) == 1) == (kind != "symmetric")
    # A mapping that has sent to one place alone.
    fresh = node.udp(PORT + 1)
    seen = exchange(fresh, (first.outside, 1000), one, b"fresh")
    assert seen is not None
    assert exchange(one, seen, fresh, b"answer") == (first.outside, 1000)
    open_to_all = kind in ("open", "full_cone")
    assert (exchange(other_port, seen, fresh, b"port") is not None) == open_to_all
    assert (exchange(other, seen, fresh, b"stranger") is not None) == open_to_all


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("open", "udp_blocked")])
def test_nobody_comes_in_before_something_went_out(wire: Internet, kind: str) -> None:
    stranger, node = wire.add("open"), wire.add(kind)
    inside, outside = node.udp(PORT), stranger.udp(1000)
    assert exchange(outside, (node.outside, PORT), inside, b"hello") is None
    # And the router's memory of that stranger does not change what it does afterwards.
    seen = exchange(inside, (stranger.outside, 1000), outside, b"out")
    assert seen is not None
    if kind != "symmetric":
        assert seen[1] == PORT, "ports are kept"


def test_tcp_goes_out_everywhere_and_comes_in_nowhere_but_to_open_hosts(wire: Internet) -> None:
    server = wire.add("open")
    listener = server.tcp(PORT)
    listener.listen(16)
    for kind in KINDS:
        node = wire.add(kind)
        out = node.tcp()
        out.connect((server.outside, PORT))
        taken, source = listener.accept()
        assert source[0] == node.outside
        out.sendall(b"word")
        assert taken.recv(4) == b"word"
        inside = node.tcp(PORT)
        inside.listen(1)
        back = server.tcp()
        back.settimeout(QUIET_S)
        if kind == "open":
            back.connect((node.outside, PORT))
        else:
            with pytest.raises((TimeoutError, ConnectionError)):
                back.connect((node.outside, PORT))


# RFC 5128 section 3.3, by the kinds' definitions: whether datagrams of both sides get through when both send to where a third
# party saw the other.
def can_punch(a: str, b: str) -> bool:
    if "udp_blocked" in (a, b):
        return False
    open_to_all = ("open", "full_cone")
    if a in open_to_all or b in open_to_all:
        return True
    return "symmetric" not in (a, b)


def meets(a: Host, b: Host, rendezvous: Host) -> bool:
    """Both send to where the third saw the other, and then to where they hear the other from."""
    at_a, at_b, third = a.udp(PORT), b.udp(PORT), rendezvous.udp(1000)
    seen_a = exchange(at_a, (rendezvous.outside, 1000), third, b"a")
    seen_b = exchange(at_b, (rendezvous.outside, 1000), third, b"b")
    if seen_a is None or seen_b is None:
        return False
    for _ in range(2):
        at_a.sendto(b"punch", seen_b)
        at_b.sendto(b"punch", seen_a)
    for receiver, answerer in ((at_a, at_b), (at_b, at_a)):
        receiver.settimeout(QUIET_S)
        try:
            data, source = receiver.recvfrom(100)
        except TimeoutError:
            continue
        if data == b"punch" and exchange(receiver, source, answerer, b"got it") is not None:
            return True
    return False


@pytest.mark.parametrize("a", KINDS)
@pytest.mark.parametrize("b", KINDS)
def test_datagrams_meet_where_the_kinds_allow_it(wire: Internet, a: str, b: str) -> None:
    rendezvous = wire.add("open")
    assert meets(wire.add(a), wire.add(b), rendezvous) == can_punch(a, b)


def start_listening(host: Host, binary: Path, data: Path) -> list[str]:
    """A host of ours with its addresses."""
    process = host.start(
        str(binary),
        "--json",
        "listen",
        "--echo",
        "--listen",
        f"/ip4/{host.inside}/udp/{PORT}/quic-v1",
        "--listen",
        f"/ip4/{host.inside}/tcp/{PORT}",
        stdout=-1,
        text=True,
        cwd=data,
    )
    assert process.stdout is not None
    return json.loads(process.stdout.readline())["addrs"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_public_host_of_ours_is_pinged_from_behind(wire: Internet, kind: str, binary: Path, tmp_path: Path) -> None:
    server, node = wire.add("open"), wire.add(kind)
    addresses = start_listening(server, binary, tmp_path)
    for address in addresses:
        # What does not get through ends by its own time.
        done = node.run(str(binary), "--timeout", "10", "ping", "-n", "2", address)
        works = kind != "udp_blocked" or "/tcp/" in address
        assert (done.returncode == 0) == works, f"{address}: {done.stdout} {done.stderr}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_of_ours_behind_is_not_pinged_unless_it_is_open(
    wire: Internet, kind: str, binary: Path, tmp_path: Path
) -> None:
    stranger, node = wire.add("open"), wire.add(kind)
    addresses = start_listening(node, binary, tmp_path)
    for address in addresses:
        outside = address.replace(node.inside, node.outside)
        done = stranger.run(str(binary), "--timeout", "4", "ping", "-n", "1", outside)
        assert (done.returncode == 0) == (kind == "open"), f"{outside}: {done.stdout} {done.stderr}"
