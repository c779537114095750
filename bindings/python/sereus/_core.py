"""What the blocking and the asyncio node share: settings, the routing of events, watches.

Nothing here blocks or locks; a Core is used by one thread at a time, which its owner sees to.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from . import _types as t
from ._errors import Closed, Invalid, SereusError, error_of
from ._sereus import Handle

Data = bytes | bytearray | memoryview | str
"""Keys, values, passphrases: bytes, or text that is stored as UTF-8."""

Done = tuple[Any, ...]
"""(kind, operation, status, detail, store, data, count, count sent, host, connection, stream, finished)"""

DONE, CLOSED, DROPPED, LISTENING, PEER, STORE, CHANGE, RESET, PROGRESS, CLOCK, FORK = range(1, 12)
CONNECTION, STREAM, STREAM_CLOSED, REFUSED = range(12, 16)

CANCELLED = -7
CLOSED_STATUS = -6
PAGE = 1024  # rows of a listing that are fetched at once
INBOX = 512  # events that are taken at once
WATCH_BUFFER = 4096  # changes that wait for a slow reader before its watch is parked
EVENT_BUFFER = 1024  # events that wait for a slow reader before they are dropped

_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG, 5: logging.DEBUG}
_MAX_32 = 2**32 - 1

E = TypeVar("E", bound=enum.IntEnum)


def to_bytes(data: Data) -> bytes:
    if isinstance(data, str):
        return data.encode()
    return data if isinstance(data, bytes) else bytes(data)


def known(kind: type[E], value: int) -> E | int:
    """The enumerator, or the number when only a newer library knows it."""
    try:
        return kind(value)
    except ValueError:
        return value


def whole_seconds(seconds: float | None) -> int:
    """For the C interface, where 0 is the default: at least one second."""
    if seconds is None:
        return 0
    if seconds <= 0:
        raise Invalid("a span of time must be above 0")
    return min(max(1, round(seconds)), _MAX_32)


def milliseconds(seconds: float) -> int:
    return min(max(0, round(seconds * 1000)), _MAX_32 - 1)


class Flags(enum.IntFlag):
    OFFLINE = 1
    FSYNC_EACH = 4
    KDF_INTERACTIVE = 8
    VERIFY_EACH = 16
    EXISTING = 32


class Settings:
    """How to open a node; see sereus.Node."""

    def __init__(
        self,
        data_folder: str | os.PathLike[str] | None,
        *,
        passphrase: Data = b"",
        listen: Iterable[str] | None = None,
        control_socket: str | os.PathLike[str] | bool = False,
        offline: bool = False,
        existing: bool = False,
        fsync_each: bool = False,
        kdf_interactive: bool = False,
        verify_each: bool = False,
        log_level: int = logging.WARNING,
        event_queue_max: int = 0,
        operations_max: int = 0,
        host: t.HostSettings | None = None,
    ) -> None:
        if isinstance(listen, str):
            raise TypeError("listen is a list of multiaddrs, not one")
        self.data_folder = None if data_folder is None else os.fspath(data_folder)
        self.passphrase = to_bytes(passphrase)
        self.listen = None if listen is None else list(listen)
        self.control_socket: str | None = None
        if control_socket is True:
            if self.data_folder is None:
                raise Invalid("a node in memory has no folder for its control socket; name a path")
            self.control_socket = os.path.join(self.data_folder, "control.sock")
        elif control_socket is not False:
            self.control_socket = os.fspath(control_socket)
        chosen = [
            (offline, Flags.OFFLINE),
            (fsync_each, Flags.FSYNC_EACH),
            (kdf_interactive, Flags.KDF_INTERACTIVE),
            (verify_each, Flags.VERIFY_EACH),
            (existing, Flags.EXISTING),
        ]
        self.flags = sum(flag for on, flag in chosen if on)
        self.log_level = next((number for number, level in _LEVELS.items() if level <= log_level), 5)
        self.event_queue_max = event_queue_max
        self.operations_max = operations_max
        self.host = host

    def open(self) -> Handle:
        """Blocks while keys are derived and logs are recovered."""
        return Handle.open(
            self.data_folder,
            self.flags,
            self.log_level,
            self.passphrase,
            self.listen,
            self.control_socket,
            self.event_queue_max,
            self.operations_max,
            settings_dict(self.host),
        )


def control_socket_of(path: str | os.PathLike[str]) -> str:
    """The control socket of a data folder, or the path itself when it is no folder."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return str(Path(path) / "control.sock")
    except OSError:
        pass  # connecting says what is wrong
    return os.fspath(path)


class Transaction:
    """Writes that are applied together, in one entry, or not at all. A key may stand in it once; at most 4096 writes."""

    def __init__(self) -> None:
        self._writes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: Data, value: Data) -> Transaction:
        """Adds a write; returns the transaction."""
        self._writes.append((to_bytes(key), to_bytes(value)))
        return self

    def delete(self, key: Data) -> Transaction:
        """Adds a deletion; returns the transaction."""
        self._writes.append((to_bytes(key), None))
        return self

    def __len__(self) -> int:
        return len(self._writes)


def writes_of(transaction: Transaction | Mapping[Any, Any]) -> list[tuple[bytes, bytes | None]]:
    """The writes of a transaction, or of a mapping: key -> value, None to delete."""
    if isinstance(transaction, Transaction):
        return list(transaction._writes)
    return [(to_bytes(k), None if v is None else to_bytes(v)) for k, v in transaction.items()]


class WatchState:
    """A watch: buffered changes, and where it stands.

    A reader that is too slow must fill neither the memory nor the node's queue: at WATCH_BUFFER changes the watch is parked,
    that is cancelled, and begun anew from the last change it has once the reader has taken them all.
    """

    def __init__(self, core: Core, store: int, prefix: bytes, since: t.Position | None) -> None:
        self.core = core
        self.store = store
        self.prefix = prefix
        self.buffer: deque[t.Change | t.WatchReset] = deque()
        self.received = since  # of the last in the buffer
        self.taken = since  # of the last given to the reader
        self.op = 0
        self.parked = False
        self.finished = False  # by its reader, or when the node is closed
        self.failure: Exception | None = None
        self.notify: Callable[[], None] | None = None

    def begin(self) -> None:
        """Submits it; what can fail are an unknown store and too many operations (Again)."""
        epoch, sequence = self.received or (0, 0)
        self.op = self.core.handle.watch(self.store, self.prefix, epoch, sequence)
        self.core.watches[self.op] = self
        self.parked = False

    def add(self, change: t.Change | t.WatchReset) -> None:
        # An interrupt in the wrong moment may bring an event twice.
        if self.buffer and self.buffer[-1] == change:
            return
        self.buffer.append(change)
        self.received = change.position
        if len(self.buffer) >= WATCH_BUFFER and not self.parked and not self.finished:
            self.parked = True
            self.core.handle.cancel(self.op)
        self.wake()

    def over(self, status: int, detail: str) -> None:
        """Its DONE has come."""
        self.op = 0
        if not (self.parked and status == CANCELLED and not self.core.closing):
            self.finished = True
            if status not in (0, CANCELLED, CLOSED_STATUS):
                self.failure = error_of(status, detail)
        self.wake()

    def finish(self) -> None:
        """Its reader wants no more."""
        self.finished = True
        self.buffer.clear()
        if self.op:
            self.core.handle.cancel(self.op)
        self.wake()

    def wake(self) -> None:
        if self.notify is not None:
            self.notify()

    def ready(self) -> bool:
        return bool(self.buffer) or self.finished or (self.parked and not self.op)

    def take(self) -> t.Change | t.WatchReset | None:
        """The next change; None when there is none now. Raises StopIteration at its end."""
        if self.buffer:
            change = self.buffer.popleft()
            self.taken = change.position
            return change
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        if self.finished:
            raise StopIteration
        if self.parked and not self.op:
            self.begin()
        return None


class EventBuffer:
    """Events that wait for one reader of Node.events(). The newest are dropped when it is full, and counted."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.buffer: deque[t.NodeEvent] = deque()
        self.dropped = 0
        self.finished = False
        self.notify: Callable[[], None] | None = None

    def add(self, event: t.NodeEvent) -> None:
        if len(self.buffer) >= EVENT_BUFFER:
            self.dropped += event.count if isinstance(event, t.Dropped) else 1
            return
        if self.dropped:
            self.buffer.append(t.Dropped(self.dropped))
            self.dropped = 0
        self.buffer.append(event)
        self.wake()

    def finish(self) -> None:
        self.finished = True
        if self in self.core.listeners:
            self.core.listeners.remove(self)
        self.wake()

    def wake(self) -> None:
        if self.notify is not None:
            self.notify()

    def ready(self) -> bool:
        return bool(self.buffer) or self.finished or bool(self.dropped)

    def take(self) -> t.NodeEvent | None:
        """The next event; None when there is none now. Raises StopIteration at its end."""
        if self.buffer:
            return self.buffer.popleft()
        if self.dropped:
            count, self.dropped = self.dropped, 0
            return t.Dropped(count)
        if self.finished:
            raise StopIteration
        return None


_EVENTS: dict[int, Callable[[tuple[Any, ...]], t.NodeEvent]] = {
    DROPPED: lambda e: t.Dropped(e[2]),
    LISTENING: lambda e: t.Listening(e[2]),
    PEER: lambda e: t.PeerEvent(known(t.PeerChange, e[2]), *e[3:]),
    STORE: lambda e: t.StoreEvent(known(t.StoreChange, e[2]), *e[3:]),
    PROGRESS: lambda e: t.SyncProgress(*e[2:]),
    CLOCK: lambda e: t.ClockSuspect(*e[2:]),
    FORK: lambda e: t.ForkFound(*e[2:]),
    CONNECTION: lambda e: t.ConnectionEvent(known(t.ConnectionChange, e[2]), *e[3:]),
    STREAM_CLOSED: lambda e: t.StreamClosed(*e[2:]),
    REFUSED: lambda e: t.Refused(known(t.RefusalReason, e[2]), *e[3:]),
}


class IncomingBuffer:
    """Streams that peers opened for a protocol and nobody took yet. The node bounds how many there are."""

    def __init__(self, core: Core, host: int, protocol: str, make: Callable[[tuple[Any, ...]], Any]) -> None:
        self.core = core
        self.key = (host, protocol)
        self.make = make
        self.buffer: deque[tuple[Any, ...]] = deque()
        self.finished = False
        self.notify: Callable[[], None] | None = None

    def add(self, event: tuple[Any, ...]) -> None:
        self.buffer.append(event)
        if self.notify is not None:
            self.notify()

    def finish(self) -> None:
        """Its reader wants no more: what waits is refused."""
        self.finished = True
        if self.core.incoming.get(self.key) is self:
            del self.core.incoming[self.key]
            if not self.core.closing:
                self.core.forget(self.core.handle.protocol_remove, *self.key)
        while self.buffer:
            self.core.forget(self.core.handle.stream_reset, self.buffer.popleft()[4])
        if self.notify is not None:
            self.notify()

    def ready(self) -> bool:
        return bool(self.buffer) or self.finished

    def take(self) -> Any:
        """The next stream; None when there is none now. Raises StopIteration at its end."""
        if self.buffer:
            return self.make(self.buffer.popleft())
        if self.finished:
            raise StopIteration
        return None


class Core:
    """A handle, and who waits for which of its events."""

    def __init__(self, handle: Handle, log_name: str) -> None:
        self.handle = handle
        self.inbox: deque[tuple[Any, ...]] = deque()
        self.pending: dict[int, Callable[[Done], None]] = {}
        self.watches: dict[int, WatchState] = {}
        self.listeners: list[EventBuffer] = []
        self.incoming: dict[tuple[int, str], IncomingBuffer] = {}
        self.done_count = 0
        self.closing = False
        self.closed = False
        self.log = logging.getLogger(log_name)

    def take(self, timeout_ms: int) -> bool:
        """Waits for events and takes them into the inbox; False when the inbox may hold all there is."""
        count = self.handle.wait(self.inbox, timeout_ms, INBOX)
        if count < 0:
            self.end()
        return count >= INBOX

    def route(self) -> None:
        """Gives the events of the inbox to those who wait. An event is taken off only when it was given: an interrupt
        (Ctrl-C) in between loses nothing."""
        while self.inbox:
            self._give(self.inbox[0])
            self.inbox.popleft()
        for level, room, message in self.handle.take_log():
            self.log.log(_LEVELS.get(level, logging.DEBUG), "%s: %s", room, message)

    def _give(self, event: tuple[Any, ...]) -> None:
        kind, op = event[0], event[1]
        if kind == DONE:
            self.done_count += 1
            watch = self.watches.get(op)
            if watch is not None:
                watch.over(event[2], event[3])
                self.watches.pop(op, None)
                return
            waiter = self.pending.get(op)
            if waiter is not None:
                waiter(event)
                self.pending.pop(op, None)
        elif kind in (CHANGE, RESET):
            watch = self.watches.get(op)
            if watch is not None and not watch.finished:
                watch.add(t.Change(*event[2:]) if kind == CHANGE else t.WatchReset(*event[2:]))
        elif kind == CLOSED:
            self.end()
        elif kind == STREAM:
            taker = self.incoming.get((event[2], event[5]))
            if taker is None:
                self.forget(self.handle.stream_reset, event[4])
            else:
                taker.add(event)
        elif kind in _EVENTS and self.listeners:
            converted = _EVENTS[kind](event)
            for listener in list(self.listeners):
                listener.add(converted)

    def forget(self, call: Callable[..., int], *args: Any) -> None:
        """An operation whose answer nobody waits for."""
        with contextlib.suppress(SereusError):
            call(*args)

    def end(self) -> None:
        """The queue is at its end: nobody waits any longer."""
        self.closing = self.closed = True
        for op, waiter in list(self.pending.items()):
            waiter((DONE, op, CLOSED_STATUS, "the node was closed", 0, b"", 0, 0, 0, 0, 0, False))
        self.pending.clear()
        for watch in list(self.watches.values()):
            watch.over(CLOSED_STATUS, "")
        self.watches.clear()
        for listener in list(self.listeners):
            listener.finish()
        for taker in list(self.incoming.values()):
            taker.finish()

    def check_open(self) -> None:
        if self.closing:
            raise Closed("the node is closed")


# ---- From tuples to what people read


def result_of(done: Done) -> Done:
    if done[2] != 0:
        raise error_of(done[2], done[3])
    return done


def nothing(done: Done) -> None:
    result_of(done)


def written(done: Done) -> t.Written:
    result_of(done)
    return t.Written(done[5], done[6])


def synced(done: Done) -> t.Synced:
    result_of(done)
    return t.Synced(done[6], done[7])


def data(done: Done) -> bytes:
    result_of(done)
    return bytes(done[5])


def text(done: Done) -> str:
    return data(done).decode()


def store_id(done: Done) -> int:
    result_of(done)
    return int(done[4])


def node_info(row: tuple[Any, ...]) -> t.NodeInfo:
    return t.NodeInfo(*(*row[:4], tuple(row[4].split()), *row[5:]))


def store_info(row: tuple[Any, ...]) -> t.StoreInfo:
    return t.StoreInfo(*(*row[:5], known(t.StoreState, row[5]), *row[6:]))


def peer_info(row: tuple[Any, ...]) -> t.PeerInfo:
    return t.PeerInfo(*(*row[:3], tuple(row[3].split()), row[4], known(t.Role, row[5]), *row[6:]))


def invite_info(row: tuple[Any, ...]) -> t.InviteInfo:
    return t.InviteInfo(row[0], known(t.Role, row[1]), *row[2:])


# ---- Hosts and streams

STREAM_WRITE = 256 * 1024  # bytes given to the node at once: a few of these are under way for each stream


def host_number(done: Done) -> tuple[int, str]:
    """Of a new host: its number and peer id."""
    return int(result_of(done)[8]), done[5].decode()


def connection_number(done: Done) -> tuple[int, str]:
    """Of a dial: the connection's number and the peer's id."""
    return int(result_of(done)[9]), done[5].decode()


def stream_number(done: Done) -> int:
    return int(result_of(done)[10])


def lines(done: Done) -> list[str]:
    return text(done).splitlines()


def seconds(done: Done) -> float:
    """Of microseconds."""
    return float(result_of(done)[6]) / 1e6


def chunk(done: Done) -> tuple[bytes, bool]:
    """What a read gave, and whether it was the end."""
    return data(done), bool(done[11])


def settings_dict(settings: t.HostSettings | None) -> dict[str, Any] | None:
    """For the C interface, by its names."""
    if settings is None:
        return None
    given = {name: getattr(settings, name) for name in settings.__slots__}
    given["transports"] = " ".join(settings.transports)
    given["security"] = " ".join(settings.security)
    given["no_ipv4"] = not given.pop("ipv4")
    given["no_ipv6"] = not given.pop("ipv6")
    given["rates"] = {name: tuple(rate) for name, rate in settings.rates.items()}
    return given


def address_lines(address: str | Iterable[str] | None) -> str:
    if address is None:
        return ""
    return address if isinstance(address, str) else "\n".join(address)


def host_info(row: tuple[Any, ...]) -> t.HostInfo:
    return t.HostInfo(row[0], row[1], tuple(row[2].splitlines()), tuple(row[3].splitlines()), row[4])


def connection_info(row: tuple[Any, ...]) -> t.ConnectionInfo:
    return t.ConnectionInfo(*(*row[:11], tuple(row[11].splitlines()), tuple(row[12].splitlines())))
