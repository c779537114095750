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
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from . import _core as c
from . import _types as t
from ._aio_hosts import Connection, Host, Incoming, Stream, create_host
from ._aio_pump import Pump, Reader
from ._core import Data, Transaction
from ._errors import Closed, NotFound
from ._sereus import Handle

D = TypeVar("D")


class Watch(Reader[t.Change | t.WatchReset]):
    """The changes of a store, in order, each once. Made by Store.watch()."""

    @property
    def position(self) -> t.Position | None:
        """After the last change that was read: give it to Store.watch(since=...) to go on, after a restart too."""
        taken: t.Position | None = self._state.taken
        return taken


class Events(Reader[t.NodeEvent]):
    """What happens to a node; made by Node.events()."""


class Store:
    """A store of a node; see sereus.Store."""

    def __init__(self, pump: Pump, store: int) -> None:
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
        data_folder: str | os.PathLike[str] | None = None,
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
            host=host,
        )
        self._start(settings.open, False)

    def _start(self, make: Callable[[], Handle], is_remote: bool) -> None:
        self._make: Callable[[], Handle] | None = make
        self._is_remote = is_remote
        self._opened: Pump | None = None

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
        self._opened = Pump(handle, self._is_remote)
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
    def _pump(self) -> Pump:
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

    # ---- Hosts

    @property
    def host(self) -> Host:
        """The node's own host, which carries its stores: there while it has an identity and is online."""
        return Host(self._pump, 0)

    async def create_host(
        self,
        *,
        listen: Iterable[str] | None = None,
        seed: bytes = b"",
        settings: t.HostSettings | None = None,
    ) -> Host:
        """Another host with a key of its own (`seed`: 32 secret bytes; without, another one each time)."""
        return await create_host(self._pump, listen, seed, settings)

    async def network_changed(self) -> None:
        """The device woke, or its network is another: connections move or are found dead, and peers are dialed at once."""
        await self._pump.run(c.nothing, self._handle.network_changed)

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


__all__ = ["Connection", "Events", "Host", "Incoming", "Node", "Store", "Stream", "Watch", "connect"]
