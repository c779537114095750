"""js-libp2p as the other side: its programs (tests/interop/js) are installed into the build folder and run from there."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("SEREUS_BUILD", ROOT / "build" / "release"))
SOURCES = ROOT / "tests" / "interop" / "js"
BINARY = Path(os.environ.get("SEREUS_BIN") or BUILD / "bin" / "sereus").resolve()
NODE_MAJOR_MIN = 20
ECHO_MIB = int(os.environ.get("SEREUS_INTEROP_MIB", "16"))
ECHO_BYTES = ECHO_MIB << 20
SECONDS = 60 + 2 * ECHO_MIB  # for any one line to come: machines may be slow

TCP = "/ip4/127.0.0.1/tcp/0"
# Where to listen, and what js secures the connection with; ours takes what js speaks.
TRANSPORTS = {
    "quic": ("/ip4/127.0.0.1/udp/0/quic-v1", ""),
    "tcp-noise": (TCP, "noise"),
    "tcp-tls": (TCP, "tls"),
    "ws-noise": (f"{TCP}/ws", "noise"),
}
PROTOCOLS = {"tls": "/tls/1.0.0", "noise": "/noise"}


def security_options(security: str) -> list[str]:
    return ["--security", security] if security else []


def without_peer(address: str) -> str:
    return address.rpartition("/p2p/")[0]


def node_major() -> int:
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        return 0
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.lstrip("v").split(".")[0])


@pytest.fixture(scope="session")
def js() -> Path:
    """The folder with js-libp2p's programs and their packages."""
    major = node_major()
    if major < NODE_MAJOR_MIN:
        pytest.skip(f"Node {NODE_MAJOR_MIN} or later, with npm, is absent" + (f" (this is {major})" if major else ""))
    folder = BUILD / "interop"
    lock = (SOURCES / "package-lock.json").read_text()
    stamp = folder / ".installed"
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    if not stamp.exists() or stamp.read_text() != lock:
        # Not `npm ci`: it refuses a lock without the optional builds for other platforms.
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--loglevel=error"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"npm install failed in {folder}: {done.stdout}{done.stderr}"
        stamp.write_text(lock)
    return folder


class Program:
    """A running program that writes one JSON object a line."""

    def __init__(self, command: list[str | Path], cwd: Path, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.seen: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, event: str) -> dict:
        """The next line that tells `event`."""
        while True:
            try:
                line = self.lines.get(timeout=SECONDS)
            except queue.Empty:
                pytest.fail(f"no '{event}' within {SECONDS} s; so far: {''.join(self.seen)}")
            if line is None:
                pytest.fail(f"ended without '{event}': {''.join(self.seen)}")
            self.seen.append(line)
            if line.startswith("{") and (told := json.loads(line))["event"] == event:
                return told

    def tell(self, order: dict) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def finish(self) -> int:
        return self.process.wait(timeout=SECONDS)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Peers:
    def __init__(self, js: Path) -> None:
        self.js_folder = js
        self.running: list[Program] = []

    def _run(self, command: list[str | Path], cwd: Path, env: dict[str, str] | None = None) -> Program:
        program = Program(command, cwd, env)
        self.running.append(program)
        return program

    def js(self, program: str, *arguments: str | Path, env: dict[str, str] | None = None) -> Program:
        return self._run(["node", f"bin/{program}.mjs", *arguments], self.js_folder, env)

    def sereus(self, *arguments: str) -> Program:
        """The command, left running."""
        return self._run([BINARY, "--json", *arguments], ROOT)

    def native(self, program: str, *arguments: str) -> Program:
        """One of our peers on the core alone (tests/interop/native)."""
        return self._run([BUILD / "test" / f"interop_{program}", *arguments], ROOT)

    def stop(self) -> None:
        for program in self.running:
            program.stop()


@pytest.fixture
def peers(js: Path) -> Iterator[Peers]:
    started = Peers(js)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def lasting_peers(js: Path) -> Iterator[Peers]:
    """Peers for all tests of a module."""
    started = Peers(js)
    yield started
    started.stop()
