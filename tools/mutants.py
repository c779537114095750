#!/usr/bin/env python3
"""The mutation check of the simulator: one build with faults of the product that a switch turns on, each to be found.

  tools/mutants.py check      that each place of sim/mutants.json is in the product exactly once
  tools/mutants.py build      the product with all mutants, in build/mutants
  tools/mutants.py run        finds each mutant, writes build/mutants/results.json and prints a table
  tools/mutants.py docs       writes that table into docs/mutants.md

A mutant is an edit of a copy; the product itself knows nothing of them. In `replace` the word MUTANT stands for the switch,
which SEREUS_MUTANT=NAME in the environment turns on.
"""

import argparse
import concurrent.futures
import dataclasses
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "sim" / "mutants.json"
PAGE = ROOT / "docs" / "mutants.md"
WORK = ROOT / "build" / "mutants"
SOURCE = WORK / "src"
BUILD = WORK / "build"
RESULTS = WORK / "results.json"
PROGRAM = BUILD / "bin" / "sereus-sim"
HEADER = "core/base/mutant.h"
NAMES = "core/base/mutant.cc"  # apart, so that a new mutant compiles little
FAULTS_MAX = 10  # of a shrunk schedule
UNCHANGED_SEEDS = "1..200"
CHUNK = 5  # seeds of one process, for a simulator without --stop-at-first
SEED_SECONDS_MAX = 120  # of real time for one seed: beyond, it hangs
SHRINK_SECONDS = 150  # of real time for one mutant: most are below
SHRINK_SECONDS_MAX = 3600


class TableError(Exception):
    """The table and the product do not belong together."""


class SimulatorError(Exception):
    """The simulator ended badly and told of no seed."""


# ---- The table --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Edit:
    file: str
    find: str
    replace: str


@dataclasses.dataclass
class Mutant:
    name: str
    what: str
    workload: str
    edits: list[Edit]

    @property
    def crc(self) -> int:
        """What the switch compares with; 0 is none."""
        return zlib.crc32(self.name.encode())


def read_text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def read_table(path: pathlib.Path = TABLE) -> list[Mutant]:
    mutants = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        edits = [Edit(edit["file"], read_text(edit["find"]), read_text(edit["replace"])) for edit in row["edits"]]
        mutants.append(Mutant(row["name"], row["what"], row.get("workload", ""), edits))
    return mutants


def places(mutants: list[Mutant], root: pathlib.Path) -> tuple[dict[str, list[tuple[int, int, str]]], list[str]]:
    """For each file what to replace (begin, end, by what), in order; and what is wrong."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    wrong = []
    for mutant in mutants:
        for edit in mutant.edits:
            path = root / edit.file
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            count = text.count(edit.find)
            if count != 1:
                wrong.append(f"{mutant.name}: {edit.file} has its place {count} times: {edit.find.strip()[:70]!r}")
                continue
            if not re.search(r"\bMUTANT\b", edit.replace):
                wrong.append(f"{mutant.name}: the replacement in {edit.file} does not ask for MUTANT")
            begin = text.index(edit.find)
            switch = f"::sereus::mutant_on({mutant.crc}u)"
            found.setdefault(edit.file, []).append(
                (begin, begin + len(edit.find), re.sub(r"\bMUTANT\b", switch, edit.replace))
            )
    for file, its in found.items():
        its.sort()
        for before, after in itertools.pairwise(its):
            if before[1] > after[0]:
                wrong.append(f"{file}: two mutants overlap at byte {after[0]}")
    return found, wrong


def check_table(mutants: list[Mutant], root: pathlib.Path = ROOT) -> list[str]:
    _, wrong = places(mutants, root)
    names = [mutant.name for mutant in mutants]
    wrong += [f"{name}: named twice" for name in sorted({name for name in names if names.count(name) > 1})]
    wrong += [f"{name!r} is no name" for name in names if not re.fullmatch(r"[a-z][a-z0-9-]*", name)]
    return wrong


# ---- The build --------------------------------------------------------------------------------------------------------

HEADER_TEXT = """\
// Which of the mutants of sim/mutants.json is on: SEREUS_MUTANT in the environment names it. Written by tools/mutants.py.
#pragma once

#include <cstdint>
#include <cstring>

namespace sereus {

extern const uint32_t chosen_mutant;  // the CRC-32 of its name

inline bool mutant_on(uint32_t name) { return chosen_mutant == name; }

}  // namespace sereus
"""

NAMES_TEXT = """\
#include <cstdio>
#include <cstdlib>

#include "core/base/mutant.h"

namespace sereus {
namespace {

constexpr struct {
  uint32_t crc;
  const char* name;
} kMutants[] = {
%s
};

uint32_t choose_mutant() {
  const char* const wanted = std::getenv("SEREUS_MUTANT");
  if (wanted == nullptr || *wanted == 0) return 0;
  for (const auto& mutant : kMutants) {
    if (std::strcmp(mutant.name, wanted) == 0) return mutant.crc;
  }
  std::fprintf(stderr, "SEREUS_MUTANT: there is no mutant '%%s'; there are:\\n", wanted);
  for (const auto& mutant : kMutants) std::fprintf(stderr, "  %%s\\n", mutant.name);
  std::exit(2);
}

}  // namespace

const uint32_t chosen_mutant = choose_mutant();

}  // namespace sereus
"""


def write_if_changed(path: pathlib.Path, content: bytes, mode: int = 0o644) -> None:
    # What did not change keeps its time, so that little is compiled again.
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path.chmod(mode)


def our_files() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return sorted({name for name in listed if name and (ROOT / name).is_file()})


def copy_tree(mutants: list[Mutant]) -> None:
    found, wrong = places(mutants, ROOT)
    wrong += [line for line in check_table(mutants) if line not in wrong]
    if wrong:
        raise TableError("\n".join(wrong))
    kept = {HEADER, NAMES}
    for name in our_files():
        kept.add(name)
        content = (ROOT / name).read_bytes()
        if name in found:
            text = content.decode()
            for begin, end, replacement in reversed(found[name]):
                text = text[:begin] + replacement + text[end:]
            content = f'#include "{HEADER}"\n{text}'.encode()
        write_if_changed(SOURCE / name, content, 0o755 if os.access(ROOT / name, os.X_OK) else 0o644)
    rows = "\n".join(f'    {{{mutant.crc}u, "{mutant.name}"}},' for mutant in mutants)
    write_if_changed(SOURCE / HEADER, HEADER_TEXT.encode())
    write_if_changed(SOURCE / NAMES, (NAMES_TEXT % rows).encode())
    for path in SOURCE.rglob("*"):
        if path.is_file() and path.relative_to(SOURCE).as_posix() not in kept and "__pycache__" not in path.parts:
            path.unlink()


def build(mutants: list[Mutant], jobs: int) -> None:
    copy_tree(mutants)
    # The pinned dependencies are those of the tree.
    env = {**os.environ, "SEREUS_DEPS_DIR": os.environ.get("SEREUS_DEPS_DIR", str(ROOT / "build" / "deps"))}
    options = [f"-DSEREUS_{part}=OFF" for part in ("APPS", "BENCH", "INSTALL")]
    options.append(f"-DSEREUS_DEPS_JOBS={jobs}")
    subprocess.run(["cmake", "--preset", "release", "-B", str(BUILD), *options], cwd=SOURCE, env=env, check=True)
    subprocess.run(["ninja", "-C", str(BUILD), "-j", str(jobs), "sereus_sim_main"], env=env, check=True)


# ---- The runs ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Found:
    name: str
    what: str
    seed: int = 0  # 0: none of them found it
    oracle: str = ""
    violation: str = ""
    seconds: float = 0.0
    faults: int = -1  # of the shrunk schedule; -1: not shrunk
    actions: int = -1

    def good(self, shrunk: bool) -> bool:
        return self.seed != 0 and (not shrunk or 0 <= self.faults <= FAULTS_MAX)


class Simulator:
    """The program, with or without a mutant, and what it can do."""

    def __init__(self, program: pathlib.Path, arguments: list[str]):
        self.program = program
        self.arguments = arguments
        described = self.call("", ["run", "--help"], 60).output
        self.has_pool = "--stop-at-first" in described and "--json" in described
        self.can_shrink = re.search(r"^\s+shrink\b", self.call("", ["--help"], 60).output, re.MULTILINE) is not None

    @dataclasses.dataclass
    class Ended:
        code: int | None  # None: it did not end
        output: str

    def call(self, mutant: str, arguments: list[str], seconds_max: float) -> "Simulator.Ended":
        env = {**os.environ, "SEREUS_MUTANT": mutant}
        try:
            done = subprocess.run(
                [str(self.program), *arguments],
                env=env,
                cwd=WORK if WORK.is_dir() else None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds_max,
                check=False,
            )
            return self.Ended(done.returncode, done.stdout.decode(errors="replace").replace("\r", "\n"))
        except subprocess.TimeoutExpired as late:
            return self.Ended(None, (late.stdout or b"").decode(errors="replace").replace("\r", "\n"))

    def run(self, mutant: str, workload: str, first: int, last: int) -> "Simulator.Ended":
        arguments = ["run", "--seeds", f"{first}..{last}", *self.fixed(workload)]
        if self.has_pool:
            # One seed after the other, so that it is always the first one that is told of; mutants run side by side.
            arguments += ["--stop-at-first", "--json", *self.places(mutant)]
        return self.call(mutant, arguments, SEED_SECONDS_MAX * (last - first + 1))

    def fixed(self, workload: str) -> list[str]:
        return [*(["--workload", workload] if workload else []), *self.arguments]

    @staticmethod
    def places(mutant: str) -> list[str]:
        return ["--jobs", "1", "--failures", str(WORK / "failures" / (mutant or "unchanged"))]

    def first_violation(self, mutant: str, workload: str, first: int, last: int) -> tuple[int, str, str] | None:
        """Seed, oracle and text of the first seed that fails."""
        size = last - first + 1 if self.has_pool else CHUNK
        for begin in range(first, last + 1, size):
            end = min(begin + size - 1, last)
            ended = self.run(mutant, workload, begin, end)
            failure = violation_in(ended.output)
            if failure:
                return failure
            if ended.code == 0:
                continue
            if begin == end:
                return begin, *how_it_ended(ended)
            if self.has_pool:
                raise SimulatorError(f"{mutant or 'without a mutant'}: {how_it_ended(ended)[1]}")
            # It crashed or hung and could not say at which seed.
            for seed in range(begin, end + 1):
                alone = self.call(
                    mutant, ["run", "--seeds", f"{seed}..{seed}", *self.fixed(workload)], SEED_SECONDS_MAX
                )
                if alone.code != 0:
                    return violation_in(alone.output) or (seed, *how_it_ended(alone))
        return None

    def shrink(self, mutant: str, workload: str, seed: int) -> tuple[int, int]:
        """How many faults and actions are left; -1 when it does not say."""
        output = self.call(
            mutant,
            ["shrink", str(seed), "--seconds", str(SHRINK_SECONDS), *self.fixed(workload), *self.places(mutant)],
            SHRINK_SECONDS_MAX,
        ).output
        left = re.findall(r"(\d+) of \d+ faults, (\d+) of \d+ actions", output)
        return (int(left[-1][0]), int(left[-1][1])) if left else (-1, -1)


def violation_in(output: str) -> tuple[int, str, str] | None:
    """A line of JSON, or `seed 12: what`: the lowest seed that is told of."""
    told = []
    for line in output.splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            if "seed" in said and "oracle" in said:
                told.append((said["seed"], said["oracle"], said["violation"]))
        elif words := re.match(r"seed (\d+): (.*)", line):
            told.append((int(words[1]), oracle_of(words[2]), words[2]))
    return min(told) if told else None


def oracle_of(what: str) -> str:
    """A short name for a simulator that gives none."""
    return re.sub(r"[^a-z]+", "-", re.sub(r"\[.*|\d.*|contested\S*|own\S*", "", what.lower()))[:40].strip("-")


def how_it_ended(ended: "Simulator.Ended") -> tuple[str, str]:
    if ended.code is None:
        return "hang", f"no end after {SEED_SECONDS_MAX} s"
    words = [line for line in ended.output.splitlines() if line.strip()]
    return "crash", words[-1] if words else f"ended with {ended.code}"


def hunt(simulator: Simulator, mutant: Mutant, first: int, last: int, shrink: bool) -> Found:
    begin = time.monotonic()
    found = Found(mutant.name, mutant.what)
    try:
        failure = simulator.first_violation(mutant.name, mutant.workload, first, last)
    except SimulatorError as error:
        failure, found.violation = None, str(error)
    found.seconds = round(time.monotonic() - begin, 1)
    if failure:
        found.seed, found.oracle, found.violation = failure
        if shrink:
            found.faults, found.actions = simulator.shrink(mutant.name, mutant.workload, found.seed)
    return found


def number_or_dash(number: int) -> str:
    return str(number) if number >= 0 else "-"


def line_of(found: Found) -> str:
    seed = str(found.seed) if found.seed else "NOT FOUND"
    left = f"{number_or_dash(found.faults):>6} {number_or_dash(found.actions):>7}"
    return f"{found.name:26} {seed:>9} {found.seconds:8.1f} s {left}  {found.oracle}: {found.violation}"[:220]


def run(arguments: argparse.Namespace, mutants: list[Mutant]) -> int:
    if arguments.only:
        unknown = sorted(set(arguments.only) - {mutant.name for mutant in mutants})
        if unknown:
            sys.exit(f"mutants.py: there is no mutant {', '.join(unknown)}")
        mutants = [mutant for mutant in mutants if mutant.name in arguments.only]
    first, last = (int(part) for part in arguments.seeds.split(".."))
    simulator = Simulator(arguments.program, arguments.simulator)
    shrink = simulator.can_shrink and not arguments.find_only
    passed = failed = 0
    if not arguments.only:
        begin, end = (int(part) for part in arguments.unchanged.split(".."))
        try:
            failure = simulator.first_violation("", "", begin, end)
        except SimulatorError as error:
            failure = error
        print(
            f"without a mutant, seeds {arguments.unchanged}: {failure or 'violates nothing'}",
            flush=True,
        )
        if failure:
            print("0 passed, 1 failed")
            return 1
        passed += 1
    print(f"{'mutant':26} {'seed':>9} {'time':>10} {'faults':>6} {'actions':>7}  oracle", flush=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        hunts = [pool.submit(hunt, simulator, mutant, first, last, shrink) for mutant in mutants]
        for done in concurrent.futures.as_completed(hunts):
            found = done.result()
            save([found], arguments.out)
            good = found.good(shrink)
            passed, failed = passed + good, failed + (not good)
            print(line_of(found), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def save(results: list[Found], path: pathlib.Path) -> None:
    """What was run before and was not now stays."""
    kept = {row["name"]: row for row in json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
    for found in results:
        kept[found.name] = dataclasses.asdict(found)
    order = [mutant.name for mutant in read_table()]
    rows = [kept[name] for name in order if name in kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# ---- The page ---------------------------------------------------------------------------------------------------------

BEGIN = "<!-- mutants: begin, written by tools/mutants.py docs -->"
END = "<!-- mutants: end -->"


def page_table(mutants: list[Mutant], results: dict[str, Found]) -> str:
    lines = [
        "| mutant | what is wrong with the product | seed | oracle | faults | actions |",
        "|---|---|---|---|---|---|",
    ]
    for mutant in mutants:
        found = results.get(mutant.name, Found(mutant.name, mutant.what))
        seed = str(found.seed) if found.seed else ""
        cells = [f"`{mutant.name}`", mutant.what, seed, found.oracle]
        cells += [str(number) if number >= 0 else "" for number in (found.faults, found.actions)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def write_page(mutants: list[Mutant], results: pathlib.Path) -> None:
    rows = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else []
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    table = page_table(mutants, {row["name"]: Found(**row) for row in rows})
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    builder = commands.add_parser("build")
    runner = commands.add_parser("run")
    writer = commands.add_parser("docs")
    for command in (builder, runner):
        command.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    runner.add_argument("--only", action="append", metavar="NAME", help="only this mutant; may be repeated")
    runner.add_argument("--seeds", default="1..2000", help="first..last")
    runner.add_argument("--unchanged", default=UNCHANGED_SEEDS, help="seeds that must pass without a mutant")
    runner.add_argument("--find-only", action="store_true", help="shrink nothing")
    runner.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    runner.add_argument("--simulator", action="append", default=[], metavar="ARG", help="passed on to the simulator")
    for command in (runner, writer):
        command.add_argument("--out", type=pathlib.Path, default=RESULTS, help="the results, as JSON")
    arguments = parser.parse_args()
    mutants = read_table()
    wrong = check_table(mutants)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        return 1
    if arguments.command == "build":
        try:
            build(mutants, arguments.jobs)
        except subprocess.CalledProcessError as error:
            print(f"mutants.py: {error.cmd[0]} failed; see above", file=sys.stderr)
            return 1
    elif arguments.command == "run":
        return run(arguments, mutants)
    elif arguments.command == "docs":
        write_page(mutants, arguments.out)
    else:
        print(f"{len(mutants)} mutants, {sum(len(mutant.edits) for mutant in mutants)} places")
    return 0


if __name__ == "__main__":
    sys.exit(main())
