#!/usr/bin/env python3
"""The main job, with two real daemons over UDP on loopback: `./dev demo [FOLDER] [--keep] [--entries N] [--json]`.

Alice and Bob are two `sereus` processes with their own data folders. The story: import, invite, join, concurrent writes
while cut off, and a catch-up that is killed half way. Every claim is checked; the exit code is 0 only when all hold.

Needs the Python standard library and the `sereus` command, found in $SEREUS_BIN or build/release/bin/sereus.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEY = "shared/greeting"
KILL_FROM, KILL_TO = 0.20, 0.80  # of the further entries, durable when Bob is killed
KILL_ATTEMPTS = 4  # on a fast machine a catch-up may be over before it is seen
RESENT_MAX = 0.10  # of what was durable
POLL_S = 0.02
PATIENCE_S = 600.0  # for a step that takes seconds; a loaded machine is slow
DEFAULT_ENTRIES = 100_000


class DemoError(Exception):
    """The story cannot go on."""


class Teller:
    """Prints the story. With --json, standard output is kept for the document and the story goes to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.out = sys.stderr if as_json else sys.stdout
        self.on_terminal = self.out.isatty()
        self.checks: list[dict] = []
        self.started = time.monotonic()

    def say(self, text: str = "") -> None:
        self.clear()
        print(text, file=self.out, flush=True)

    def chapter(self, number: int, title: str) -> None:
        self.say(f"\n== {number}. {title} " + "=" * max(0, 96 - len(title)))

    def command(self, who: str, words: str) -> None:
        self.say(f"{who:>5}$ sereus {words}")

    def indented(self, text: str) -> None:
        for line in text.rstrip("\n").splitlines():
            self.say("       " + line)

    def progress(self, what: str, done: int, total: int) -> None:
        if not self.on_terminal:
            return
        full = 0 if total == 0 else min(40, 40 * done // total)
        bar = "█" * full + "░" * (40 - full)
        print(f"\r\033[K       {what} {bar} {done:,}/{total:,}", end="", file=self.out, flush=True)

    def clear(self) -> None:
        if self.on_terminal:
            print("\r\033[K", end="", file=self.out)

    def check(self, what: str, holds: bool, shown: str = "") -> bool:
        self.checks.append({"check": what, "holds": holds, "shown": shown})
        self.say(f"   {'ok  ' if holds else 'FAIL'} {what}" + (f": {shown}" if shown else ""))
        return holds

    def all_hold(self) -> bool:
        return bool(self.checks) and all(check["holds"] for check in self.checks)


class Node:
    """One device: a data folder, and a daemon on it that comes and goes."""

    def __init__(self, binary: str, folder: Path, name: str, teller: Teller) -> None:
        self.binary = binary
        self.name = name
        self.data = folder / name
        self.teller = teller
        self.daemon: subprocess.Popen | None = None
        self.events: list[dict] = []
        self.errors: list[str] = []
        self.received = 0  # as the daemon's last sync event told, by this run
        self.reader: list[threading.Thread] = []

    def run(self, *arguments: str, show: str | None = None, as_json: bool = True, allow_failure: bool = False):
        """Runs one command. Returns the JSON objects it printed (one: the object itself), or its text."""
        if show is not None:
            self.teller.command(self.name, show)
        command = [self.binary, "--data", str(self.data), *(["--json"] if as_json else []), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        if done.returncode != 0 and not allow_failure:
            raise DemoError(f"{self.name}: `sereus {' '.join(arguments)[:200]}` failed: {done.stderr.strip()[-500:]}")
        if not as_json:
            return done.stdout
        objects = [json.loads(line) for line in done.stdout.splitlines()]
        return objects[0] if len(objects) == 1 else objects

    def up(self) -> None:
        """Starts the daemon and waits until it serves its control socket and listens."""
        self.teller.command(self.name, "up &")
        self.events, self.errors, self.received = [], [], 0
        command = [self.binary, "--data", str(self.data), "--json", "up", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]
        self.daemon = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        self.reader = [
            threading.Thread(target=self._read_events, args=(self.daemon.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self.daemon.stderr,), daemon=True),
        ]
        for thread in self.reader:
            thread.start()
        self.wait_for(lambda: self._told("ready") and self._told("listening"), "its daemon is up")

    def _read_events(self, stream) -> None:
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == "sync":
                self.received = max(self.received, event["entries_received"])
            self.events.append(event)

    def _read_errors(self, stream) -> None:
        for line in stream:
            self.errors.append(line.rstrip("\n"))

    def _told(self, kind: str) -> bool:
        return any(event.get("event") == kind for event in list(self.events))

    def alive(self) -> bool:
        return self.daemon is not None and self.daemon.poll() is None

    def down(self) -> None:
        """Ends the daemon in order."""
        if not self.alive():
            return
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(timeout=60)
        self._join()

    def kill(self) -> None:
        self.daemon.kill()
        self.daemon.wait(timeout=60)
        self._join()

    def _join(self) -> None:
        for thread in self.reader:
            thread.join(timeout=10)

    def wait_for(self, condition, what: str, patience_s: float = PATIENCE_S):
        """Polls until the condition gives something true, and returns that."""
        end = time.monotonic() + patience_s
        while True:
            value = condition()
            if value:
                return value
            if self.daemon is not None and not self.alive():
                raise DemoError(f"{self.name}: the daemon ended by itself: {' | '.join(self.errors[-5:])}")
            if time.monotonic() > end:
                raise DemoError(f"{self.name}: waited {patience_s:.0f} s for: {what}")
            time.sleep(POLL_S)

    def status(self, digest: bool = False) -> dict:
        return self.run("status", *(["--digest"] if digest else []))

    def store(self, name: str = "notes", digest: bool = False) -> dict | None:
        for store in self.status(digest)["stores"]:
            if store["name"] == name and not store["root"]:
                return store
        return None

    def heads(self, key: str) -> list[dict]:
        heads = self.run("heads", key, allow_failure=True)
        return heads if isinstance(heads, list) else [heads]


def digests(node: Node) -> dict[str, str]:
    """State digest of every store, by store id."""
    return {store["store"]: store.get("state_digest", "") for store in node.status(digest=True)["stores"]}


def quick_digests(node: Node) -> dict[str, str]:
    """Digest over (author, tip) of every store: cheap, for waiting."""
    return {store["store"]: store["digest"] for store in node.status()["stores"]}


def entries_of(status: dict) -> int:
    return sum(store["entries"] for store in status["stores"])


def wire_bytes(node: Node) -> int:
    info = node.status()["node"]
    return info["bytes_sent"] + info["bytes_received"]


def human(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


class Demo:
    def __init__(self, binary: str, base: Path, folder: Path | None, entries: int, teller: Teller) -> None:
        self.base = base
        self.folder = folder
        self.entries = entries
        self.tell = teller
        self.alice = Node(binary, base, "alice", teller)
        self.bob = Node(binary, base, "bob", teller)
        self.rows: list[dict] = []

    def play(self) -> None:
        self.import_folder()
        self.invite_and_join()
        self.write_while_cut_off()
        self.kill_while_catching_up()
        self.table()

    def in_step(self) -> None:
        def equal():
            mine = quick_digests(self.alice)
            return mine and mine == quick_digests(self.bob)

        self.bob.wait_for(equal, "both have the same stores with the same digests")

    def row(self, what: str, entries: int, wire: int | None, seconds: float) -> None:
        self.rows.append({"step": what, "entries": entries, "bytes": wire, "seconds": round(seconds, 3)})

    # ---- 1 --------------------------------------------------------------------------------------------------------

    def import_folder(self) -> None:
        self.tell.chapter(1, "Alice makes an identity and a store, and imports a folder")
        created = self.alice.run("init", "--name", "alice", "--no-passphrase", show="init --name alice --no-passphrase")
        self.tell.indented(f"peer {created['peer']}")
        self.alice.run("create-store", "notes", show="create-store notes")
        begin = time.monotonic()
        imported = 0
        sources = [(ROOT / "docs", "docs/")] if self.folder is None else [(self.folder, "")]
        for folder, prefix in sources:
            words = ["import", str(folder), "--skip-large", *(["--prefix", prefix] if prefix else [])]
            result = self.alice.run(*words, show=" ".join(words))
            summary = result if isinstance(result, dict) else result[-1]
            for skipped in result[:-1] if isinstance(result, list) else []:
                self.tell.indented(f"skipped {skipped.get('skipped', '?')}: {skipped['reason']}")
            imported += summary["imported"]
        if self.folder is None and (ROOT / "README.md").is_file():
            self.alice.run("put", "README.md", "--file", str(ROOT / "README.md"), show="put README.md --file README.md")
            imported += 1
        seconds = time.monotonic() - begin
        store = self.alice.store()
        self.tell.indented(f"{imported} files, {store['keys']} keys, {human(store['log_bytes'])} of signed log")
        self.tell.check("every imported file is a key", store["keys"] == imported, f"{store['keys']} keys")
        self.row("import", imported, None, seconds)

    # ---- 2 --------------------------------------------------------------------------------------------------------

    def invite_and_join(self) -> None:
        self.tell.chapter(2, "Alice invites, Bob joins over QUIC and catches up")
        self.alice.up()
        shown = self.alice.run("invite", "--qr", show="invite --qr", as_json=False)
        invite = shown.splitlines()[0].strip()
        self.tell.indented(shown)
        self.bob.run("init", "--name", "bob", "--no-passphrase", show="init --name bob --no-passphrase")
        self.bob.up()
        wire = wire_bytes(self.alice)
        begin = time.monotonic()
        self.bob.run("join", invite, show=f"join {invite[:24]}...")
        self.in_step()
        seconds = time.monotonic() - begin
        mine, theirs = digests(self.alice), digests(self.bob)
        store = self.bob.store()
        self.tell.check("the state digests of all stores are equal", bool(mine) and mine == theirs, self.short(mine))
        self.refuse_a_stranger(invite)
        peers = self.alice.status()["peers"]
        self.tell.check(
            "Alice knows two devices, herself and Bob", self.names(peers) == ["alice", "bob"], str(self.names(peers))
        )
        self.row("join and catch up", store["entries"], wire_bytes(self.alice) - wire, seconds)

    def refuse_a_stranger(self, invite: str) -> None:
        """The invite was for one use: whoever comes second with it is not let in and learns nothing."""
        eve = Node(self.bob.binary, self.base, "eve", self.tell)
        eve.run("init", "--name", "eve", "--no-passphrase")
        answer = eve.run("--timeout", "60", "join", invite, show=f"join {invite[:24]}...", allow_failure=True)
        stores = eve.status()["stores"]
        learned = [store["name"] for store in stores if store["name"] == "notes"]
        self.tell.check(
            "Eve, who comes with the used invite, is refused and learns of no store", not answer and not learned
        )

    @staticmethod
    def names(peers: list[dict]) -> list[str]:
        return sorted(peer["name"] for peer in peers if not peer["removed"])

    @staticmethod
    def short(found: dict[str, str]) -> str:
        return " ".join(digest[:12] for _, digest in sorted(found.items()))

    # ---- 3 --------------------------------------------------------------------------------------------------------

    def write_while_cut_off(self) -> None:
        self.tell.chapter(3, "Both write the same key while cut off from each other")
        self.bob.down()
        self.tell.indented("Bob's daemon has ended: they cannot reach each other.")
        self.alice.run("--store", "notes", "put", KEY, "hello from alice", show=f"put {KEY} 'hello from alice'")
        self.bob.run("--store", "notes", "put", KEY, "hello from bob", show=f"put {KEY} 'hello from bob'")
        wire = wire_bytes(self.alice)
        begin = time.monotonic()
        self.bob.up()
        self.in_step()
        seconds = time.monotonic() - begin
        self.tell.command("both", f"heads {KEY}")
        self.tell.indented(self.alice.run("--store", "notes", "heads", KEY, as_json=False))
        mine, theirs = self.heads()
        self.tell.check("both show the two heads", len(mine) == 2 and self.hashes(mine) == self.hashes(theirs))
        winners = {mine[0].get("value"), theirs[0].get("value")}
        read = {
            self.alice.run("--store", "notes", "get", KEY)["value"],
            self.bob.run("--store", "notes", "get", KEY)["value"],
        }
        same = len(winners) == 1 and winners == read
        self.tell.check("the winner is the same on both", same, f"'{mine[0].get('value')}'")
        self.bob.run("--store", "notes", "put", KEY, "hello from both", show=f"put {KEY} 'hello from both'")
        self.in_step()
        mine, theirs = self.heads()
        merged = len(mine) == 1 and len(theirs) == 1 and mine[0]["value"] == theirs[0]["value"] == "hello from both"
        self.tell.check("the next write merged them", merged, f"{len(mine)} head on Alice, {len(theirs)} on Bob")
        self.row("conflict and merge", 3, wire_bytes(self.alice) - wire, seconds)

    def heads(self) -> tuple[list[dict], list[dict]]:
        return tuple(
            heads if isinstance(heads := node.run("--store", "notes", "heads", KEY), list) else [heads]
            for node in (self.alice, self.bob)
        )

    @staticmethod
    def hashes(heads: list[dict]) -> list[str]:
        return [head["hash"] for head in heads]

    # ---- 4 --------------------------------------------------------------------------------------------------------

    def kill_while_catching_up(self) -> None:
        self.tell.chapter(4, f"Bob catches up on {self.entries:,} further entries and is killed half way")
        identity = self.bob.status()["node"]["peer"]
        start, entries = 0, self.entries
        for attempt in range(KILL_ATTEMPTS):
            if attempt > 0:
                entries *= 2
                self.tell.indented(f"That was no kill in the middle: once more, with {entries:,} entries.")
                self.bob.up()
                self.in_step()
            self.bob.down()
            before = self.bob.store()["entries"]
            words = ["fill", str(entries), "--prefix", "log/", "--size", "100", "--start", str(start)]
            filled = self.alice.run("--store", "notes", *words, show=" ".join(words))
            start += entries
            self.tell.indented(f"{filled['entries']:,} entries in {filled['seconds']:.2f} s, each signed and durable")
            self.row("Alice writes", filled["entries"], None, filled["seconds"])
            wire = wire_bytes(self.alice)
            begin = time.monotonic()
            told = self.wait_and_kill(before, entries)
            until_kill = time.monotonic() - begin
            after_kill = self.bob.status()  # nobody serves the folder: the command opens it itself, and recovers it
            durable = next(store for store in after_kill["stores"] if store["name"] == "notes")["entries"] - before
            share = durable / entries
            self.tell.indented(
                f"killed after {until_kill:.2f} s, when {told:,} were reported; found on disk afterwards: "
                f"{durable:,} of {entries:,} ({100 * share:.0f}%)"
            )
            if KILL_FROM <= share <= KILL_TO:
                break
        middle = KILL_FROM <= share <= KILL_TO
        self.tell.check("Bob was killed with 20 to 80% durable", middle, f"{durable:,} of {entries:,} entries")
        lost = max(0, told - durable)
        self.tell.check(
            "nothing that Bob had reported as durable is lost", lost == 0, f"{told:,} told, {durable:,} there"
        )
        self.complete(identity, after_kill, entries, durable, wire, until_kill)

    def wait_and_kill(self, before: int, entries: int) -> int:
        """Starts Bob and kills him as soon as enough is durable. Returns how many entries he had told of by then."""
        self.bob.up()
        least = int(KILL_FROM * entries) + entries // 20

        def enough():
            # The events of the sync are the quick way to know; the status says the same when they are dropped.
            told = self.bob.received
            if told < least:
                store = self.bob.store()
                told = max(told, store["entries"] - before if store else 0)
            self.tell.progress("Bob receives", told, entries)
            return told if told >= least else 0

        told = self.bob.wait_for(enough, "a fifth of the entries is durable")
        self.bob.kill()
        self.tell.command("bob", "up  <- killed with SIGKILL")
        return min(told, entries)

    def complete(
        self, identity: str, after_kill: dict, entries: int, durable: int, wire: int, until_kill: float
    ) -> None:
        total = entries_of(self.alice.status())
        missing = total - entries_of(after_kill)
        begin = time.monotonic()
        self.bob.up()

        def complete():
            now = entries_of(self.bob.status())
            self.tell.progress("Bob goes on", max(0, missing - (total - now)), missing)
            return now >= total

        self.bob.wait_for(complete, "all entries are there")
        self.in_step()
        seconds = time.monotonic() - begin
        mine, theirs = self.alice.status(digest=True), self.bob.status(digest=True)
        equal = self.state_of(mine) == self.state_of(theirs)
        self.tell.check("no loss: entries are equal", entries_of(mine) == entries_of(theirs), f"{entries_of(theirs):,}")
        self.tell.check("no loss: state digests are equal", equal, self.short(self.state_of(mine)))
        now = theirs["node"]["peer"]
        self.tell.check("no second identity: Bob has the same peer id", now == identity, now)
        for who, status in (("Alice", mine), ("Bob", theirs)):
            names = self.names(status["peers"])
            self.tell.check(f"no second identity: {who} knows two devices", names == ["alice", "bob"], str(names))
        forks = sum(store["forks"] for status in (mine, theirs) for store in status["stores"])
        self.tell.check("no forked log", forks == 0, f"{forks} forks")
        for node in (self.alice, self.bob):
            results = node.run("verify", show="verify")
            results = results if isinstance(results, list) else [results]
            sound = bool(results) and all(result["ok"] for result in results)
            self.tell.check(f"{node.name}'s logs verify, every hash, chain and signature", sound)
        received = theirs["node"]["entries_received"]
        again = max(0, received - missing)
        self.tell.indented(
            f"Bob counted {received:,} entries received since the restart; {missing:,} were missing, so {again:,} came "
            f"a second time. A tenth of the {durable:,} that were durable: {int(durable * RESENT_MAX):,}."
        )
        self.tell.check(
            "at most a tenth of what was durable was sent again", again <= durable * RESENT_MAX, f"{again:,} entries"
        )
        self.row("Bob until killed", durable, None, until_kill)
        self.row("Bob after the restart", received, None, seconds)
        self.row("catch-up in all", entries, wire_bytes(self.alice) - wire, until_kill + seconds)

    @staticmethod
    def state_of(status: dict) -> dict[str, str]:
        return {store["store"]: store.get("state_digest", "") for store in status["stores"]}

    # ---- 5 --------------------------------------------------------------------------------------------------------

    def table(self) -> None:
        self.tell.chapter(5, "What it took")
        self.tell.say(f"   {'step':<24}{'entries':>12}{'on the wire':>14}{'per entry':>12}{'seconds':>10}")
        for row in self.rows:
            wire, entries = row["bytes"], row["entries"]
            each = "" if wire is None or not entries else f"{wire / entries:,.0f} B"
            size = "" if wire is None else human(wire)
            self.tell.say(f"   {row['step']:<24}{entries:>12,}{size:>14}{each:>12}{row['seconds']:>10.2f}")
        self.tell.say()
        self.tell.say(f"   {'store':<12}{'':<8}{'entries':>10}{'keys':>10}{'conflicts':>11}  state digest")
        for node in (self.alice, self.bob):
            for store in node.status(digest=True)["stores"]:
                name = "(root)" if store["root"] else store["name"]
                self.tell.say(
                    f"   {name:<12}{node.name:<8}{store['entries']:>10,}{store['keys']:>10,}{store['conflicts']:>11,}"
                    f"  {store.get('state_digest', '')[:32]}"
                )

    def end(self) -> None:
        """Ends both daemons, whatever happened."""
        for node in (self.bob, self.alice):
            try:
                node.down()
            except subprocess.TimeoutExpired:
                node.kill()

    def tell_how_to_go_on(self, binary: str) -> None:
        self.tell.say("\nThe folders are kept. To go on by hand, each in a terminal of its own:")
        for node in (self.alice, self.bob):
            self.tell.say(f"   {binary} --data {node.data} up")
        self.tell.say("and then, for example:")
        self.tell.say(f"   {binary} --data {self.alice.data} --store notes put {KEY} 'by hand'")
        self.tell.say(f"   {binary} --data {self.bob.data} --store notes get {KEY}")
        self.tell.say(f"   {binary} --data {self.bob.data} status")
        self.tell.say("Remove them with:")
        self.tell.say(f"   rm -r {self.base}")


def find_binary() -> str:
    named = os.environ.get("SEREUS_BIN")
    binary = Path(named) if named else ROOT / "build" / "release" / "bin" / "sereus"
    if not binary.is_file() or not os.access(binary, os.X_OK):
        raise SystemExit(f"demo: there is no sereus command at {binary}: run `./dev build`, or name one in SEREUS_BIN")
    return str(binary.resolve())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, help="what Alice imports (default: the project's docs and README)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the data folders and print the commands to go on by hand"
    )
    parser.add_argument(
        "--entries", type=int, default=DEFAULT_ENTRIES, help="further entries of step 4 (default: 100000)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document; the story goes to standard error")
    arguments = parser.parse_args()
    if arguments.folder is not None and not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder")
    if arguments.entries < 100:
        parser.error("--entries: at least 100, so that there is a middle to be killed in")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    binary = find_binary()
    teller = Teller(arguments.json)
    base = Path(tempfile.mkdtemp(prefix="sereus-demo-"))
    demo = Demo(binary, base, arguments.folder, arguments.entries, teller)
    error = ""
    # A person's Ctrl-C and a test's SIGTERM end the daemons, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        demo.play()
    except DemoError as problem:
        error = str(problem)
        teller.say(f"\ndemo: {error}")
    except subprocess.TimeoutExpired as problem:
        error = f"a command took more than {problem.timeout:.0f} s: {' '.join(map(str, problem.cmd))[:200]}"
        teller.say(f"\ndemo: {error}")
    finally:
        demo.end()
    good = not error and teller.all_hold()
    seconds = time.monotonic() - teller.started
    held = sum(check["holds"] for check in teller.checks)
    teller.say(f"\n{'All held' if good else 'NOT all held'}: {held} of {len(teller.checks)} checks, {seconds:.1f} s.")
    if arguments.keep or not good:
        demo.tell_how_to_go_on(binary)
    else:
        shutil.rmtree(base, ignore_errors=True)
    if arguments.json:
        document = {
            "ok": good,
            "error": error,
            "seconds": round(seconds, 3),
            "checks": teller.checks,
            "rows": demo.rows,
            "folder": str(base) if arguments.keep or not good else None,
        }
        print(json.dumps(document))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
