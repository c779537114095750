#!/usr/bin/env python3
"""The exported names of libsereus, from one list (core/capi/exports.txt: one symbol a line, # starts a comment).

Usage:
    exports.py generate LIST FOLDER          write the linker's lists: ELF map, Apple list, Windows .def, Emscripten list
    exports.py check LIST HEADER LIBRARY     the list, the header's declarations and the library's dynamic symbols agree
"""

import json
import pathlib
import re
import subprocess
import sys


def read_list(path: pathlib.Path) -> list[str]:
    names = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return [name for name in names if name]


def generate(names: list[str], folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    elf = "SEREUS_0 {\n  global:\n" + "".join(f"    {name};\n" for name in names) + "  local:\n    *;\n};\n"
    (folder / "sereus.map").write_text(elf)
    (folder / "sereus.exp").write_text("".join(f"_{name}\n" for name in names))
    (folder / "sereus.def").write_text("LIBRARY sereus\nEXPORTS\n" + "".join(f"  {name}\n" for name in names))
    (folder / "sereus.emscripten").write_text(json.dumps([f"_{name}" for name in names]) + "\n")


def declared_in(header: pathlib.Path) -> list[str]:
    """Functions the header declares with SEREUS_API."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(), flags=re.DOTALL)
    return re.findall(r"\bSEREUS_API\b[^;{}#]*?\b(sereus_\w+)\s*\(", text)


def exported_by(library: pathlib.Path) -> list[str]:
    run = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", str(library)], capture_output=True, text=True, check=True
    )
    names = [line.split()[0].split("@")[0] for line in run.stdout.splitlines() if line.split()[1] != "A"]
    return sorted(set(names))


def compare(left: str, left_names: list[str], right: str, right_names: list[str]) -> list[str]:
    problems = [f"{name}: in {left}, not in {right}" for name in sorted(set(left_names) - set(right_names))]
    return problems + [f"{name}: in {right}, not in {left}" for name in sorted(set(right_names) - set(left_names))]


def check(names: list[str], header: pathlib.Path, library: pathlib.Path) -> int:
    failed = 0
    checks = {
        "every name starts with sereus_": [n for n in names if not re.fullmatch(r"sereus_[a-z0-9_]+", n)],
        "no name is listed twice": sorted({n for n in names if names.count(n) > 1}),
        "the list is what the header declares": compare("exports.txt", names, header.name, declared_in(header)),
        "the list is what the library exports": compare("exports.txt", names, library.name, exported_by(library)),
    }
    for title, problems in checks.items():
        print(f"{'FAIL' if problems else 'ok'}: {title}")
        for problem in problems:
            print(f"    {problem}")
        failed += bool(problems)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    if len(arguments) == 3 and arguments[0] == "generate":
        generate(read_list(pathlib.Path(arguments[1])), pathlib.Path(arguments[2]))
        return 0
    if len(arguments) == 4 and arguments[0] == "check":
        return check(read_list(pathlib.Path(arguments[1])), pathlib.Path(arguments[2]), pathlib.Path(arguments[3]))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
