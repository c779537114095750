"""What the tests of the command share: a node in a folder of its own, and its daemon.

The command is the one in $SEREUS_BIN, or build/release/bin/sereus.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SEREUS_BIN") or ROOT / "build" / "release" / "bin" / "sereus").resolve()
PATIENCE_S = 120.0  # the machine may be busy; a step that works ends long before
LOOPBACK = "/ip4/127.0.0.1/udp/0/quic-v1"


def pytest_sessionstart(session: pytest.Session) -> None:
    if not BINARY.is_file():
        pytest.exit(
            f"there is no sereus command at {BINARY}: run `./dev build`, or name one in SEREUS_BIN", returncode=2
        )


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would reach into a person's own Sereus."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEREUS_")}
    environment["HOME"] = "/nonexistent"
    environment["LC_ALL"] = "C.UTF-8"
    environment.pop("XDG_DATA_HOME", None)
    environment.update(more)
    return environment


class Result:
    """What a command did."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.raw = out
        self.out = out.decode(errors="replace")
        self.err = err.decode(errors="replace")

    @property
    def objects(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict:
        objects = self.objects
        assert len(objects) == 1, self
        return objects[0]

    @property
    def error(self) -> dict:
        return json.loads(self.err.splitlines()[-1])["error"]

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out[-3000:]}\n--- err\n{self.err[-3000:]}"


def sereus(
    *arguments: str | bytes,
    stdin: bytes = b"",
    timeout: float = PATIENCE_S,
    user: int | None = None,
    **environment: str,
) -> Result:
    """Runs the command without a data folder of its own choice; with `user` (root only) as another user."""
    done = subprocess.run(
        [str(BINARY), *arguments],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env=clean_environment(**environment),
        user=user,
        group=user,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> object:
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {patience_s:.0f} s for: {what}"
        time.sleep(0.03)


class Daemon:
    """`sereus up` on a folder, with the events it printed."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.events: list[dict] = []
        self.errors: list[str] = []
        self.threads = [
            threading.Thread(target=self._events, daemon=True),
            threading.Thread(target=self._errors, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def _events(self) -> None:
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.events.append(json.loads(line))

    def _errors(self) -> None:
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))

    def told(self, event: str, **fields: object) -> dict | None:
        for one in list(self.events):
            if one.get("event") == event and all(one.get(name) == value for name, value in fields.items()):
                return one
        return None

    def wait_for(self, event: str, **fields: object) -> dict:
        def told() -> dict | None:
            found = self.told(event, **fields)
            assert found or self.process.poll() is None, f"the daemon ended: {self.errors}"
            return found

        return until(told, f"the daemon's event {event} {fields}")

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=PATIENCE_S)
        for thread in self.threads:
            thread.join(timeout=10)
        return code


class Node:
    """A data folder and the commands on it."""

    def __init__(self, data: Path, name: str) -> None:
        self.data = data
        self.name = name
        self.daemons: list[Daemon] = []

    def run(
        self, *arguments: str | bytes, stdin: bytes = b"", timeout: float = PATIENCE_S, **environment: str
    ) -> Result:
        return sereus("--data", str(self.data), *arguments, stdin=stdin, timeout=timeout, **environment)

    def ok(self, *arguments: str | bytes, **more) -> Result:
        result = self.run(*arguments, **more)
        assert result.code == 0, result
        return result

    def json(self, *arguments: str | bytes, **more) -> dict:
        return self.ok("--json", *arguments, **more).object

    def jsons(self, *arguments: str | bytes, **more) -> list[dict]:
        return self.ok("--json", *arguments, **more).objects

    def fails(self, *arguments: str | bytes, code: int = 1, **more) -> str:
        """The one line on standard error of a command that has to fail."""
        result = self.run(*arguments, **more)
        assert result.code == code, result
        lines = result.err.splitlines()
        assert len(lines) == 1, f"not one line: {result}"
        assert lines[0].startswith("sereus: "), result
        return lines[0]

    def init(self, *more: str) -> Node:
        self.ok("init", "--name", self.name, "--no-passphrase", *more)
        return self

    def start(self, *arguments: str, wait: bool = True, **environment: str) -> Daemon:
        """Starts the daemon; ended at the end of the test."""
        where = () if "--listen" in arguments or "--offline" in arguments else ("--listen", LOOPBACK)
        process = subprocess.Popen(
            [str(BINARY), "--data", str(self.data), "--json", "up", *where, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(**environment),
        )
        daemon = Daemon(process)
        self.daemons.append(daemon)
        if wait:
            daemon.wait_for("ready")
            if "--offline" not in arguments:
                daemon.wait_for("listening")
        return daemon

    def end(self) -> None:
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.end(signal.SIGKILL)

    def store(self, name: str) -> dict | None:
        for store in self.json("status", "--digest")["stores"]:
            if store["name"] == name and not store["root"]:
                return store
        return None


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a control socket's name has at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="scli-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_node(folder: Path) -> Iterator[Callable[[str], Node]]:
    nodes: list[Node] = []

    def make(name: str) -> Node:
        nodes.append(Node(folder / name, name))
        return nodes[-1]

    yield make
    for node in nodes:
        node.end()


@pytest.fixture
def node(make_node) -> Node:
    """A node with an identity and no store."""
    return make_node("alice").init()


@pytest.fixture
def store(node: Node) -> Node:
    """A node with one store, 'notes', that commands find by themselves."""
    node.ok("create-store", "notes")
    return node


@pytest.fixture
def pair(make_node) -> tuple[Node, Node]:
    """Two nodes with running daemons, in step over the store 'notes'."""
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.ok("put", "first", "from alice")
    alice.start()
    bob.start()
    bob.ok("join", alice.json("invite")["invite"])
    return alice, bob


def in_step(one: Node, other: Node) -> None:
    """Waits until the store 'notes' is the same on both."""

    def same() -> bool:
        mine, theirs = one.store("notes"), other.store("notes")
        return bool(
            mine and theirs and mine["state_digest"] == theirs["state_digest"] and mine["digest"] == theirs["digest"]
        )

    until(same, "both have the same state")
