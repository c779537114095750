"""Hosts, connections and streams of the blocking API."""

from __future__ import annotations

import builtins
import contextlib
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from . import _core as c
from . import _types as t
from ._errors import NotFound
from ._pump import Pump, Reader


class Stream:
    """A stream with a peer: bytes in order, both ways, each way ended on its own.

    A peer that does not read makes write() wait; what nobody reads here makes the peer wait. `with` finishes it at the end of
    the block, and resets it after an exception. `for data in stream` reads to the peer's end.
    """

    def __init__(self, pump: Pump, stream: int, connection: int, protocol: str, peer: str) -> None:
        self._pump = pump
        self._writing = threading.Lock()
        self._finished = False
        self._ended = False
        self.id = stream
        self.connection = connection
        self.protocol = protocol
        self.peer = peer

    def __repr__(self) -> str:
        return f"<sereus.Stream {self.id} {self.protocol}>"

    def read(self, size: int = 0, *, timeout: float | None = None) -> bytes:
        """Bytes as they come, at most `size` (0: 64 KiB); b"" at the peer's end."""
        if self._ended:
            return b""
        data, self._ended = self._pump.run(c.chunk, timeout, self._pump.handle.stream_read, self.id, size)
        return data

    def read_all(self) -> bytes:
        """Everything up to the peer's end."""
        return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(c.STREAM_WRITE):
            yield data

    def write(self, data: c.Data, *, timeout: float | None = None) -> None:
        """Returns when the connection has taken all of it; `timeout` is for each 256 KiB."""
        whole = memoryview(c.to_bytes(data))
        with self._writing:
            for start in range(0, len(whole), c.STREAM_WRITE):
                part = bytes(whole[start : start + c.STREAM_WRITE])
                self._pump.run(c.nothing, timeout, self._pump.handle.stream_write, self.id, part, False)

    def finish(self, *, timeout: float | None = None) -> None:
        """Nothing more is written; the peer reads its end. Twice is fine."""
        with self._writing:
            if not self._finished:
                self._finished = True
                self._pump.run(c.nothing, timeout, self._pump.handle.stream_write, self.id, b"", True)

    def reset(self) -> None:
        """Ends both ways at once; what was not sent is lost."""
        with contextlib.suppress(NotFound):
            self._pump.run(c.nothing, None, self._pump.handle.stream_reset, self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.reset()
        elif not self._finished:
            self.finish()


class Incoming(Reader[Stream]):
    """The streams that peers open for a protocol; made by Host.accept(). Closing it removes the protocol."""


class Connection:
    """A connection with a peer whose id the handshake has proved."""

    def __init__(self, pump: Pump, connection: int, peer: str) -> None:
        self._pump = pump
        self.id = connection
        self.peer = peer

    def __repr__(self) -> str:
        return f"<sereus.Connection {self.id} {self.peer}>"

    def open_stream(self, protocol: str, *, timeout: float | None = None) -> Stream:
        """Raises Unsupported when the peer does not speak it."""
        number = self._pump.run(c.stream_number, timeout, self._pump.handle.stream_open, self.id, protocol)
        return Stream(self._pump, number, self.id, protocol, self.peer)

    def ping(self, *, timeout: float | None = None) -> float:
        """The round trip, in seconds."""
        return self._pump.run(c.seconds, timeout, self._pump.handle.ping, self.id)

    def identify(self, *, timeout: float | None = None) -> t.ConnectionInfo:
        """What the peer says of itself; waits until it has."""
        self._pump.run(c.nothing, timeout, self._pump.handle.identify, self.id)
        return self.info()

    def info(self) -> t.ConnectionInfo:
        """Raises NotFound when it is over."""
        for row in self._pump.handle.connections():
            if row[0] == self.id:
                return c.connection_info(row)
        raise NotFound("there is no such connection; it may have ended")

    def close(self) -> None:
        """Ends it with all its streams. Twice is fine."""
        with contextlib.suppress(NotFound):
            self._pump.run(c.nothing, None, self._pump.handle.disconnect, self.id)


class Host:
    """A libp2p host of a node: a peer id with its sockets. Made by Node.create_host(); Node.host is the node's own."""

    def __init__(self, pump: Pump, host: int) -> None:
        self._pump = pump
        self.id = host

    def __repr__(self) -> str:
        return f"<sereus.Host {self.id}>"

    def info(self) -> t.HostInfo:
        """Peer id, addresses, protocols. Raises NotFound while it is not there (the own one: without identity, or offline)."""
        for row in self._pump.handle.hosts():
            if row[0] == self.id:
                return c.host_info(row)
        raise NotFound("there is no such host; the node's own needs an identity and to be online")

    @property
    def peer(self) -> str:
        return self.info().peer

    @property
    def addresses(self) -> builtins.list[str]:
        """Where it listens, with /p2p: what others dial."""
        return list(self.info().addresses)

    def configure(self, settings: t.HostSettings, *, timeout: float | None = None) -> None:
        """Changes all settings while it runs, but `security` and the files; connections that are there stay."""
        self._pump.run(c.nothing, timeout, self._pump.handle.host_configure, self.id, c.settings_dict(settings))

    def protect(self, peer: str, tag: str, on: bool = True, *, timeout: float | None = None) -> None:
        """Keeps the connections of a peer when there are too many, until no tag is left."""
        self._pump.run(c.nothing, timeout, self._pump.handle.peer_protect, self.id, peer, tag, on)

    def listen(self, address: str, *, timeout: float | None = None) -> builtins.list[str]:
        """Listens on one more multiaddr; returns all addresses."""
        return self._pump.run(c.lines, timeout, self._pump.handle.host_listen, self.id, address)

    def dial(
        self, address: str | Iterable[str] | None = None, *, peer: str | None = None, timeout: float | None = None
    ) -> Connection:
        """Connects to a peer at one of its multiaddrs, or uses the connection there is.

        Without `peer` the addresses say who must answer (/p2p). Raises Unreachable, Timeout, and Denied when somebody else
        answers there.
        """
        number, found = self._pump.run(
            c.connection_number, timeout, self._pump.handle.dial, self.id, peer, c.address_lines(address)
        )
        return Connection(self._pump, number, found)

    def accept(self, protocol: str, *, timeout: float | None = None) -> Incoming:
        """`for stream in host.accept("/example/1.0.0")`: the streams that peers open. Raises Exists."""
        pump = self._pump
        key = (self.id, protocol)
        state = c.IncomingBuffer(pump.core, self.id, protocol, lambda e: Stream(pump, e[4], e[3], e[5], e[6]))
        with pump.lock:
            pump.core.incoming.setdefault(key, state)
        try:
            pump.run(c.nothing, timeout, pump.handle.protocol_add, self.id, protocol)
        except BaseException:
            with pump.lock:
                if pump.core.incoming.get(key) is state:
                    del pump.core.incoming[key]
            raise
        return Incoming(pump, state)

    def connections(self) -> builtins.list[t.ConnectionInfo]:
        return [c.connection_info(row) for row in self._pump.handle.connections() if row[1] == self.id]

    def close(self) -> None:
        """Closes it with all its connections; the node's own stays. Twice is fine."""
        with contextlib.suppress(NotFound):
            self._pump.run(c.nothing, None, self._pump.handle.host_close, self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
