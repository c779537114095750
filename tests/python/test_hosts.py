"""Hosts, connections and streams: an application's own protocols, over QUIC and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import sereus
from conftest import WAIT, OpenNode
from sereus import aio

pytestmark = pytest.mark.timeout(300)

ECHO = "/echo-test/1.0.0"
TRANSPORTS = {
    "quic": "/ip4/127.0.0.1/udp/0/quic-v1",
    "tcp": "/ip4/127.0.0.1/tcp/0",
    "ws": "/ip4/127.0.0.1/tcp/0/ws",
}
STRANGER = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
listens = pytest.mark.parametrize("listen", TRANSPORTS.values(), ids=TRANSPORTS.keys())


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(WAIT * 3):
            await main

    asyncio.run(limited())


async def echo(stream: aio.Stream) -> None:
    async for data in stream:
        await stream.write(data)


@listens
def test_echo_of_many_streams_at_once(listen: str) -> None:
    async def main() -> None:
        async with aio.Node() as node:
            server = await node.create_host(listen=[listen])
            await server.serve(ECHO, echo)
            client = await node.create_host()
            connection = await client.dial(await server.addresses())
            assert connection.peer == (await server.info()).peer
            assert 0 < await connection.ping() < WAIT
            told = await connection.identify()
            assert ECHO in told.protocols
            assert told.signed_record
            assert set(told.addresses) == {address.rpartition("/p2p/")[0] for address in await server.addresses()}

            async def once(number: int) -> None:
                data = bytes([number]) * 300_000
                async with await connection.open_stream(ECHO) as stream:
                    reading = asyncio.create_task(stream.read_all())
                    await stream.write(data)
                    await stream.finish()
                    assert await reading == data

            await asyncio.gather(*(once(number) for number in range(20)))

    run(main())


@listens
def test_a_slow_reader_stops_the_writer(listen: str) -> None:
    async def main() -> None:
        async with aio.Node() as node:
            server = await node.create_host(listen=[listen])
            incoming = await server.accept(ECHO)
            connection = await (await node.create_host()).dial(await server.addresses())
            stream = await connection.open_stream(ECHO)
            sent = 0

            async def write() -> None:
                nonlocal sent
                for _ in range(256):
                    await stream.write(bytes(256 * 1024))
                    sent += 256 * 1024
                await stream.finish()

            writing = asyncio.create_task(write())
            accepted = await anext(incoming)
            before = -1
            while before != sent:  # until nothing moves
                before = sent
                await asyncio.sleep(0.5)
            assert sent < 48 << 20
            got = 0
            async for data in accepted:
                got += len(data)
            await writing
            assert got == 64 << 20

    run(main())


def test_refusals() -> None:
    async def main() -> None:
        async with aio.Node() as node:
            server = await node.create_host(listen=[TRANSPORTS["quic"]])
            client = await node.create_host()
            address = (await server.addresses())[0]
            with pytest.raises(sereus.Denied):
                await client.dial(address.rpartition("/p2p/")[0] + "/p2p/" + STRANGER)
            with pytest.raises(sereus.Invalid):
                await client.dial(address.rpartition("/p2p/")[0])
            with pytest.raises(sereus.SereusError):
                await client.dial("/rubbish")
            connection = await client.dial(address)
            with pytest.raises(sereus.Unsupported):
                await connection.open_stream("/nobody/1.0.0")
            incoming = await server.accept(ECHO)
            with pytest.raises(sereus.Exists):
                await server.accept(ECHO)
            await incoming.aclose()
            with pytest.raises(sereus.Unsupported):
                await connection.open_stream(ECHO)
            with pytest.raises(sereus.NoIdentity):
                await node.host.dial(address)
            await connection.close()
            await connection.close()
            with pytest.raises(sereus.NotFound):
                await connection.ping()

    run(main())


def test_a_seed_gives_the_same_peer_id() -> None:
    async def main() -> None:
        async with aio.Node() as node:
            one = await (await node.create_host(seed=bytes(32))).info()
            two = await (await node.create_host(seed=bytes(32))).info()
            other = await (await node.create_host()).info()
            assert one.peer == two.peer != other.peer
            with pytest.raises(sereus.Invalid):
                await node.create_host(seed=b"short")

    run(main())


def test_settings() -> None:
    async def main() -> None:
        async with aio.Node() as node:
            slow = sereus.HostSettings(transports=("tcp",), security=("noise",), rates={None: (200_000, 0)})
            server = await node.create_host(listen=[TRANSPORTS["tcp"]])
            await server.serve(ECHO, echo)
            client = await node.create_host(settings=slow)
            with pytest.raises(sereus.Denied):
                await client.listen(TRANSPORTS["quic"])
            connection = await client.dial(await server.addresses())
            stream = await connection.open_stream(ECHO)
            begin = time.monotonic()
            await stream.write(bytes(600_000))
            await stream.finish()
            assert len(await stream.read_all()) == 600_000
            assert time.monotonic() - begin > 1.5  # 600 kB at 200 kB/s, less what was saved up
            await client.configure(sereus.HostSettings(transports=("quic", "tcp")))
            await client.listen(TRANSPORTS["quic"])
            await client.protect(connection.peer, "friend")
            await client.protect(connection.peer, "friend", False)
            with pytest.raises(sereus.NotFound):
                await client.protect(connection.peer, "friend", False)
            for wrong in ({"transports": ("pigeon",)}, {"security": ("none",)}, {"ipv4": False, "ipv6": False}):
                with pytest.raises(sereus.Invalid):
                    await client.configure(sereus.HostSettings(**wrong))
            await node.network_changed()

    run(main())


def test_limits_refuse_and_tell() -> None:
    async def main() -> None:
        async with aio.Node() as node:
            few = sereus.HostSettings(streams_peer_max=2, connections_max=1)
            server = await node.create_host(listen=[TRANSPORTS["quic"]], settings=few)
            incoming = await server.accept(ECHO)
            events = node.events()
            connection = await (await node.create_host()).dial(await server.addresses())
            held = [await connection.open_stream(ECHO) for _ in range(2)]
            for stream in held:
                await stream.write("x")
                await anext(incoming)
            with pytest.raises(sereus.SereusError):
                third = await connection.open_stream(ECHO)
                while True:
                    await third.write("x")
                    await third.read()
            async for event in events:
                if isinstance(event, sereus.Refused):
                    assert event.reason == sereus.RefusalReason.STREAMS_PEER
                    assert (event.host, event.protocol, event.incoming) == (server.id, ECHO, True)
                    assert event.peer and event.count >= 1 and event.reason_name
                    break
            other = await node.create_host()
            with contextlib.suppress(sereus.SereusError):  # refused before or right after the handshake
                late = await other.dial(await server.addresses())
                with pytest.raises(sereus.SereusError):
                    while True:
                        await late.ping()
            async for event in events:
                if isinstance(event, sereus.Refused):
                    assert event.reason == sereus.RefusalReason.CONNECTIONS_TOTAL
                    break
            assert await connection.ping() > 0  # who was there stays

    run(main())


def test_resets_and_events() -> None:
    async def main() -> None:
        async with aio.Node() as node:
            server = await node.create_host(listen=[TRANSPORTS["tcp"]])
            incoming = await server.accept(ECHO)
            events = node.events()
            connection = await (await node.create_host()).dial(await server.addresses())
            stream = await connection.open_stream(ECHO)
            await stream.write("x")
            accepted = await anext(incoming)
            assert accepted.peer and accepted.protocol == ECHO
            await stream.reset()
            async for event in events:
                if isinstance(event, sereus.StreamClosed) and event.stream == accepted.id:
                    break
            with pytest.raises(sereus.SereusError):
                await accepted.read_all()
            await connection.close()
            async for event in events:
                gone = isinstance(event, sereus.ConnectionEvent) and event.what == sereus.ConnectionChange.DISCONNECTED
                if gone and event.host == server.id:
                    break
            assert not await server.connections()

    run(main())


def test_a_failing_handler_resets_its_stream() -> None:
    async def fail(stream: aio.Stream) -> None:
        raise ValueError("on purpose")

    async def main() -> None:
        async with aio.Node() as node:
            server = await node.create_host(listen=[TRANSPORTS["quic"]])
            await server.serve(ECHO, fail)
            connection = await (await node.create_host()).dial(await server.addresses())
            stream = await connection.open_stream(ECHO)
            with pytest.raises(sereus.SereusError):
                while True:
                    await stream.read()

    run(main())


def test_the_nodes_own_host_carries_protocols_beside_its_stores(open_node: OpenNode) -> None:
    alice, bob = open_node("alice"), open_node("bob")
    incoming = alice.host.accept(ECHO, timeout=WAIT)

    def serve() -> None:
        for stream in incoming:
            with stream:
                stream.write(stream.read_all()[::-1])

    serving = threading.Thread(target=serve)
    serving.start()
    notes = alice.create_store("notes", timeout=WAIT)
    notes.put("k", "v")
    bob.join(alice.create_invite(timeout=WAIT), timeout=WAIT)
    bob.sync(timeout=WAIT)
    connection = bob.host.dial(alice.host.addresses, timeout=WAIT)
    assert connection.peer == alice.info().peer
    with connection.open_stream(ECHO, timeout=WAIT) as stream:
        stream.write("abc", timeout=WAIT)
        stream.finish(timeout=WAIT)
        assert stream.read_all() == b"cba"
    assert bob.open_store("notes")["k"] == b"v"
    incoming.close()
    serving.join(WAIT)
    assert not serving.is_alive()


def test_a_node_in_memory_keeps_stores_until_it_is_closed() -> None:
    with sereus.Node(offline=True, kdf_interactive=True) as node:
        node.create_identity("device", timeout=WAIT)
        store = node.create_store("notes", timeout=WAIT)
        store.put("k", "v", timeout=WAIT)
        assert store["k"] == b"v"
        assert node.info().data_folder == ""
    with sereus.Node(offline=True) as node:
        assert node.info().peer == ""


def test_through_the_daemon(tmp_path: Path) -> None:
    """Streams of a client end with it; another's are not disturbed."""
    socket = str(tmp_path / "control.sock")
    with sereus.Node(control_socket=socket) as daemon, sereus.connect(socket) as first:
        server = daemon.create_host(listen=[TRANSPORTS["quic"]], timeout=WAIT)
        incoming = server.accept(ECHO, timeout=WAIT)
        connection = first.create_host(timeout=WAIT).dial(server.addresses, timeout=WAIT)
        stream = connection.open_stream(ECHO, timeout=WAIT)
        stream.write(b"x" * 100_000, timeout=WAIT)
        accepted = incoming.next(timeout=WAIT)
        assert len(accepted.read(timeout=WAIT)) > 0
        first.close()
        with pytest.raises(sereus.SereusError):
            while True:
                accepted.read(timeout=WAIT)
