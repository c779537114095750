"""Hosts, connections and streams for asyncio; sereus.aio has them."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self

from . import _core as c
from . import _types as t
from ._aio_pump import Pump, Reader
from ._errors import NotFound, SereusError


class Stream:
    """A stream with a peer: bytes in order, both ways, each way ended on its own.

    A peer that does not read makes write() wait; what nobody reads here makes the peer wait. `async with` finishes it at the
    end of the block, and resets it after an exception. `async for data in stream` reads to the peer's end.
    """

    def __init__(self, pump: Pump, stream: int, connection: int, protocol: str, peer: str) -> None:
        self._pump = pump
        self._writing = asyncio.Lock()
        self._finished = False
        self._ended = False
        self.id = stream
        self.connection = connection
        self.protocol = protocol
        self.peer = peer

    def __repr__(self) -> str:
        return f"<sereus.aio.Stream {self.id} {self.protocol}>"

    async def read(self, size: int = 0) -> bytes:
        """Bytes as they come, at most `size` (0: 64 KiB); b"" at the peer's end."""
        if self._ended:
            return b""
        data, self._ended = await self._pump.run(c.chunk, self._pump.handle.stream_read, self.id, size)
        return data

    async def read_all(self) -> bytes:
        """Everything up to the peer's end."""
        return b"".join([data async for data in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read(c.STREAM_WRITE):
            yield data

    async def write(self, data: c.Data) -> None:
        """Returns when the connection has taken all of it."""
        whole = memoryview(c.to_bytes(data))
        async with self._writing:
            for start in range(0, len(whole), c.STREAM_WRITE):
                part = bytes(whole[start : start + c.STREAM_WRITE])
                await self._pump.run(c.nothing, self._pump.handle.stream_write, self.id, part, False)

    async def finish(self) -> None:
        """Nothing more is written; the peer reads its end. Twice is fine."""
        async with self._writing:
            if not self._finished:
                self._finished = True
                await self._pump.run(c.nothing, self._pump.handle.stream_write, self.id, b"", True)

    async def reset(self) -> None:
        """Ends both ways at once; what was not sent is lost."""
        with contextlib.suppress(NotFound):
            await self._pump.run(c.nothing, self._pump.handle.stream_reset, self.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            await self.reset()
        elif not self._finished:
            await self.finish()


class Incoming(Reader[Stream]):
    """The streams that peers open for a protocol; made by Host.accept(). Ending it removes the protocol."""


class Connection:
    """A connection with a peer whose id the handshake has proved."""

    def __init__(self, pump: Pump, connection: int, peer: str) -> None:
        self._pump = pump
        self.id = connection
        self.peer = peer

    def __repr__(self) -> str:
        return f"<sereus.aio.Connection {self.id} {self.peer}>"

    async def open_stream(self, protocol: str) -> Stream:
        """Raises Unsupported when the peer does not speak it."""
        number = await self._pump.run(c.stream_number, self._pump.handle.stream_open, self.id, protocol)
        return Stream(self._pump, number, self.id, protocol, self.peer)

    async def ping(self) -> float:
        """The round trip, in seconds."""
        return await self._pump.run(c.seconds, self._pump.handle.ping, self.id)

    async def identify(self) -> t.ConnectionInfo:
        """What the peer says of itself; waits until it has."""
        await self._pump.run(c.nothing, self._pump.handle.identify, self.id)
        return await self.info()

    async def info(self) -> t.ConnectionInfo:
        """Raises NotFound when it is over."""
        for row in await self._pump.read(self._pump.handle.connections):
            if row[0] == self.id:
                return c.connection_info(row)
        raise NotFound("there is no such connection; it may have ended")

    async def close(self) -> None:
        """Ends it with all its streams. Twice is fine."""
        with contextlib.suppress(NotFound):
            await self._pump.run(c.nothing, self._pump.handle.disconnect, self.id)


class Host:
    """A libp2p host of a node: a peer id with its sockets. Made by Node.create_host(); Node.host is the node's own."""

    def __init__(self, pump: Pump, host: int) -> None:
        self._pump = pump
        self.id = host

    def __repr__(self) -> str:
        return f"<sereus.aio.Host {self.id}>"

    async def info(self) -> t.HostInfo:
        """Peer id, addresses, protocols. Raises NotFound while it is not there (the own one: without identity, or offline)."""
        for row in await self._pump.read(self._pump.handle.hosts):
            if row[0] == self.id:
                return c.host_info(row)
        raise NotFound("there is no such host; the node's own needs an identity and to be online")

    async def addresses(self) -> builtins.list[str]:
        """Where it listens, with /p2p: what others dial."""
        return list((await self.info()).addresses)

    async def configure(self, settings: t.HostSettings) -> None:
        """Changes all settings while it runs, but `security` and the files; connections that are there stay."""
        await self._pump.run(c.nothing, self._pump.handle.host_configure, self.id, c.settings_dict(settings))

    async def protect(self, peer: str, tag: str, on: bool = True) -> None:
        """Keeps the connections of a peer when there are too many, until no tag is left."""
        await self._pump.run(c.nothing, self._pump.handle.peer_protect, self.id, peer, tag, on)

    async def listen(self, address: str) -> builtins.list[str]:
        """Listens on one more multiaddr; returns all addresses."""
        return await self._pump.run(c.lines, self._pump.handle.host_listen, self.id, address)

    async def dial(self, address: str | Iterable[str] | None = None, *, peer: str | None = None) -> Connection:
        """Connects to a peer at one of its multiaddrs, or uses the connection there is.

        Without `peer` the addresses say who must answer (/p2p). Raises Unreachable, Timeout, and Denied when somebody else
        answers there.
        """
        number, found = await self._pump.run(
            c.connection_number, self._pump.handle.dial, self.id, peer, c.address_lines(address)
        )
        return Connection(self._pump, number, found)

    async def accept(self, protocol: str) -> Incoming:
        """`async for stream in await host.accept("/example/1.0.0")`: the streams that peers open. Raises Exists."""
        pump = self._pump
        state = c.IncomingBuffer(pump.core, self.id, protocol, lambda e: Stream(pump, e[4], e[3], e[5], e[6]))
        pump.core.incoming.setdefault((self.id, protocol), state)
        try:
            await pump.run(c.nothing, pump.handle.protocol_add, self.id, protocol)
        except BaseException:
            if pump.core.incoming.get((self.id, protocol)) is state:
                del pump.core.incoming[(self.id, protocol)]
            raise
        return Incoming(pump, state)

    async def serve(self, protocol: str, handler: Callable[[Stream], Awaitable[None]]) -> Incoming:
        """Runs `handler(stream)` as a task for every stream that a peer opens, and finishes the stream after it.

        An exception of the handler resets its stream and is logged. Ending the result (`aclose()`) ends the serving.
        """
        incoming = await self.accept(protocol)

        async def run(stream: Stream) -> None:
            try:
                async with stream:
                    await handler(stream)
            except SereusError as error:
                self._pump.core.log.debug("%s: %s", protocol, error)
            except Exception:
                self._pump.core.log.exception("the handler of %s failed", protocol)

        async def take() -> None:
            async for stream in incoming:
                self._keep(asyncio.create_task(run(stream)))

        self._keep(asyncio.create_task(take()))
        return incoming

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._pump.tasks.add(task)
        task.add_done_callback(self._pump.tasks.discard)

    async def connections(self) -> builtins.list[t.ConnectionInfo]:
        rows = await self._pump.read(self._pump.handle.connections)
        return [c.connection_info(row) for row in rows if row[1] == self.id]

    async def close(self) -> None:
        """Closes it with all its connections; the node's own stays. Twice is fine."""
        with contextlib.suppress(NotFound):
            await self._pump.run(c.nothing, self._pump.handle.host_close, self.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def create_host(pump: Pump, listen: Iterable[str] | None, seed: bytes, settings: t.HostSettings | None) -> Host:
    addresses: Any = None if listen is None else list(listen)
    number, _ = await pump.run(c.host_number, pump.handle.host_create, seed, addresses, c.settings_dict(settings))
    return Host(pump, number)
