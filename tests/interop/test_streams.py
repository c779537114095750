"""One connection with js-libp2p over each transport, dialed by either side, and every way in which a stream can go.

Our side is the Python package, js-libp2p does what it is told (js/bin/streams.mjs). The tests of a connection run one after the
other on it, so each shows that the ones before left it usable.
"""

from __future__ import annotations

import hashlib
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from conftest import ECHO_BYTES, PROTOCOLS, SECONDS, TRANSPORTS, Peers, Program, security_options

sereus = pytest.importorskip("sereus", reason="the Python package is not installed")

ECHO = "/echo/1.0.0"
DIGEST = "/digest-test/1.0.0"  # js/lib/scenarios.mjs says what these are
RESET = "/reset-test/1.0.0"
WATCH = "/watch-test/1.0.0"
SLOW = "/slow-test/1.0.0"
RESET_AFTER = 100_000
STREAMS = 100
FLOOD_BYTES = 64 << 20
# What may be under way to a reader that does not read: windows of a stream (16 MiB), what both sides' hosts and sockets hold.
HELD_MAX = 40 << 20
PART = 256 << 10
BLOCK = random.Random(3).randbytes((1 << 20) + 13)
BLOCKS = BLOCK + BLOCK[:PART]


def part_at(at: int, size: int) -> bytes:
    """Bytes `at` to `at + size` of what is sent; size up to PART."""
    start = at % len(BLOCK)
    return BLOCKS[start : start + size]


def parts(total: int) -> Iterator[bytes]:
    for at in range(0, total, PART):
        yield part_at(at, min(PART, total - at))


@dataclass
class Link:
    """A connection between one of our hosts and js."""

    host: sereus.Host
    connection: sereus.Connection
    js: Program
    transport: str
    released: threading.Event  # our slow protocol reads from then on
    watched: list[Exception | int]  # what our watch protocol saw: how many bytes until the end, or the error

    def tell(self, order: str, **options: int) -> None:
        self.js.tell({"do": order, **options})

    def ask(self, order: str, **options: int) -> dict:
        self.tell(order, **options)
        return self.js.wait_for(order)

    def open(self, protocol: str) -> sereus.Stream:
        return self.connection.open_stream(protocol, timeout=SECONDS)

    def echo(self, total: int) -> None:
        with ThreadPoolExecutor(1) as pool, self.open(ECHO) as stream:
            writing = pool.submit(write_all, stream, total)
            received = 0
            while data := stream.read(PART, timeout=SECONDS):
                assert data == part_at(received, len(data)), f"the echo differs behind byte {received}"
                received += len(data)
            assert received == total
            writing.result(timeout=SECONDS)

    def is_usable(self) -> None:
        self.echo(100_000)
        assert self.ask("echo", bytes=100_000)["bytes"] == 100_000


def write_all(stream: sereus.Stream, total: int) -> None:
    for part in parts(total):
        stream.write(part, timeout=SECONDS)
    stream.finish(timeout=SECONDS)


def digest_of(total: int) -> bytes:
    digest = hashlib.sha256()
    for part in parts(total):
        digest.update(part)
    return digest.hexdigest().encode()


# ---- Our side of the protocols


def serve(host: sereus.Host, protocol: str, handler: Callable[[sereus.Stream], None]) -> None:
    incoming = host.accept(protocol, timeout=SECONDS)

    def take() -> None:
        for stream in incoming:
            threading.Thread(target=handler, args=(stream,), daemon=True).start()

    threading.Thread(target=take, daemon=True).start()


def answer_echo(stream: sereus.Stream) -> None:
    with stream:
        for data in stream:
            stream.write(data)


def answer_digest(stream: sereus.Stream) -> None:
    with stream:
        digest = hashlib.sha256()
        for data in stream:
            digest.update(data)
        stream.write(digest.hexdigest().encode())


def answer_reset(stream: sereus.Stream) -> None:
    received = 0
    while received < RESET_AFTER:
        received += len(stream.read())
    stream.reset()


def serve_all(link: Link) -> None:
    def answer_watch(stream: sereus.Stream) -> None:
        received = 0
        try:
            for data in stream:
                received += len(data)
            link.watched.append(received)
            stream.finish()
        except sereus.SereusError as error:
            link.watched.append(error)

    def answer_slow(stream: sereus.Stream) -> None:
        link.released.wait()
        answer_digest(stream)

    for protocol, handler in {
        ECHO: answer_echo,
        DIGEST: answer_digest,
        RESET: answer_reset,
        WATCH: answer_watch,
        SLOW: answer_slow,
    }.items():
        serve(link.host, protocol, handler)


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {SECONDS} s for: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="module", params=[f"{name}-{who}" for name in TRANSPORTS for who in ("we dial", "js dials")])
def link(request: pytest.FixtureRequest, js: object) -> Iterator[Link]:
    name, _, who = request.param.rpartition("-")
    listen, security = TRANSPORTS[name]
    peers = Peers(js)
    node = sereus.Node()
    try:
        if who == "we dial":
            program = peers.js("streams", "--listen", listen, *security_options(security))
            ready = program.wait_for("ready")
            made = Link(node.create_host(), None, program, name, threading.Event(), [])
            serve_all(made)
            made.connection = made.host.dial(ready["addrs"][0], timeout=SECONDS)
            assert made.connection.peer == ready["peerId"]
        else:
            made = Link(node.create_host(listen=[listen]), None, None, name, threading.Event(), [])
            serve_all(made)
            made.js = peers.js("streams", "--dial", made.host.addresses[0], *security_options(security))
            until(made.host.connections, "js's connection")
            # The connection that is there.
            made.connection = made.host.dial(peer=made.host.connections()[0].peer, timeout=SECONDS)
        if security:
            assert made.js.wait_for("connected")["encryption"] == PROTOCOLS[security]
        yield made
    finally:
        peers.stop()
        node.close(timeout=SECONDS)


def test_identify_and_ping(link: Link) -> None:
    told = link.connection.identify(timeout=SECONDS)
    assert told.agent.startswith("js-libp2p/")
    assert {ECHO, DIGEST, RESET, WATCH, SLOW} <= set(told.protocols)
    assert link.connection.ping(timeout=SECONDS) > 0
    assert link.ask("ping")["ms"] >= 0


def test_both_directions_at_once(link: Link) -> None:
    link.tell("echo", bytes=ECHO_BYTES)
    link.echo(ECHO_BYTES)
    assert link.js.wait_for("echo")["bytes"] == ECHO_BYTES


def test_a_hundred_streams_of_each_side_at_once(link: Link) -> None:
    link.tell("echoes", bytes=30_000, streams=STREAMS)
    with ThreadPoolExecutor(STREAMS) as pool:
        for done in [pool.submit(link.echo, 30_000) for _ in range(STREAMS)]:
            done.result(timeout=SECONDS)
    assert link.js.wait_for("echoes")["streams"] == STREAMS


def test_half_close(link: Link) -> None:
    """The answer comes after the end of the question, and needs all of it."""
    for total in (0, 1, 1_000_000):
        with link.open(DIGEST) as stream:
            write_all(stream, total)
            assert stream.read_all() == digest_of(total)
        assert link.ask("digest", bytes=total)["bytes"] == total


def test_js_resets(link: Link) -> None:
    stream = link.open(RESET)
    with pytest.raises(sereus.SereusError):
        for part in parts(1 << 30):
            stream.write(part, timeout=SECONDS)
    with pytest.raises(sereus.SereusError):
        stream.read_all()
    link.tell("reset", bytes=1_000_000)
    assert link.js.wait_for("reset")["bytes"] == 1_000_000
    until(lambda: link.watched, "the stream that js reset")
    assert isinstance(link.watched.pop(), sereus.SereusError)
    link.is_usable()


def test_we_reset(link: Link) -> None:
    stream = link.open(WATCH)
    stream.write(part_at(0, PART), timeout=SECONDS)
    stream.reset()
    with pytest.raises(sereus.SereusError):
        stream.write(b"more", timeout=SECONDS)
    watched = link.js.wait_for("watched")
    ended = link.ask("beReset")
    # js-libp2p's QUIC says that a stream was reset to its log, and to the application that it ended.
    assert watched["error"] or link.transport == "quic"
    assert ended["error"] or link.transport == "quic"
    link.is_usable()


def flood(stream: sereus.Stream, pool: ThreadPoolExecutor) -> tuple[list[int], Callable[[], None]]:
    """Writes FLOOD_BYTES to js's slow protocol: how much of it has been taken, and what waits for the right answer."""
    taken = [0]

    def write() -> None:
        for part in parts(FLOOD_BYTES):
            stream.write(part)
            taken[0] += len(part)
        stream.finish()

    writing = pool.submit(write)

    def answer() -> None:
        writing.result(timeout=SECONDS)
        assert stream.read_all() == digest_of(FLOOD_BYTES)

    return taken, answer


def stalls(count: Callable[[], int]) -> int:
    """What `count` has come to when it has not changed for a while."""
    at, since = count(), time.monotonic()
    while time.monotonic() < since + 0.5:
        time.sleep(0.05)
        if (now := count()) != at:
            at, since = now, time.monotonic()
    return at


def test_a_stopped_js_stops_our_writer(link: Link) -> None:
    """The whole process stops: js-libp2p's QUIC reads ahead of its application without an end."""
    stream = link.open(SLOW)
    with ThreadPoolExecutor(1) as pool:
        if link.transport == "quic":
            link.js.process.send_signal(signal.SIGSTOP)
            try:
                taken, answer = flood(stream, pool)
                assert stalls(lambda: taken[0]) < HELD_MAX
            finally:
                link.js.process.send_signal(signal.SIGCONT)
        else:
            taken, answer = flood(stream, pool)
            assert stalls(lambda: taken[0]) < HELD_MAX
            link.is_usable()
            assert taken[0] < HELD_MAX
        link.ask("release")
        answer()
    link.is_usable()


def test_who_does_not_read_stops_js(link: Link) -> None:
    link.tell("flood", bytes=FLOOD_BYTES)
    assert stalls(lambda: link.ask("flooded")["bytes"]) < HELD_MAX
    link.is_usable()
    assert link.ask("flooded")["bytes"] < HELD_MAX
    link.released.set()
    assert link.js.wait_for("flood")["bytes"] == FLOOD_BYTES
    link.is_usable()
