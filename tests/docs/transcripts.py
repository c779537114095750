"""Fenced code blocks of Markdown pages, and running those that are marked as tested.

A block is marked by a comment on the line before its fence:

    <!-- tested: file NAME -->      the block is written to NAME in the session's folder
    <!-- tested: run -->            the block is a transcript: lines that begin with "$ " are typed into one bash, word for
                                    word; the lines up to the next "$ " are what it must print: first standard
                                    output, then standard error

    <!-- tested: shows PATH -->     the block is word for word what the project's file PATH has between two lines
                                    "// ---- the page shows"; that file is compiled and run by other tests

All marked blocks of a page are one session: one bash, in a folder of its own, in which include/, build/release/, bindings/
and examples/ are those of the project, and `sereus` is the one that was built. Every command must succeed.

Comparing: what differs from run to run (ids, invites, times, ports, sizes, counts of a sync, absolute paths) is masked
on both sides, runs of blanks count as one, and empty lines are left out. A line "..." in the page stands for any number of lines.

After a command "... > FILE &" or "... &> FILE &" the session waits until FILE holds "listening on": a person takes
seconds to type the next line, the test does not.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SEREUS_BUILD") or ROOT / "build" / "release").resolve()
BINARY = Path(os.environ.get("SEREUS_BIN") or BUILD / "bin" / "sereus").resolve()
VENV = Path(os.environ.get("SEREUS_VENV") or ROOT / "build" / "venv").resolve()
PATIENCE_S = 180.0  # the machine may be busy; a step that works ends long before


@dataclasses.dataclass
class Block:
    page: Path
    line: int  # of the fence, from 1
    language: str
    text: str
    mark: str  # what follows "tested:", or ""


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    folders = [ROOT, ROOT / "docs", ROOT / "docs" / "formats", ROOT / "bindings" / "python", ROOT / "examples"]
    return sorted(page for folder in folders if folder.is_dir() for page in folder.glob("*.md"))


def blocks_of(page: Path) -> list[Block]:
    blocks: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        opened = re.match(r"^(\s*)(`{3,})(\S*)", lines[at])
        if not opened:
            at += 1
            continue
        indent, fence, language = opened.groups()
        marked = re.match(r"\s*<!-- tested: (.*?) -->\s*$", lines[at - 1]) if at else None
        start = at
        at += 1
        body: list[str] = []
        while at < len(lines) and lines[at].strip() != fence:
            body.append(lines[at].removeprefix(indent))
            at += 1
        if at == len(lines):
            raise AssertionError(f"{page.name}:{start + 1}: the code block does not end")
        text = "\n".join(body) + "\n"
        blocks.append(Block(page, start + 1, language, text, marked.group(1) if marked else ""))
        at += 1
    return blocks


# ---- Comparing -------------------------------------------------------------------------------------------------------

MASKS = [
    (r"\bsereus1[a-z2-7]{8,}(\.\.\.|…)?", "<invite>"),
    (r"\b12D3Koo\w*(…\w+)?", "<peer>"),
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?", "<time>"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?", "<time>"),
    (r"/(udp|tcp)/\d+", r"/\1/<port>"),
    (r"received \d+ entr(y|ies), sent \d+ entr(y|ies)", "received and sent entries"),
    (r"\b\d[\d,]* entr(y|ies)\b", "<entries>"),
    (r"\b\d+(\.\d+)? ([KMG]iB|B)(/s)?(?!\w)", "<size>"),
    (r"\b\d+ (s|ms|min|h) ago\b|\bnow(?= {2}|\s*$)", "<ago>"),
    (r"\b\d+(\.\d+)? (s|ms|seconds)\b", "<duration>"),
    (r"\b[0-9a-f]{8,64}\b", "<hex>"),
    (r"(?<![\w.<>/])/(?!ip[46]/)[\w.~-]+(/[\w.~-]+)*", "<path>"),
    (r"\b\d+ times as fast", "<many> times as fast"),
    (r"\b\d+ writes acknowledged, \d+ crashes", "<many> writes acknowledged, <some> crashes"),
    (r"[ \t]+", " "),
]


def masked(text: str) -> list[str]:
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def same(expected: list[str], shown: list[str]) -> bool:
    """Masked lines; "..." among the expected ones stands for any number of lines."""
    if not expected:
        return not shown
    if expected[0] in ("...", "…"):
        return any(same(expected[1:], shown[skip:]) for skip in range(len(shown) + 1))
    return bool(shown) and expected[0] == shown[0] and same(expected[1:], shown[1:])


def steps_of(block: Block) -> list[tuple[str, str]]:
    """(command, expected output) pairs of a transcript. A command goes on in lines that begin with "> "."""
    steps: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line.startswith("> ") and steps and not steps[-1][1]:
            steps[-1] = (steps[-1][0] + "\n" + line[2:], "")
        elif steps:
            steps[-1] = (steps[-1][0], steps[-1][1] + line + "\n")
        else:
            raise AssertionError(f"{block.page.name}:{block.line}: the transcript does not begin with a command")
    return steps


# ---- Running ---------------------------------------------------------------------------------------------------------


class Session:
    """One bash in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("include", "bindings", "examples"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "build").mkdir()
        (folder / "build" / "release").symlink_to(BUILD)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEREUS_", "XDG_"))}
        environment["PATH"] = os.pathsep.join([str(BINARY.parent), str(VENV / "bin"), environment.get("PATH", "")])
        environment["HOME"] = str(folder)
        environment["LC_ALL"] = "C.UTF-8"
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.bash.stdout:
            self.lines.put(line.decode(errors="replace"))
        self.lines.put("")

    def type(self, command: str) -> tuple[int, str]:
        """Runs a command; its exit code and what it printed."""
        end = f"end-{uuid.uuid4().hex}"
        # A brace group does not fork: functions, variables and jobs stay.
        self.bash.stdin.write(f"{{ {command}\n}} 2> .errors; printf '\\n%s %d\\n' {end} $?\n".encode())
        self.bash.stdin.flush()
        shown = ""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                line = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"after {PATIENCE_S:.0f} s not done: {command}\n{shown}") from None
            if line.startswith(end):
                return int(line.split()[1]), shown + (self.folder / ".errors").read_text(errors="replace")
            if not line:
                raise AssertionError(f"the shell ended in: {command}\n{shown}")
            shown += line

    def wait_until_listening(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        path = self.folder / name
        while not (path.exists() and "listening on" in path.read_text(errors="replace")):
            assert time.monotonic() < deadline, f"{name} does not say 'listening on'"
            time.sleep(0.05)

    def run(self, block: Block) -> None:
        for command, expected in steps_of(block):
            background = re.search(r"&?> ?(\S+) &$", command)
            if background:
                (self.folder / background.group(1)).unlink(missing_ok=True)  # it must not speak of an earlier run
            code, shown = self.type(command)
            where = f"{block.page.name}:{block.line}: $ {command}"
            assert code == 0, f"{where}\nended with {code} and printed\n{shown}"
            if background:
                self.wait_until_listening(background.group(1))
            if not same(masked(expected), masked(shown)):
                raise AssertionError(
                    f"{where}\n--- the page says\n{expected}\n--- printed was\n{shown}\n--- compared as\n"
                    + "\n".join(masked(expected))
                    + "\n---\n"
                    + "\n".join(masked(shown))
                )

    def play(self, block: Block) -> None:
        if block.mark.startswith("file "):
            (self.folder / block.mark.removeprefix("file ").strip()).write_text(block.text, encoding="utf-8")
        elif block.mark == "run":
            self.run(block)
        elif block.mark.startswith("shows "):
            source = ROOT / block.mark.removeprefix("shows ").strip()
            _, shown, _ = source.read_text(encoding="utf-8").split("// ---- the page shows\n")
            assert block.text == shown, f"{block.page.name}:{block.line}: not what {source.name} has"
        else:
            raise AssertionError(f"{block.page.name}:{block.line}: unknown mark '{block.mark}'")

    def end(self) -> None:
        try:
            os.killpg(self.bash.pid, signal.SIGTERM)
            self.bash.wait(timeout=20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
