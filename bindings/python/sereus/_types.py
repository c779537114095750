"""What comes out of a node: rows, events, results. All of it is immutable.

Fields stand in the order of the C structs (include/sereus.h). `wall_ms` is milliseconds since 1970-01-01 UTC, as the
author's clock said; together with `counter` and `author` it decides which of several heads wins. Ids (`store`, `root`) are
numbers of this process; `uuid` is the same on all devices. `author` is a public key of 32 bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Position(NamedTuple):
    """A place in a store's sequence of changes, to resume a watch from, over restarts too."""

    epoch: int
    sequence: int


BEGINNING = Position(2**64 - 1, 0)
"""A watch from here on yields the whole history."""


class Role(enum.IntEnum):
    """What a peer may do in a root's stores."""

    READ = 1
    WRITE = 2
    ADMIN = 3


class StoreState(enum.IntEnum):
    ACTIVE = 1
    ARCHIVED = 2
    DAMAGED = 3


class PeerChange(enum.IntEnum):
    CONNECTED = 1
    DISCONNECTED = 2
    JOINED = 3
    REMOVED = 4
    SYNCED = 5


class StoreChange(enum.IntEnum):
    ADDED = 1
    ARCHIVED = 2


class ConnectionChange(enum.IntEnum):
    CONNECTED = 1
    DISCONNECTED = 2
    IDENTIFIED = 3


class RefusalReason(enum.IntEnum):
    """Which limit of a host was reached."""

    CONNECTIONS_TOTAL = 1
    CONNECTIONS_PEER = 2
    HALF_OPEN = 3
    HANDSHAKE_RATE = 4
    HANDSHAKE_ADDRESS = 5
    STREAMS_TOTAL = 6
    STREAMS_PEER = 7
    STREAMS_PROTOCOL = 8
    STREAMS_PROTOCOL_PEER = 9
    MEMORY_TOTAL = 10
    MEMORY_PEER = 11


class Rate(NamedTuple):
    """Bytes a second; 0: no limit."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """How a host is to behave; see sereus_host_settings in sereus.h. What is left out has its default.

    transports: allowed ones, the preferred first: ("quic", "tcp", "wss", "ws"). security: of TCP and WebSocket, likewise:
    ("tls", "noise"). rates: by transport, and None for all together. The files are for secure WebSocket.
    """

    transports: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    ipv4: bool = True
    ipv6: bool = True
    metered: bool = False
    connections_low: int = 0
    connections_high: int = 0
    connections_max: int = 0
    connections_peer_max: int = 0
    streams_peer_max: int = 0
    memory_max: int = 0
    rates: Mapping[str | None, Rate | tuple[int, int]] = field(default_factory=dict)
    certificate_file: str = ""
    key_file: str = ""
    authorities_file: str = ""
    any_server: bool = False


# ---- Results


@dataclass(frozen=True, slots=True)
class Written:
    """A durable write: the hash of its entry (32 bytes) and its place in the store's sequence of changes."""

    hash: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync moved, in entries."""

    received: int
    sent: int


# ---- Rows


@dataclass(frozen=True, slots=True)
class Item:
    """A key of a listing. `value` is empty unless values were asked for; `heads` above one: written concurrently."""

    key: bytes
    value: bytes
    value_size: int
    wall_ms: int
    counter: int
    heads: int
    author: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """One of the values that a key has. `sequence` counts its author's entries; `hash` is of the entry, 32 bytes."""

    value: bytes
    wall_ms: int
    counter: int
    deleted: bool
    sequence: int
    author: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node. `peer` and `party` are "" without identity; bytes and entries count since it was opened."""

    peer: str
    party: str
    name: str
    data_folder: str
    addresses: tuple[str, ...]
    protected: bool
    online: bool
    clock_suspect: bool
    connections: int
    operations: int
    bytes_sent: int
    bytes_received: int
    entries_received: int
    entries_sent: int


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A store. `digest`, 16 bytes, is equal on replicas in step; `conflicts` counts keys with more than one head."""

    id: int
    root: int
    uuid: str
    name: str
    detail: str
    state: StoreState | int
    is_root: bool
    entries: int
    keys: int
    conflicts: int
    authors: int
    held: int
    forks: int
    log_bytes: int
    epoch: int
    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A peer. `detail` is of the last failure, `failures` counts those in a row, `last_sync_ms` is 0 before the first."""

    peer: str
    party: str
    name: str
    addresses: tuple[str, ...]
    detail: str
    role: Role | int
    connected: bool
    removed: bool
    is_self: bool
    last_sync_ms: int
    failures: int


@dataclass(frozen=True, slots=True)
class InviteInfo:
    """An invite of this node. `expires` is in seconds since 1970; `peer` is "" when whoever has it may use it."""

    id: str
    role: Role | int
    uses_left: int
    expires: int
    revoked: bool
    peer: str


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host of a node; 0 is the node's own. `protocols` are those of the application."""

    host: int
    peer: str
    addresses: tuple[str, ...]
    protocols: tuple[str, ...]
    connections: int


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A connection. When `identified`, the fields from `signed_record` on are what the peer said of itself; `observed` is our
    address as it sees it."""

    connection: int
    host: int
    peer: str
    address: str
    incoming: bool
    streams: int
    identified: bool
    signed_record: bool
    agent: str
    protocol_version: str
    observed: str
    protocols: tuple[str, ...]
    addresses: tuple[str, ...]


# ---- Events


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a watched store. `value` is empty when `deleted`; `winner`: a read right after it returned it."""

    store: int
    epoch: int
    sequence: int
    key: bytes
    value: bytes
    deleted: bool
    winner: bool
    wall_ms: int
    counter: int
    author: bytes

    @property
    def position(self) -> Position:
        """Where to resume after this change."""
        return Position(self.epoch, self.sequence)


@dataclass(frozen=True, slots=True)
class WatchReset:
    """The place a watch was to resume from is gone: read the store, then changes follow from here on."""

    store: int
    epoch: int
    sequence: int

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.sequence)


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many events were lost because nobody took them. Changes of a watch are never among them."""

    count: int


@dataclass(frozen=True, slots=True)
class Listening:
    """The node listens on this multiaddr (with /p2p)."""

    address: str


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """A peer came or went, joined, was removed, or is in step with `store`."""

    what: PeerChange | int
    peer: str
    name: str
    address: str
    store: int


@dataclass(frozen=True, slots=True)
class StoreEvent:
    what: StoreChange | int
    store: int
    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """Entries of a running sync: durable here, sent, still missing as far as known."""

    store: int
    peer: str
    received: int
    sent: int
    missing: int


@dataclass(frozen=True, slots=True)
class ClockSuspect:
    """The clock cannot be right (wall_us: microseconds since 1970, as it says); the node goes on."""

    wall_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class ForkFound:
    """An author signed two histories, from its entry `sequence` on."""

    store: int
    author: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """A connection came, went (`reason`: "" when it was closed in order), or its peer said who it is."""

    what: ConnectionChange | int
    host: int
    connection: int
    peer: str
    address: str
    incoming: bool
    reason: str


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream was reset by the peer, or went with its connection."""

    host: int
    connection: int
    stream: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A limit of a host was reached, `count` times since it was last told. `peer` is "" when it was not proved yet."""

    reason: RefusalReason | int
    incoming: bool
    host: int
    reason_name: str
    peer: str
    address: str
    protocol: str
    count: int


NodeEvent = (
    Dropped
    | Listening
    | PeerEvent
    | StoreEvent
    | SyncProgress
    | ClockSuspect
    | ForkFound
    | ConnectionEvent
    | StreamClosed
    | Refused
)
"""What Node.events() yields. Newer libraries may add kinds."""
