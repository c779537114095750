#!/usr/bin/env python3
"""Runs test programs side by side, shows the output of those that fail, and ends with 'N passed, N failed'.

A GoogleTest program (test_*) counts each of its tests. Any other counts by its own last 'N passed, N failed' line, or as
one test by its exit code. With --corpora, each program replay_NAME_fuzz gets the folder CORPORA/NAME as its argument.
"""

import argparse
import concurrent.futures
import dataclasses
import pathlib
import re
import subprocess
import sys
import time


@dataclasses.dataclass
class Outcome:
    name: str
    seconds: float
    output: str
    passed: int
    failed: int
    skipped: int = 0


def count_gtest(output: str, exit_code: int) -> tuple[int, int, int]:
    passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) tests?\.", output, re.MULTILINE))
    failed = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) tests?, listed", output, re.MULTILINE))
    skipped = sum(int(n) for n in re.findall(r"^\[  SKIPPED \] (\d+) tests?, listed", output, re.MULTILINE))
    # A program that crashed, or that a sanitizer stopped at its end, failed whatever it had printed.
    if exit_code != 0 and failed == 0:
        passed, failed = output.count("[       OK ]"), 1
    return passed, failed, skipped


def count_plain(output: str, exit_code: int) -> tuple[int, int, int]:
    lines = re.findall(r"^(\d+) passed, (\d+) failed", output, re.MULTILINE)
    passed, failed = (int(n) for n in lines[-1]) if lines else (int(exit_code == 0), 0)
    if exit_code != 0 and failed == 0:
        failed = 1
    return passed, failed, 0


def run(program: pathlib.Path, arguments: argparse.Namespace) -> Outcome:
    command = [str(program.resolve())]
    if arguments.corpora:
        name = program.name.removeprefix("replay_").removesuffix("_fuzz")
        command.append(str((arguments.corpora / name).resolve()))
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=arguments.timeout,
            check=False,
        )
        exit_code, raw = done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        exit_code, raw = 124, (expired.stdout or b"") + f"\nstopped after {arguments.timeout} s\n".encode()
    output = raw.decode(errors="replace")
    count = count_gtest if program.name.startswith("test_") else count_plain
    passed, failed, skipped = count(output, exit_code)
    if exit_code != 0:
        output += f"\nexit code {exit_code}\n"
    return Outcome(program.name, time.monotonic() - started, output, passed, failed, skipped)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=600)
    parser.add_argument("--corpora", type=pathlib.Path)
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    programs = [p for p in arguments.programs if p.is_file()]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(lambda program: run(program, arguments), programs))
    for outcome in outcomes:
        skipped = f", {outcome.skipped} skipped" if outcome.skipped else ""
        print(f"{outcome.name:32} {outcome.passed:5} ok, {outcome.failed} wrong{skipped}  {outcome.seconds:6.1f} s")
    for outcome in outcomes:
        if outcome.failed:
            # The head names the first broken thing, the end the last words; the middle is rarely needed.
            lines = [
                line for line in outcome.output.splitlines() if not re.match(r"\[ RUN|\[       OK|\[---|\s*$", line)
            ]
            if len(lines) > 120:
                lines = [*lines[:60], f"... {len(lines) - 120} lines ...", *lines[-60:]]
            print(f"\n=== {outcome.name}", *lines, sep="\n")
    failed = sum(outcome.failed for outcome in outcomes)
    skipped = sum(outcome.skipped for outcome in outcomes)
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
