"""The asyncio API: the same as the blocking one (see there for what methods do), awaited.

    async with sereus.aio.Node("my-data") as node:
        store = await node.open_store("notes")
        await store.put("greeting", "hello")

The library wakes the loop by a byte in a socket pair; nothing of Python runs on its threads. A node belongs to the loop it was
opened in. There are no timeouts here, use asyncio.timeout(): cancelling a task cancels the operation it waits for; a write that
had begun may still be finished.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import logging
import os
import socket
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from . import _core as c
from . import _types as t
from ._core import Data, Transaction
from ._errors import Again, Closed, NotFound
from ._node import close_at_exit
from ._sereus import Handle

R = TypeVar("R")
D = TypeVar("D")


def _on_readable(loop: asyncio.AbstractEventLoop, pump: weakref.ref[_Pump], wake: socket.socket) -> None:
    """The wake socket has something. It knows the pump weakly: a forgotten node goes, and ends the socket with it."""
    try:
        ended = not wake.recv(4096)
    except BlockingIOError:
        return
    except OSError:
        ended = True
    alive = pump()
    if alive is not None:
        alive.drain()
    if ended or alive is None:
        loop.remove_reader(wake)
        wake.close()


class _Pump:
    """A core whose queue is drained by the event loop."""

    def __init__(self, handle: Handle, is_remote: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.handle = handle
        self.is_remote = is_remote
        self.core = c.Core(handle, "sereus")
        self.room: deque[asyncio.Future[None]] = deque()
        self.orphans: list[c.WatchState | c.EventBuffer] = []
        self.when_closed: asyncio.Future[None] = self.loop.create_future()
        reader, writer = socket.socketpair()
        with writer:
            reader.setblocking(False)
            self.loop.add_reader(reader, _on_readable, self.loop, weakref.ref(self), reader)
            handle.on_wake_write(writer.fileno())
        self.loop.call_soon(self.drain)  # what came before
        close_at_exit(handle)

    def drain(self) -> None:
        while self.orphans:
            self.orphans.pop().finish()
        before = self.core.done_count
        more = self.core.take(0)
        self.core.route()
        self.make_room(len(self.room) if self.core.closed else self.core.done_count - before)
        if self.core.closed and not self.when_closed.done():
            self.when_closed.set_result(None)
        if more:  # the rest after what else the loop has to do; it will not wake for it again
            self.loop.call_soon(self.drain)

    async def run(self, convert: Callable[[c.Done], R], call: Callable[..., int], *args: Any) -> R:
        while True:
            self.core.check_open()
            answer: asyncio.Future[c.Done] = self.loop.create_future()
            try:
                op = call(*args)
                break
            except Again:
                await self.wait_for_room()

        def arrive(done: c.Done) -> None:
            if not answer.done():
                answer.set_result(done)

        self.core.pending[op] = arrive
        try:
            return convert(await answer)
        except asyncio.CancelledError:
            self.core.pending.pop(op, None)
            self.handle.cancel(op)
            raise

    async def wait_for_room(self) -> None:
        """Until an operation has ended. In turn: each that ends wakes one, so that thousands may wait."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self.room.append(waiter)
        if not self.core.pending:  # the room is taken by watches or by other connections: nothing will tell
            self.loop.call_later(0.02, self.make_room, 1)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.make_room(1)
            raise

    def make_room(self, count: int) -> None:
        while count > 0 and self.room:
            waiter = self.room.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    async def read(self, call: Callable[..., R], *args: Any, long: bool = False) -> R:
        """A read of a snapshot: at once, but in a thread where it may take time (`long`, or the daemon is asked)."""
        self.core.check_open()
        if long or self.is_remote:
            return await asyncio.to_thread(call, *args)
        return call(*args)

    async def close(self) -> None:
        if not self.core.closing:
            self.core.closing = True
            self.handle.close()
        # A close that is cancelled goes on in the background.
        await asyncio.shield(self.when_closed)


class _Reader(AsyncIterator[R]):
    """An async iterator over a watch or over events, for one task at a time."""

    def __init__(self, pump: _Pump, state: Any) -> None:
        self._pump = pump
        self._state = state
        self._waiter: asyncio.Future[None] | None = None
        state.notify = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        if self._state.notify is not None:
            raise RuntimeError("another task waits on this iterator")
        while True:
            if self._state.ready():
                try:
                    value: R | None = self._state.take()
                except StopIteration:
                    raise StopAsyncIteration from None
                except Again:
                    value = None
                    await asyncio.sleep(0.01)
                if value is not None:
                    return value
                continue
            waiter: asyncio.Future[None] = self._pump.loop.create_future()

            def wake(future: asyncio.Future[None] = waiter) -> None:
                if not future.done():
                    future.set_result(None)

            self._state.notify = wake
            try:
                await waiter
            finally:
                self._state.notify = None

    async def aclose(self) -> None:
        """Ends it: whoever reads gets StopAsyncIteration."""
        self._state.finish()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        pump = getattr(self, "_pump", None)
        if pump is not None:
            op = getattr(self._state, "op", 0)
            if op and not pump.core.closed:
                pump.handle.cancel(op)
            pump.orphans.append(self._state)


class Watch(_Reader[t.Change | t.WatchReset]):
    """The changes of a store, in order, each once. Made by Store.watch()."""

    @property
    def position(self) -> t.Position | None:
        """After the last change that was read: give it to Store.watch(since=...) to go on, after a restart too."""
        taken: t.Position | None = self._state.taken
        return taken


class Events(_Reader[t.NodeEvent]):
    """What happens to a node; made by Node.events()."""


class Store:
    """A store of a node; see sereus.Store."""

    def __init__(self, pump: _Pump, store: int) -> None:
        self._pump = pump
        self._handle = pump.handle
        self.id = store

    def __repr__(self) -> str:
        return f"<sereus.aio.Store {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and other._pump is self._pump and other.id == self.id

    def __hash__(self) -> int:
        return hash((id(self._pump), self.id))

    async def put(self, key: Data, value: Data) -> t.Written:
        """Writes one entry; durable when it returns. Many at once (asyncio.gather) share disk flushes."""
        return await self._pump.run(c.written, self._handle.put, self.id, c.to_bytes(key), c.to_bytes(value))

    async def delete(self, key: Data) -> t.Written:
        return await self._pump.run(c.written, self._handle.remove, self.id, c.to_bytes(key))

    async def write(self, writes: Transaction | Mapping[Any, Any]) -> t.Written:
        """Applies a Transaction, or a mapping of key -> value (None: delete), in one entry: all of it or nothing."""
        return await self._pump.run(c.written, self._handle.write, self.id, c.writes_of(writes))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """`async with store.transaction() as tx: tx.put(...)`: written at the end of the block, if it ends well."""
        transaction = Transaction()
        yield transaction
        if len(transaction):
            await self.write(transaction)

    @overload
    async def get(self, key: Data) -> bytes | None: ...
    @overload
    async def get(self, key: Data, default: D) -> bytes | D: ...
    async def get(self, key: Data, default: Any = None) -> Any:
        """The value of a key, of its winner when it was written concurrently; `default` when there is none."""
        try:
            return bytes((await self._pump.read(self._handle.get, self.id, c.to_bytes(key)))[0][0])
        except NotFound:
            await self._check()
            return default

    async def heads(self, key: Data) -> list[t.Head]:
        """All values a key has, winner first, deletions included."""
        try:
            return [t.Head(*row) for row in await self._pump.read(self._handle.heads, self.id, c.to_bytes(key))]
        except NotFound:
            await self._check()
            return []

    async def _check(self) -> None:
        await self._pump.read(self._handle.list, self.id, b"", b"", 1, False)

    async def list(
        self, prefix: Data = b"", *, after: Data = b"", values: bool = False, limit: int | None = None
    ) -> AsyncIterator[t.Item]:
        """`async for item in store.list(...)`: keys that begin with `prefix`, after `after`, in byte order."""
        start, last, left = c.to_bytes(prefix), c.to_bytes(after), limit
        while left is None or left > 0:
            wanted = c.PAGE if left is None else min(c.PAGE, left)
            rows = await self._pump.read(self._handle.list, self.id, start, last, wanted, values, long=wanted > 64)
            for row in rows:
                yield t.Item(*row)
            if len(rows) < wanted:
                return
            last = rows[-1][0]
            left = None if left is None else left - len(rows)

    def watch(self, prefix: Data = b"", *, since: t.Position | tuple[int, int] | None = None) -> Watch:
        """`async for change in store.watch(...)`: from now on, or after `since`; BEGINNING: the whole history."""
        state = c.WatchState(
            self._pump.core, self.id, c.to_bytes(prefix), None if since is None else t.Position(*since)
        )
        self._pump.core.check_open()
        state.begin()
        return Watch(self._pump, state)

    async def state_digest(self) -> bytes:
        """32 bytes, equal on replicas in the same state. Reads the whole index."""
        return bytes((await self._pump.read(self._handle.state_digest, self.id, long=True))[0][0])

    async def verify(self) -> None:
        """Reads the whole log: every hash, chain, and signature. Raises Corrupt, which says where."""
        await self._pump.run(c.nothing, self._handle.verify, self.id)

    async def info(self) -> t.StoreInfo:
        """Counts, name, uuid. Raises NotFound."""
        for row in await self._pump.read(self._handle.stores):
            if row[0] == self.id:
                return c.store_info(row)
        raise NotFound("there is no such store")

    async def sync(self, peer: str | None = None) -> t.Synced:
        return await self._pump.run(c.synced, self._handle.sync, self.id, peer)

    async def archive(self) -> None:
        """Declares the store deleted for all; replicas keep it, read-only."""
        await self._pump.run(c.nothing, self._handle.store_delete, self.id)

    async def drop(self) -> None:
        """Removes the local data of an archived store."""
        await self._pump.run(c.nothing, self._handle.store_drop, self.id)


class Node:
    """A node on its data folder; see sereus.Node for the settings.

    Opened by `async with Node(...) as node` or `node = await Node(...)`.
    """

    def __init__(
        self,
        data_folder: str | os.PathLike[str],
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
    ) -> None:
        settings = c.Settings(
            data_folder,
            passphrase=passphrase,
            listen=listen,
            control_socket=control_socket,
            offline=offline,
            existing=existing,
            fsync_each=fsync_each,
            kdf_interactive=kdf_interactive,
            verify_each=verify_each,
            log_level=log_level,
            event_queue_max=event_queue_max,
            operations_max=operations_max,
        )
        self._start(settings.open, False)

    def _start(self, make: Callable[[], Handle], is_remote: bool) -> None:
        self._make: Callable[[], Handle] | None = make
        self._is_remote = is_remote
        self._opened: _Pump | None = None

    async def _open(self) -> Self:
        if self._make is None:
            raise RuntimeError("this node was opened before; make another one")
        make, self._make = self._make, None
        opening = asyncio.ensure_future(asyncio.to_thread(make))
        try:
            handle = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_forget)  # the thread goes on; what it opens is closed by its destructor
            raise
        self._opened = _Pump(handle, self._is_remote)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        return self if self._opened is not None else await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _pump(self) -> _Pump:
        if self._opened is None:
            raise Closed("not opened yet: `async with` or `await` the node")
        return self._opened

    @property
    def _handle(self) -> Handle:
        return self._pump.handle

    # ---- Life

    @property
    def closed(self) -> bool:
        return self._opened is None or self._opened.core.closing

    async def close(self) -> None:
        """Closes the node, and waits until its data folder is free. Twice is fine; operations raise Cancelled."""
        if self._opened is not None:
            await self._opened.close()

    async def suspend(self, deadline: float = 5.0) -> None:
        """Finishes what is under way within `deadline` seconds and gives up sockets and folder, until resume()."""
        await asyncio.to_thread(self._handle.suspend, c.milliseconds(deadline))

    async def resume(self) -> None:
        await asyncio.to_thread(self._handle.resume)

    async def set_online(self, online: bool) -> None:
        await self._pump.run(c.nothing, self._handle.set_online, online)

    def events(self) -> Events:
        """`async for event in node.events()`: from now on, as hints."""
        self._pump.core.check_open()
        buffer = c.EventBuffer(self._pump.core)
        self._pump.core.listeners.append(buffer)
        return Events(self._pump, buffer)

    # ---- Identity

    async def create_identity(self, name: str | None = None, *, passphrase: Data = b"") -> None:
        await self._pump.run(c.nothing, self._handle.identity_create, name, c.to_bytes(passphrase))

    async def backup(self, passphrase: Data) -> bytes:
        return await self._pump.run(c.data, self._handle.identity_backup, c.to_bytes(passphrase))

    async def restore(
        self, backup: bytes, passphrase: Data, *, name: str | None = None, new_passphrase: Data = b""
    ) -> None:
        args = (bytes(backup), c.to_bytes(passphrase), name, c.to_bytes(new_passphrase))
        await self._pump.run(c.nothing, self._handle.identity_restore, *args)

    async def change_passphrase(self, before: Data, after: Data) -> None:
        await self._pump.run(c.nothing, self._handle.passphrase_change, c.to_bytes(before), c.to_bytes(after))

    async def erase(self, confirm: str) -> None:
        """`confirm` must be "erase everything"."""
        await self._pump.run(c.nothing, self._handle.erase, confirm)

    # ---- Stores

    async def create_store(self, name: str, *, root: Store | int = 0) -> Store:
        number = root.id if isinstance(root, Store) else root
        return self.store(await self._pump.run(c.store_id, self._handle.store_create, number, name))

    async def open_store(self, name: str) -> Store:
        """Finds a store by uuid, the beginning of it, or name. Raises NotFound, and Invalid when several fit."""
        return self.store(await self._pump.read(self._handle.store_open, name))

    def store(self, store: int) -> Store:
        """The store with an id, of StoreInfo or an event."""
        return Store(self._pump, store)

    async def stores(self) -> builtins.list[t.StoreInfo]:
        return [c.store_info(row) for row in await self._pump.read(self._handle.stores)]

    # ---- Peers

    async def create_invite(
        self,
        *,
        root: Store | int = 0,
        role: t.Role = t.Role.WRITE,
        uses: int = 1,
        expires: float | None = None,
        peer: str | None = None,
    ) -> str:
        number = root.id if isinstance(root, Store) else root
        args = (number, int(role), uses, c.whole_seconds(expires), peer)
        return await self._pump.run(c.text, self._handle.invite_create, *args)

    async def revoke_invite(self, invite: str) -> None:
        await self._pump.run(c.nothing, self._handle.invite_revoke, invite)

    async def join(self, invite: str) -> Store:
        return self.store(await self._pump.run(c.store_id, self._handle.join, invite))

    async def remove_peer(self, peer: str) -> None:
        await self._pump.run(c.nothing, self._handle.peer_remove, peer)

    async def add_address(self, peer: str, address: str) -> None:
        await self._pump.run(c.nothing, self._handle.peer_add_address, peer, address)

    async def sync(self, peer: str | None = None, *, store: Store | int = 0) -> t.Synced:
        number = store.id if isinstance(store, Store) else store
        return await self._pump.run(c.synced, self._handle.sync, number, peer)

    async def peers(self) -> builtins.list[t.PeerInfo]:
        return [c.peer_info(row) for row in await self._pump.read(self._handle.peers)]

    async def invites(self) -> builtins.list[t.InviteInfo]:
        return [c.invite_info(row) for row in await self._pump.read(self._handle.invites)]

    async def info(self) -> t.NodeInfo:
        return c.node_info((await self._pump.read(self._handle.info))[0])


def _forget(opening: asyncio.Future[Handle]) -> None:
    if not opening.cancelled():
        opening.exception()


def connect(path: str | os.PathLike[str]) -> Node:
    """A node that is the running daemon of a data folder, or of a control socket; open it with `async with` or `await`."""
    node = Node.__new__(Node)
    node._start(lambda: Handle.connect(c.control_socket_of(path)), True)
    return node


__all__ = ["Events", "Node", "Store", "Watch", "connect"]
