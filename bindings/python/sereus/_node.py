"""The blocking API.

Threads: every object may be used from any thread. Whoever waits drains the node's queue for all the others; there is no
thread of ours, and while nobody waits, events stay in the queue. Ctrl-C ends a wait (within 0.1 s) and cancels its operation.
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from . import _core as c
from . import _types as t
from ._core import Data, Transaction
from ._errors import NotFound, Timeout
from ._hosts import Host
from ._pump import Pump, Reader
from ._sereus import Handle

D = TypeVar("D")

_PIPELINE = 1024  # operations that put_many() has under way


class Watch(Reader[t.Change | t.WatchReset]):
    """The changes of a store, in order, each once; an iterator and a context manager. Made by Store.watch()."""

    @property
    def position(self) -> t.Position | None:
        """After the last change that was read: give it to Store.watch(since=...) to go on, after a restart too."""
        taken: t.Position | None = self._state.taken
        return taken


class Events(Reader[t.NodeEvent]):
    """What happens to a node; made by Node.events()."""


class Store:
    """A store of a node. Keys and values are bytes; text given for them is stored as UTF-8.

    Keys have up to 4 KiB, values up to 1 MiB (TooLarge). Methods with `timeout` wait so many seconds (None: as long as it
    takes), then cancel and raise Timeout. A write that returned is durable, and seen by every read.
    """

    def __init__(self, pump: Pump, store: int) -> None:
        self._pump = pump
        self._handle = pump.handle
        self.id = store

    def __repr__(self) -> str:
        return f"<sereus.Store {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and other._pump is self._pump and other.id == self.id

    def __hash__(self) -> int:
        return hash((id(self._pump), self.id))

    # ---- Writing

    def put(self, key: Data, value: Data, *, timeout: float | None = None) -> t.Written:
        """Writes one entry. Raises TooLarge, Archived, Denied (read-only), NoSpace, NoIdentity."""
        return self._pump.run(c.written, timeout, self._handle.put, self.id, c.to_bytes(key), c.to_bytes(value))

    def delete(self, key: Data, *, timeout: float | None = None) -> t.Written:
        """Writes the deletion of a key; one that is not there is deleted as well."""
        return self._pump.run(c.written, timeout, self._handle.remove, self.id, c.to_bytes(key))

    def write(self, writes: Transaction | Mapping[Any, Any], *, timeout: float | None = None) -> t.Written:
        """Applies a Transaction, or a mapping of key -> value (None: delete), in one entry: all of it or nothing."""
        return self._pump.run(c.written, timeout, self._handle.write, self.id, c.writes_of(writes))

    @contextlib.contextmanager
    def transaction(self, *, timeout: float | None = None) -> Iterator[Transaction]:
        """`with store.transaction() as tx: tx.put(...)`: written at the end of the block, not at all after an exception."""
        transaction = Transaction()
        yield transaction
        if len(transaction):
            self.write(transaction, timeout=timeout)

    def put_many(self, items: Mapping[Any, Any] | Iterable[tuple[Data, Data]], *, timeout: float | None = None) -> int:
        """Writes one entry for each (key, value) without waiting in between, so that they share disk flushes.

        Returns how many. It is no transaction: when one fails the error is raised, and the others may be written.
        """
        pairs = items.items() if isinstance(items, Mapping) else items
        deadline = None if timeout is None else time.monotonic() + timeout
        answers: deque[c.Done] = deque()
        under_way: set[int] = set()
        count = 0

        def left() -> float | None:
            return None if deadline is None else max(0.0, deadline - time.monotonic())

        def settle(most: int) -> None:
            while len(under_way) > most:
                if not self._pump.wait(lambda: bool(answers), left()):
                    raise Timeout(f"not all were written within {timeout:g} s")
                while answers:
                    done = answers.popleft()
                    under_way.discard(done[1])
                    c.nothing(done)

        try:
            for key, value in pairs:
                args = (self.id, c.to_bytes(key), c.to_bytes(value))
                under_way.add(self._pump.submit_patiently(self._handle.put, args, answers.append, left()))
                count += 1
                settle(_PIPELINE)
            settle(0)
        finally:
            for op in under_way:
                self._pump.abandon(op)
        return count

    # ---- Reading

    @overload
    def get(self, key: Data) -> bytes | None: ...
    @overload
    def get(self, key: Data, default: D) -> bytes | D: ...
    def get(self, key: Data, default: Any = None) -> Any:
        """The value of a key, of its winner when it was written concurrently; `default` when there is none."""
        try:
            return self[key]
        except NotFound:
            self._check()
            return default

    def __getitem__(self, key: Data) -> bytes:
        """The value of a key; raises NotFound (a LookupError)."""
        return bytes(self._handle.get(self.id, c.to_bytes(key))[0][0])

    def __setitem__(self, key: Data, value: Data) -> None:
        self.put(key, value)

    def __delitem__(self, key: Data) -> None:
        self.delete(key)

    def __contains__(self, key: Data) -> bool:
        return self.get(key) is not None

    def heads(self, key: Data) -> list[t.Head]:
        """All values a key has, winner first, deletions included. More than one: written concurrently."""
        try:
            return [t.Head(*row) for row in self._handle.heads(self.id, c.to_bytes(key))]
        except NotFound:
            self._check()
            return []

    def _check(self) -> None:
        """Raises NotFound when it is the store that is not there."""
        self._handle.list(self.id, b"", b"", 1, False)

    def list(
        self, prefix: Data = b"", *, after: Data = b"", values: bool = False, limit: int | None = None
    ) -> Iterator[t.Item]:
        """Keys that begin with `prefix`, after `after` (exclusive), in byte order, `limit` at most.

        Rows are fetched in pages: what is written meanwhile may or may not be among them.
        """
        start, last, left = c.to_bytes(prefix), c.to_bytes(after), limit
        while left is None or left > 0:
            wanted = c.PAGE if left is None else min(c.PAGE, left)
            rows = self._handle.list(self.id, start, last, wanted, values)
            for row in rows:
                yield t.Item(*row)
            if len(rows) < wanted:
                return
            last = rows[-1][0]
            left = None if left is None else left - len(rows)

    def __iter__(self) -> Iterator[bytes]:
        return (item.key for item in self.list())

    def watch(self, prefix: Data = b"", *, since: t.Position | tuple[int, int] | None = None) -> Watch:
        """Changes of keys that begin with `prefix`: from now on, or after the position `since`; BEGINNING: all history.

        Yields Change, and WatchReset when `since` is gone: then read the store and go on. It may be kept for as long as you
        like without being read: changes are not lost, and not gathered without bound.
        """
        state = c.WatchState(
            self._pump.core, self.id, c.to_bytes(prefix), None if since is None else t.Position(*since)
        )
        with self._pump.lock:
            self._pump.core.check_open()
            state.begin()
        return Watch(self._pump, state)

    def state_digest(self) -> bytes:
        """32 bytes, equal on replicas in the same state. Reads the whole index."""
        return bytes(self._handle.state_digest(self.id)[0][0])

    def verify(self, *, timeout: float | None = None) -> None:
        """Reads the whole log: every hash, chain, and signature. Raises Corrupt, which says where."""
        self._pump.run(c.nothing, timeout, self._handle.verify, self.id)

    def info(self) -> t.StoreInfo:
        """Counts, name, uuid. Raises NotFound."""
        for row in self._handle.stores():
            if row[0] == self.id:
                return c.store_info(row)
        raise NotFound("there is no such store")

    @property
    def name(self) -> str:
        return self.info().name

    @property
    def uuid(self) -> str:
        return self.info().uuid

    # ---- Keeping

    def sync(self, peer: str | None = None, *, timeout: float | None = None) -> t.Synced:
        """Syncs this store now, see Node.sync()."""
        return self._pump.run(c.synced, timeout, self._handle.sync, self.id, peer)

    def archive(self, *, timeout: float | None = None) -> None:
        """Declares the store deleted for all; replicas keep it, read-only."""
        self._pump.run(c.nothing, timeout, self._handle.store_delete, self.id)

    def drop(self, *, timeout: float | None = None) -> None:
        """Removes the local data of an archived store. Raises Invalid for one that is not archived."""
        self._pump.run(c.nothing, timeout, self._handle.store_drop, self.id)


class Node:
    """A node on its data folder, opened by the constructor; a context manager.

    data_folder: made when missing, unless `existing`. One process at a time has it: others use sereus.connect(). None: the
    node lives in memory, and is gone when it is closed.
    passphrase: opens a protected keystore.
    listen: multiaddrs, ["/ip4/127.0.0.1/udp/0/quic-v1"]; None: all addresses, any port.
    control_socket: a path to serve connect() on, or True for the one in the data folder.
    offline: no sockets until set_online(). fsync_each: a disk flush for every write. verify_each: check every received
    signature. kdf_interactive: passphrases are derived with 64 MiB instead of 256 MiB, for phones and tests.
    host: settings of the node's own host.
    log_level: of the logging module; lines go to the logger "sereus" whenever somebody waits for the node.

    Raises Busy (another process holds the folder), WrongPassphrase, Corrupt, TooNew, NotFound, IoFailure.
    Methods with `timeout` wait so many seconds (None: as long as it takes), then cancel and raise Timeout.
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
        self._take(settings.open())

    def _take(self, handle: Handle) -> None:
        self._handle = handle
        self._pump = Pump(handle)

    @classmethod
    def _of(cls, handle: Handle) -> Self:
        node = cls.__new__(cls)
        node._take(handle)
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sereus.Node {'closed' if self.closed else self.info().data_folder}>"

    # ---- Life

    @property
    def closed(self) -> bool:
        return self._pump.core.closing

    def close(self, *, timeout: float | None = 30.0) -> None:
        """Closes the node, and waits until its data folder is free. Twice is fine.

        Operations under way raise Cancelled where they are waited for, watches end. Raises Timeout when it takes longer.
        """
        if not self._pump.close(timeout):
            raise Timeout(f"not closed within {timeout:g} s; it goes on in the background")

    def suspend(self, deadline: float = 5.0) -> None:
        """Finishes what is under way within `deadline` seconds and gives up sockets and folder, until resume()."""
        self._handle.suspend(c.milliseconds(deadline))

    def resume(self) -> None:
        """Raises Busy when another process holds the folder."""
        self._handle.resume()

    def set_online(self, online: bool, *, timeout: float | None = None) -> None:
        """Opens or closes all sockets; stores stay usable."""
        self._pump.run(c.nothing, timeout, self._handle.set_online, online)

    def events(self) -> Events:
        """Peers that come and go, stores added, progress, warnings: from now on, as hints. Many readers may do so."""
        buffer = c.EventBuffer(self._pump.core)
        with self._pump.lock:
            self._pump.core.check_open()
            self._pump.core.listeners.append(buffer)
        return Events(self._pump, buffer)

    # ---- Hosts

    @property
    def host(self) -> Host:
        """The node's own host, which carries its stores: there while it has an identity and is online."""
        return Host(self._pump, 0)

    def create_host(
        self,
        *,
        listen: Iterable[str] | None = None,
        seed: bytes = b"",
        settings: t.HostSettings | None = None,
        timeout: float | None = None,
    ) -> Host:
        """Another host with a key of its own (`seed`: 32 secret bytes; without, another one each time)."""
        addresses = None if listen is None else list(listen)
        args = (seed, addresses, c.settings_dict(settings))
        number, _ = self._pump.run(c.host_number, timeout, self._handle.host_create, *args)
        return Host(self._pump, number)

    def network_changed(self, *, timeout: float | None = None) -> None:
        """The device woke, or its network is another: connections move or are found dead, and peers are dialed at once."""
        self._pump.run(c.nothing, timeout, self._handle.network_changed)

    # ---- Identity

    def create_identity(self, name: str | None = None, *, passphrase: Data = b"", timeout: float | None = None) -> None:
        """Makes the keys of a new device. `name` is shown to peers. Raises Exists."""
        self._pump.run(c.nothing, timeout, self._handle.identity_create, name, c.to_bytes(passphrase))

    def backup(self, passphrase: Data, *, timeout: float | None = None) -> bytes:
        """The keys, and where the stores are to be had, encrypted with `passphrase` (not empty)."""
        return self._pump.run(c.data, timeout, self._handle.identity_backup, c.to_bytes(passphrase))

    def restore(
        self,
        backup: bytes,
        passphrase: Data,
        *,
        name: str | None = None,
        new_passphrase: Data = b"",
        timeout: float | None = None,
    ) -> None:
        """Restores a backup into a data folder without identity; `new_passphrase` protects its keystore.

        Raises WrongPassphrase, Malformed, Exists.
        """
        args = (bytes(backup), c.to_bytes(passphrase), name, c.to_bytes(new_passphrase))
        self._pump.run(c.nothing, timeout, self._handle.identity_restore, *args)

    def change_passphrase(self, before: Data, after: Data, *, timeout: float | None = None) -> None:
        """An empty `after` removes the protection. Raises WrongPassphrase."""
        self._pump.run(c.nothing, timeout, self._handle.passphrase_change, c.to_bytes(before), c.to_bytes(after))

    def erase(self, confirm: str, *, timeout: float | None = None) -> None:
        """Destroys the keys and every store of this folder. `confirm` must be "erase everything"."""
        self._pump.run(c.nothing, timeout, self._handle.erase, confirm)

    # ---- Stores

    def create_store(self, name: str, *, root: Store | int = 0, timeout: float | None = None) -> Store:
        """Creates a store in `root` (0: this node's own). `name` is for people and need not be unique."""
        number = root.id if isinstance(root, Store) else root
        return self.store(self._pump.run(c.store_id, timeout, self._handle.store_create, number, name))

    def open_store(self, name: str) -> Store:
        """Finds a store by uuid, the beginning of it (4 digits or more), or name.

        Raises NotFound, and Invalid when several fit.
        """
        return self.store(self._handle.store_open(name))

    def store(self, store: int) -> Store:
        """The store with an id, of StoreInfo or an event."""
        return Store(self._pump, store)

    def stores(self) -> builtins.list[t.StoreInfo]:
        return [c.store_info(row) for row in self._handle.stores()]

    # ---- Peers

    def create_invite(
        self,
        *,
        root: Store | int = 0,
        role: t.Role = t.Role.WRITE,
        uses: int = 1,
        expires: float | None = None,
        peer: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """An invite to all stores of `root`: one line of text. `expires` in seconds from now, None: 24 hours.

        `peer`: only this peer id may redeem it.
        """
        number = root.id if isinstance(root, Store) else root
        args = (number, int(role), uses, c.whole_seconds(expires), peer)
        return self._pump.run(c.text, timeout, self._handle.invite_create, *args)

    def revoke_invite(self, invite: str, *, timeout: float | None = None) -> None:
        """`invite`: its text, or the id that invites() shows."""
        self._pump.run(c.nothing, timeout, self._handle.invite_revoke, invite)

    def join(self, invite: str, *, timeout: float | None = None) -> Store:
        """Redeems an invite: returns the root store when admitted; its stores are then synced, see sync().

        Raises Denied (unknown, used, revoked), Expired, Unreachable, Malformed.
        """
        return self.store(self._pump.run(c.store_id, timeout, self._handle.join, invite))

    def remove_peer(self, peer: str, *, timeout: float | None = None) -> None:
        """Revokes a peer wherever this node is admin: it can neither sync nor write from now on."""
        self._pump.run(c.nothing, timeout, self._handle.peer_remove, peer)

    def add_address(self, peer: str, address: str, *, timeout: float | None = None) -> None:
        """Remembers a multiaddr for a peer, "/ip4/192.0.2.1/udp/4001/quic-v1", and dials it."""
        self._pump.run(c.nothing, timeout, self._handle.peer_add_address, peer, address)

    def sync(self, peer: str | None = None, *, store: Store | int = 0, timeout: float | None = None) -> t.Synced:
        """Syncs now, `store` (0: all) with `peer` (None: all reachable); returns when both sides are equal.

        Connected peers sync by themselves; this waits for it. Raises Unreachable when nobody could be reached.
        """
        number = store.id if isinstance(store, Store) else store
        return self._pump.run(c.synced, timeout, self._handle.sync, number, peer)

    def peers(self) -> builtins.list[t.PeerInfo]:
        return [c.peer_info(row) for row in self._handle.peers()]

    def invites(self) -> builtins.list[t.InviteInfo]:
        return [c.invite_info(row) for row in self._handle.invites()]

    def info(self) -> t.NodeInfo:
        return c.node_info(self._handle.info()[0])


def connect(path: str | os.PathLike[str]) -> Node:
    """A node that is the running daemon of a data folder, or of a control socket. Closing it only ends the connection.

    Raises Unreachable when no daemon runs, Denied when it is another user's.
    """
    return Node._of(Handle.connect(c.control_socket_of(path)))
