"""The errors of Sereus, one class for each status of the C interface."""

from __future__ import annotations

from . import _sereus


class SereusError(Exception):
    """What the engine could not do.

    status: the negative number of the C interface, stable.
    name: its name without prefix, "NOT_FOUND".
    detail: one line of text: what is wrong and what to do; "" when there is nothing more to say than the name says.
    """

    default_status = -26

    def __init__(self, detail: str = "", status: int | None = None) -> None:
        self.status = self.default_status if status is None else status
        self.name = _sereus.status_name(self.status).removeprefix("SEREUS_E_")
        self.detail = detail
        super().__init__(detail or _sereus.status_meaning(self.status))

    def __reduce__(self) -> tuple[type[SereusError], tuple[str, int]]:
        return type(self), (self.detail, self.status)


class Invalid(SereusError, ValueError):
    """An argument that cannot be right."""

    default_status = -1


class NotFound(SereusError, LookupError):
    """A key, store, peer, invite, or operation that is not there."""

    default_status = -2


class Exists(SereusError):
    """It is there already."""

    default_status = -3


class Again(SereusError):
    """Too many operations under way; nothing has happened, try again later."""

    default_status = -4


class Busy(SereusError):
    """Held by somebody else: another process has the data folder."""

    default_status = -5


class Closed(SereusError):
    """The node is closed, or the daemon it was connected to has gone."""

    default_status = -6


class Cancelled(SereusError):
    """The operation was cancelled, or the node was closed before it began."""

    default_status = -7


class Timeout(SereusError, TimeoutError):
    """It took longer than allowed. The operation was cancelled; a write that had begun may still be finished."""

    default_status = -8


class Denied(SereusError):
    """No right to do it: unknown or used invite, removed peer, read-only role, foreign control socket."""

    default_status = -9


class WrongPassphrase(SereusError):
    """The passphrase does not open the keystore or the backup, or it is missing."""

    default_status = -10


class Corrupt(SereusError):
    """Data on the disk is damaged; the detail says where."""

    default_status = -11


class TooNew(SereusError):
    """Written by a newer version of Sereus; nothing was touched."""

    default_status = -12


class TooLarge(SereusError):
    """Over a limit: keys 4 KiB, values 1 MiB, 4096 writes in a transaction."""

    default_status = -13


class Malformed(SereusError, ValueError):
    """Bytes or text that are not what they should be: an invite, a backup."""

    default_status = -14


class BadSignature(SereusError):
    """A signature does not fit."""

    default_status = -15


class WrongStore(SereusError):
    """Meant for another store."""

    default_status = -16


class Fork(SereusError):
    """An author signed two histories."""

    default_status = -17


class Gap(SereusError):
    """Entries in between are missing."""

    default_status = -18


class NoSpace(SereusError):
    """The disk is full; nothing acknowledged was lost."""

    default_status = -19


class IoFailure(SereusError):
    """The operating system failed to read or write."""

    default_status = -20


class Unreachable(SereusError, ConnectionError):
    """Nobody answers: peer offline, daemon not running."""

    default_status = -21


class ProtocolError(SereusError):
    """The other side does not keep to the protocol."""

    default_status = -22


class Expired(SereusError):
    """Its time is over: an invite."""

    default_status = -23


class Unsupported(SereusError):
    """Not possible here, for example suspending a daemon from a connection to it."""

    default_status = -24


class NoMemory(SereusError):
    """Out of memory."""

    default_status = -25


class Internal(SereusError):
    """A defect in Sereus: please report it."""

    default_status = -26


class NoIdentity(SereusError):
    """The data folder has no identity yet: create_identity() or restore() comes first."""

    default_status = -27


class Archived(SereusError):
    """The store was deleted; it can only be read."""

    default_status = -28


class Suspended(SereusError):
    """The node is suspended: resume() comes first."""

    default_status = -29


class FromTheFuture(SereusError):
    """A timestamp too far ahead of the clock."""

    default_status = -30


class PendingEntry(SereusError):
    """Waits for something that has not arrived yet."""

    default_status = -31


_BY_STATUS: dict[int, type[SereusError]] = {error.default_status: error for error in SereusError.__subclasses__()}


def error_of(status: int, detail: str = "") -> SereusError:
    """The exception for a status; a plain SereusError for one that only a newer library knows."""
    kind = _BY_STATUS.get(status)
    return kind(detail, status) if kind else SereusError(detail, status)
