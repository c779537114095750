"""Other processes and the end of this one: the daemon, Ctrl-C, garbage in any order, the interpreter's end."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import sereus
from conftest import WAIT, OpenNode
from sereus import aio

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)

DAEMON = """
    import sys, sereus
    node = sereus.Node(sys.argv[1], control_socket=True, kdf_interactive=True, offline=True)
    if not node.info().peer:
        node.create_identity("daemon")
        node.create_store("notes").put("from", "daemon")
    print("ready", flush=True)
    sys.stdin.read()
    node.close()
"""


def python(code: str, *arguments: object, **settings: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *map(str, arguments)]
    pipe = subprocess.PIPE
    # Whoever runs the tests in the background has SIGINT ignored, and a child would inherit that: no Ctrl-C to test.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **settings)  # type: ignore[call-overload,no-any-return]
    finally:
        signal.signal(signal.SIGINT, before)


def finish(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=WAIT)
    assert process.returncode == 0, f"{process.returncode}\n{out}\n{error}"
    assert error == ""
    return out


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_daemon(tmp_path: Path) -> None:
    daemon = python(DAEMON, tmp_path)
    assert line_of(daemon) == "ready"
    try:
        with sereus.connect(tmp_path) as node, sereus.connect(str(tmp_path / "control.sock")) as other:
            store = node.open_store("notes")
            assert store["from"] == b"daemon"
            watch = other.open_store("notes").watch()
            store.put("k", "client")
            change = watch.next(WAIT)
            assert isinstance(change, sereus.Change)
            assert change.value == b"client"
            assert store.put_many((f"{i:05}", "v") for i in range(3000)) == 3000
            assert sum(1 for _ in store.list("0", values=True)) == 3000
            assert Path(node.info().data_folder).samefile(tmp_path)
            with pytest.raises(sereus.NotFound):
                store["missing"]
            with pytest.raises(sereus.TooLarge):
                store.put(b"k" * 5000, "")
            with pytest.raises(sereus.Unsupported):
                node.suspend()
            node.create_store("another", timeout=WAIT)

        async def main() -> None:
            async with aio.connect(tmp_path) as remote:
                notes = await remote.open_store("notes")
                await asyncio.gather(*(notes.put(f"aio/{i}", "v") for i in range(100)))
                assert [item async for item in notes.list("aio/", limit=1)]
                assert await notes.get("k") == b"client"
                assert {s.name for s in await remote.stores()} == {"root", "notes", "another"}

        asyncio.run(main())

        # The daemon dies while somebody waits.
        node = sereus.connect(tmp_path)
        watch = node.open_store("notes").watch()
        daemon.kill()
        daemon.communicate()
        with pytest.raises(sereus.Unreachable):
            watch.next(WAIT)
        with pytest.raises((sereus.Closed, sereus.Unreachable)):
            node.open_store("notes").put("k", "v")
        node.close()
        with pytest.raises(sereus.Unreachable):
            sereus.connect(tmp_path)
    finally:
        daemon.kill()
        daemon.communicate()

    daemon = python(DAEMON, tmp_path)
    assert line_of(daemon) == "ready"
    with sereus.connect(tmp_path) as node:
        assert node.open_store("notes")["k"] == b"client"
    finish(daemon)


def test_control_c(tmp_path: Path) -> None:
    waiting = python(
        """
        import sys, time, sereus
        with sereus.Node(sys.argv[1], kdf_interactive=True, offline=True) as node:
            node.create_identity("device")
            store = node.create_store("notes")
            try:
                with store.watch() as watch:
                    print("ready", flush=True)
                    next(watch)
            except KeyboardInterrupt:
                store.put("k", "v")
                print("interrupted", store["k"], flush=True)
        """,
        tmp_path,
    )
    assert line_of(waiting) == "ready"
    time.sleep(0.2)
    begin = time.monotonic()
    waiting.send_signal(signal.SIGINT)
    assert finish(waiting) == "interrupted b'v'\n"
    assert time.monotonic() - begin < 20


def test_control_c_among_puts_loses_no_answer(tmp_path: Path) -> None:
    process = python(
        """
        import os, signal, sys, threading, time, sereus
        node = sereus.Node(sys.argv[1], kdf_interactive=True, offline=True)
        node.create_identity("device")
        store = node.create_store("notes")
        counts, stop = [0, 0], False
        def work(number):
            while not stop:
                store.put(f"{number}/{counts[number]}", "v", timeout=30)
                counts[number] += 1
        threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
        for thread in threads: thread.start()
        interrupted = 0
        end = time.monotonic() + 4
        while time.monotonic() < end:
            timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            try:
                while True: store.put("main", "v")
            except KeyboardInterrupt:
                interrupted += 1
            timer.join()
        stop = True
        for thread in threads: thread.join()
        for n in range(2): assert sum(1 for _ in store.list(f"{n}/")) == counts[n], counts
        assert min(counts) > 0 and interrupted > 5, (counts, interrupted)
        node.close()
        print("fine")
        """,
        tmp_path,
    )
    assert finish(process) == "fine\n"


@pytest.mark.parametrize("left", ["node", "cycle", "threads", "watch", "aio", "aio-task"])
def test_interpreter_ends_with_things_left_open(tmp_path: Path, left: str) -> None:
    """Nothing is closed: no crash, no complaint, and what was written is there."""
    process = python(
        """
        import asyncio, sys, threading, time, sereus
        folder, left = sys.argv[1:]
        settings = dict(kdf_interactive=True, offline=True)
        if left.startswith("aio"):
            async def main():
                global node, store, watch
                node = await sereus.aio.Node(folder, **settings)
                await node.create_identity("device")
                store = await node.create_store("notes")
                await store.put("k", "v")
                watch = store.watch()
                if left == "aio-task":
                    global task
                    task = asyncio.ensure_future(anext(watch))
                    await asyncio.sleep(0.05)
            asyncio.run(main())
        else:
            node = sereus.Node(folder, **settings)
            node.create_identity("device")
            store = node.create_store("notes")
            store.put("k", "v")
            if left == "cycle":
                class Cycle: pass
                cycle = Cycle()
                cycle.me, cycle.node, cycle.watch = cycle, node, store.watch()
                del node, store
            if left == "threads":
                def read(): list(store.watch())
                def write():
                    while True: store.put("more", "v")
                for target in (read, write, read):
                    threading.Thread(target=target, daemon=True).start()
                time.sleep(0.2)
            if left == "watch":
                watch = store.watch()
                events = node.events()
        print("end")
        """,
        tmp_path,
        left,
    )
    out, error = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (0, "end\n"), error
    assert "Fatal" not in error
    if left not in ("threads", "aio-task"):  # daemon threads and tasks may be told of Closed
        assert error == ""
    with sereus.Node(tmp_path, kdf_interactive=True, offline=True) as node:
        assert node.open_store("notes")["k"] == b"v"


def test_garbage_in_any_order(open_node: OpenNode) -> None:
    draw = random.Random(1)
    for round_number in range(15):
        node = open_node.__call__(
            f"n{round_number % 3}", offline=True
        )  # the fixture keeps it: work on a connection's copy
        store = node.create_store(f"s{round_number}")
        things: list[object] = [store]
        for _ in range(20):
            things.append(draw.choice([store.watch, node.events, node.stores, store.info])())
            store.put(f"{len(things)}", "v")
        cycle: list[object] = [things]
        cycle.append(cycle)
        draw.shuffle(things)
        if draw.random() < 0.5:
            del store, things, cycle
            gc.collect()
            node.close()
        else:
            node.close()
            while things:
                things.pop()
                gc.collect()


def test_forgotten_node_frees_its_folder(tmp_path: Path) -> None:
    threads = set(os.listdir("/proc/self/task"))
    for i in range(5):
        while True:
            try:
                node = sereus.Node(tmp_path, kdf_interactive=True, offline=True)
                break
            except sereus.Busy:
                time.sleep(0.02)
        if i == 0:
            node.create_identity("device")
            node.create_store("notes")
        store = node.open_store("notes")
        store.put(str(i), "v")
        watch = store.watch()
        if i % 2:
            del node, store, watch
        else:
            del watch, store, node
        gc.collect()
    deadline = time.monotonic() + WAIT
    while set(os.listdir("/proc/self/task")) - threads and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(os.listdir("/proc/self/task")) - threads


def test_cancelled_store_creation_then_close(tmp_path: Path) -> None:
    process = python(
        """
        import asyncio, sys, sereus
        async def main():
            async with sereus.aio.Node(sys.argv[1], offline=True, kdf_interactive=True) as node:
                await node.create_identity("device")
                creating = asyncio.ensure_future(node.create_store("x"))
                await asyncio.sleep(0)
                creating.cancel()
        asyncio.run(main())
        print("fine")
        """,
        tmp_path,
    )
    assert finish(process) == "fine\n"


def test_version() -> None:
    declared = re.search(r'^version = "(.*)"', (ROOT / "bindings/python/pyproject.toml").read_text(), re.M)
    assert declared
    assert declared[1] == sereus.__version__
    from sereus import _sereus

    assert sereus.__version__ == _sereus.HEADER_VERSION


def test_stub_fits_the_extension(tmp_path: Path) -> None:
    stubtest = shutil.which("stubtest", path=str(Path(sys.executable).parent))
    if stubtest is None:
        pytest.skip("mypy is not installed in this environment: the .pyi was not compared with the extension")
    allowed = tmp_path / "allowed"  # what pybind11 makes of every class
    allowed.write_text("sereus._sereus.Handle\nsereus._sereus.Handle.__init__\n")
    command = [stubtest, "sereus", "--allowlist", str(allowed), "--ignore-unused-allowlist"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_but_the_module_is_exported() -> None:
    from sereus import _sereus

    nm = shutil.which("nm")
    if nm is None or sys.platform != "linux":
        pytest.skip("no nm")
    symbols = subprocess.run([nm, "-D", "--defined-only", _sereus.__file__], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in symbols.stdout.splitlines()] == ["PyInit__sereus"]


@pytest.mark.parametrize("example", sorted((ROOT / "examples/python").glob("*.py")), ids=lambda path: path.name)
def test_examples(example: Path, tmp_path: Path) -> None:
    """They run, and docs/python.md shows them as they are."""
    result = subprocess.run(
        [sys.executable, example], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "hello from" in result.stdout.lower()
    assert example.read_text().split('"""\n', 1)[1].strip() in (ROOT / "docs/python.md").read_text()
