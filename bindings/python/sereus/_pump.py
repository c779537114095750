"""What drains a node's queue for threads that wait; see _node.py."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from . import _core as c
from ._errors import Again, SereusError, Timeout
from ._sereus import Handle

R = TypeVar("R")

_SLICE = 0.1  # seconds that the main thread waits in C at once: then it looks for Ctrl-C
_SLICE_OTHER = 1.0  # other threads: for what wakes no queue
_LONG = 3600.0


class Pump:
    """A core under a lock. One thread at a time, the leader, waits for events; the others wait for what it brings."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.core = c.Core(handle, "sereus")
        # Bare locks: an interrupt in the wrong moment would leave a threading.Condition locked.
        self.lock = threading.Lock()
        self.waiters: list[threading.Lock] = []
        self.leader: int | None = None
        # Watches and operations given up by a destructor, which may run inside any other function and so takes no lock.
        self.orphans: deque[c.WatchState | c.EventBuffer | c.IncomingBuffer] = deque()
        close_at_exit(handle)

    def wait(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Until ready() holds, which is asked under the lock; False when the time is over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        me = threading.get_ident()
        on_main = threading.current_thread() is threading.main_thread()
        try:
            while True:
                ticket = None
                with self.lock:
                    self._adopt()
                    if self.core.inbox and self.leader in (None, me):
                        self.core.route()  # left by an interrupted leader
                    if ready():
                        return True
                    left = _LONG if deadline is None else deadline - time.monotonic()
                    if left <= 0:
                        return False
                    if self.leader in (None, me):
                        self.leader = me
                    else:
                        ticket = threading.Lock()
                        ticket.acquire()
                        self.waiters.append(ticket)
                if ticket is not None:
                    ticket.acquire(timeout=min(left, _SLICE_OTHER))
                    continue
                self.core.take(c.milliseconds(min(left, _SLICE if on_main else _SLICE_OTHER)) or 1)
                with self.lock:
                    self.core.route()
                    self.leader = None
                    self.wake()
        finally:
            if self.leader == me:  # an exception, or Ctrl-C
                with self.lock:
                    self.leader = None
                    self.wake()

    def wake(self) -> None:
        """Under the lock: whoever waits looks again."""
        while self.waiters:
            self.waiters.pop().release()

    def _adopt(self) -> None:
        while self.orphans:
            self.orphans.popleft().finish()

    def submit(self, call: Callable[..., int], args: tuple[Any, ...], waiter: Callable[[c.Done], None]) -> int:
        with self.lock:
            self.core.check_open()
            op = call(*args)
            self.core.pending[op] = waiter
            return op

    def submit_patiently(
        self, call: Callable[..., int], args: tuple[Any, ...], waiter: Callable[[c.Done], None], timeout: float | None
    ) -> int:
        """Waits for room when too many operations are under way."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return self.submit(call, args, waiter)
            except Again:
                if deadline is not None and time.monotonic() >= deadline:
                    raise
            self.wait(lambda: False, 0.01)

    def run(self, convert: Callable[[c.Done], R], timeout: float | None, call: Callable[..., int], *args: Any) -> R:
        """Submits an operation and waits for its answer."""
        answer: list[c.Done] = []
        op = self.submit_patiently(call, args, answer.append, timeout)
        try:
            arrived = self.wait(lambda: bool(answer), timeout)
        except BaseException:
            self.abandon(op)
            raise
        if not arrived:
            self.abandon(op)
            raise Timeout(f"no answer within {timeout:g} s; the operation was cancelled")
        return convert(answer[0])

    def abandon(self, op: int) -> None:
        with self.lock:
            self.core.pending.pop(op, None)
        self.handle.cancel(op)

    def close(self, timeout: float | None) -> bool:
        with self.lock:
            first = not self.core.closing
            self.core.closing = True
        if first:
            self.handle.close()
        return self.wait(lambda: self.core.closed, timeout)


_open_handles: weakref.WeakSet[Handle] = weakref.WeakSet()


def close_at_exit(handle: Handle) -> None:
    _open_handles.add(handle)


@atexit.register
def _close_all() -> None:
    """Interpreter's end: data is written back, and threads in waits come home while they still can."""
    handles = list(_open_handles)
    for handle in handles:
        try:
            handle.close()
        except SereusError:
            pass  # closed before
    deadline = time.monotonic() + 10.0
    for handle in handles:
        while time.monotonic() < deadline:
            try:
                if handle.wait([], 100, c.INBOX) < 0:
                    break
            except SereusError:
                break


class Reader(Iterator[R]):
    """An iterator over a watch or over events."""

    def __init__(self, pump: Pump, state: Any) -> None:
        self._pump = pump
        self._state = state

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        return self.next(None)

    def next(self, timeout: float | None = None) -> R:
        """The next one, waiting up to `timeout` seconds (None: for ever).

        Raises Timeout when none came, and StopIteration at the end: it was closed, or the node was. A Timeout changes
        nothing, go on reading.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            arrived = self._pump.wait(self._state.ready, left)
            with self._pump.lock:
                try:
                    value: R | None = self._state.take()
                except Again:
                    value = None
            if value is not None:
                return value
            if not arrived:
                raise Timeout(f"nothing within {timeout:g} s")

    def close(self) -> None:
        """Ends it; readers in other threads get StopIteration."""
        with self._pump.lock:
            self._state.finish()
            self._pump.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        pump = getattr(self, "_pump", None)
        if pump is not None:
            op = getattr(self._state, "op", 0)
            if op and not pump.core.closed:
                pump.handle.cancel(op)
            pump.orphans.append(self._state)
