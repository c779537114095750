"""The asyncio API."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import sereus
from conftest import LOOPBACK, WAIT
from sereus import aio

pytestmark = pytest.mark.timeout(300)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(WAIT * 3):
            await main

    asyncio.run(limited())


def node_at(folder: Path, **settings: Any) -> aio.Node:
    options: dict[str, Any] = {"listen": LOOPBACK, "kdf_interactive": True, **settings}
    return aio.Node(folder, **options)


async def ready(node: aio.Node, name: str = "device") -> aio.Store:
    await node.create_identity(name)
    return await node.create_store("notes")


def test_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with node_at(tmp_path, offline=True) as node:
            with pytest.raises(sereus.NoIdentity):
                await node.create_store("x")
            store = await ready(node)
            await store.put("k", "v")
            assert await store.get("k") == b"v"
            assert await store.get("missing") is None
            assert await store.get("missing", 1) == 1
            async with store.transaction() as tx:
                tx.put("a", "1").delete("k")
            await store.write({"b": "2"})
            assert [item.key async for item in store.list()] == [b"a", b"b"]
            assert [item.value async for item in store.list(values=True, limit=1)] == [b"1"]
            assert [head.deleted for head in await store.heads("k")] == [True]
            with pytest.raises(sereus.NotFound):
                await node.open_store("nowhere")
            with pytest.raises(sereus.NotFound):
                await node.store(9999).get("k")
            await store.verify()
            assert len(await store.state_digest()) == 32
            assert (await store.info()).keys == 2
            assert await node.open_store("notes") == store
            assert [s.name for s in await node.stores()] == ["root", "notes"]
            with pytest.raises(RuntimeError):
                await node._open()
        assert node.closed
        await node.close()
        with pytest.raises(sereus.Closed):
            await store.put("k", "v")
        with pytest.raises(sereus.Closed):
            await node.info()
        unopened = node_at(tmp_path)
        with pytest.raises(sereus.Closed):
            await unopened.info()
        again = await node_at(tmp_path, offline=True)
        assert (await again.info()).name == "device"
        await again.close()

    run(main())


def test_two_nodes(tmp_path: Path) -> None:
    async def main() -> None:
        async with node_at(tmp_path / "a") as alice, node_at(tmp_path / "b") as bob:
            notes = await ready(alice, "alice")
            await bob.create_identity("bob")
            await notes.put("k", "v")
            events = alice.events()
            await bob.join(await alice.create_invite(role=sereus.Role.READ))
            await bob.sync()
            copy = await bob.open_store("notes")
            assert await copy.get("k") == b"v"
            async for event in events:
                if isinstance(event, sereus.PeerEvent) and event.what == sereus.PeerChange.JOINED:
                    break
            async with copy.watch() as watch:
                await notes.put("k", "w")
                assert (await anext(watch)).key == b"k"
            assert await copy.state_digest() == await notes.state_digest()
            with pytest.raises(sereus.Denied):
                await copy.put("k", "reader writes")

    run(main())


def test_ten_thousand_puts_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with node_at(tmp_path, offline=True, operations_max=500) as node:
            store = await ready(node)
            watch = store.watch()
            begin = time.monotonic()
            await asyncio.gather(*(store.put(f"{i:05}", f"value {i}") for i in range(10000)))
            print(f"10000 puts: {time.monotonic() - begin:.2f} s")
            items = [item async for item in store.list(values=True)]
            assert [item.value for item in items] == [f"value {i}".encode() for i in range(10000)]
            keys = {(await anext(watch)).key for _ in range(10000)}  # type: ignore[union-attr]
            assert len(keys) == 10000

    run(main())


def test_cancelling_a_task_cancels_its_operation(tmp_path: Path) -> None:
    async def main() -> None:
        async with node_at(tmp_path / "a") as alice, node_at(tmp_path / "b") as bob:
            await ready(alice, "alice")
            await bob.create_identity("bob")
            invite = await alice.create_invite()
            await alice.close()  # nobody answers
            joining = asyncio.create_task(bob.join(invite))
            await asyncio.sleep(0.2)
            if not joining.done():
                [op] = bob._pump.core.pending
                joining.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await joining
                while bob._pump.handle.cancel(op):  # until it is over
                    await asyncio.sleep(0.01)
            else:
                with pytest.raises(sereus.Unreachable):
                    await joining
            assert not bob._pump.core.pending
            watch = (await bob.create_store("still works")).watch()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(watch)

    run(main())


def test_watch_over_restart_and_cancel(tmp_path: Path) -> None:
    async def main() -> None:
        async with node_at(tmp_path, offline=True) as node:
            store = await ready(node)
            await store.put("1", "")
            watch = store.watch(since=sereus.BEGINNING)
            await anext(watch)
            position = watch.position
            reader = asyncio.create_task(anext(watch))  # type: ignore[arg-type]
            await asyncio.sleep(0.05)
            with pytest.raises(RuntimeError):
                await anext(watch)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            await store.put("2", "")
            assert (await anext(watch)).key == b"2"  # type: ignore[union-attr]
        with pytest.raises(StopAsyncIteration):
            await anext(watch)
        async with node_at(tmp_path, offline=True) as node:
            watch = (await node.open_store("notes")).watch(since=position)
            assert (await anext(watch)).key == b"2"  # type: ignore[union-attr]
            waiting = asyncio.create_task(anext(watch, None))  # type: ignore[arg-type]
            await asyncio.sleep(0.05)
            await watch.aclose()
            assert await waiting is None

    run(main())


def test_close_answers_what_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with node_at(tmp_path / "a") as alice, node_at(tmp_path / "b") as bob:
            store = await ready(alice, "alice")
            await bob.create_identity("bob")
            invite = await alice.create_invite()
            puts = [asyncio.create_task(store.put(f"{i}", "v")) for i in range(200)]
            watch = store.watch()

            async def watch_to_the_end() -> list[bytes]:
                # Changes applied before the close may still come; what matters is that the watch ends.
                return [change.key async for change in watch]

            watching = asyncio.create_task(watch_to_the_end())
            await asyncio.sleep(0)
            await alice.close()
            for result in await asyncio.gather(*puts, return_exceptions=True):
                assert isinstance(result, sereus.Written | sereus.Cancelled | sereus.Closed)
            keys = await watching
            assert len(keys) == len(set(keys)) <= len(puts)
            joining = asyncio.create_task(bob.join(invite))
            await asyncio.sleep(0.1)
            await bob.close()
            with pytest.raises((sereus.Cancelled, sereus.Unreachable, sereus.Closed)):
                await joining

    run(main())


def test_forgotten_nodes_and_watches_go(tmp_path: Path) -> None:
    async def main() -> None:
        node = await node_at(tmp_path, offline=True)
        store = await ready(node)
        watch = store.watch()
        op = watch._state.op
        del watch
        gc.collect()
        while node._pump.handle.cancel(op):  # until it is over
            await asyncio.sleep(0.01)
        pump = weakref.ref(node._pump)
        del node, store
        gc.collect()
        assert pump() is None
        await asyncio.sleep(0.05)  # the wake socket ends
        while True:  # the folder is freed in the background
            try:
                async with node_at(tmp_path, offline=True) as again:
                    assert (await again.info()).name == "device"
                    return
            except sereus.Busy:
                await asyncio.sleep(0.05)

    run(main())


def test_opening_can_be_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        opening = asyncio.ensure_future(node_at(tmp_path, offline=True)._open())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        while True:
            try:
                async with node_at(tmp_path, offline=True):
                    return
            except sereus.Busy:
                await asyncio.sleep(0.05)

    run(main())
