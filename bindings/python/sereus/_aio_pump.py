"""What drains a node's queue in an event loop; see aio.py."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from . import _core as c
from ._errors import Again
from ._pump import close_at_exit
from ._sereus import Handle

R = TypeVar("R")


def _on_readable(loop: asyncio.AbstractEventLoop, pump: weakref.ref[Pump], wake: socket.socket) -> None:
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


class Pump:
    """A core whose queue is drained by the event loop."""

    def __init__(self, handle: Handle, is_remote: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.handle = handle
        self.is_remote = is_remote
        self.core = c.Core(handle, "sereus")
        self.room: deque[asyncio.Future[None]] = deque()
        self.orphans: list[c.WatchState | c.EventBuffer | c.IncomingBuffer] = []
        self.tasks: set[asyncio.Task[None]] = set()  # handlers that run
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


class Reader(AsyncIterator[R]):
    """An async iterator over a watch or over events, for one task at a time."""

    def __init__(self, pump: Pump, state: Any) -> None:
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
