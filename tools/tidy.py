#!/usr/bin/env python3
"""Runs clang-tidy 14 over our own sources of a build folder; a file that passed is not looked at again until it, a header
it includes, or .clang-tidy changes."""

import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDY = "clang-tidy-14"
FOLDERS = ("core", "drivers", "apps", "sim")


def our_dependencies(build: pathlib.Path) -> dict[str, list[str]]:
    """Object file -> the project's files it was made from, out of ninja's own records."""
    text = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith((" ", "ninja:")):
            current = found.setdefault(line.split(":")[0], [])
        elif line.strip():
            path = (build / line.strip()).resolve()
            if path.is_relative_to(ROOT) and path.exists():
                current.append(str(path))
    return found


def key_of(entry: dict, dependencies: list[str]) -> str:
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    digest.update(re.sub(r" -o \S+ -c ", " ", entry["command"]).encode())
    for name in sorted({entry["file"], *dependencies}):
        digest.update(name.encode() + pathlib.Path(name).read_bytes())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    cache = build / "tidy"
    cache.mkdir(exist_ok=True)
    dependencies = our_dependencies(build)

    def check(entry: dict) -> str | None:
        stamp = cache / key_of(entry, dependencies.get(entry.get("output", ""), []))
        if stamp.exists():
            return None
        run = subprocess.run(
            [TIDY, "-p", str(build), "--quiet", entry["file"]], capture_output=True, text=True, check=False
        )
        if run.returncode == 0:
            stamp.touch()
            return None
        return run.stdout.strip() or run.stderr.strip()

    commands = json.loads((build / "compile_commands.json").read_text())
    tops = tuple(f"{ROOT / folder}/" for folder in FOLDERS)
    # A source may be compiled into several targets; one look is enough.
    entries = {entry["file"]: entry for entry in commands if entry["file"].startswith(tops)}
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        problems = [text for text in pool.map(check, entries.values()) if text]
    print(*problems, sep="\n")
    print(f"{len(entries) - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
