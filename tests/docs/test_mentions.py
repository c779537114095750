"""What the pages name is there: files, functions and constants of the header, commands of `sereus` and of ./dev."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from transcripts import BINARY, ROOT, pages

FOLDERS = "core|sim|tests|tools|fuzz|docs|vectors|include|drivers|apps|bindings|cmake|examples|bench"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def every_page(but: str = "") -> pytest.MarkDecorator:
    chosen = [page for page in pages() if not but or but not in page.parts]
    return pytest.mark.parametrize("page", chosen, ids=lambda page: str(page.relative_to(ROOT)))


@every_page()
def test_files(page: Path) -> None:
    named = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w)/?`", text_of(page)))
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing, f"{page.name} names files that are not there: {missing}"


@every_page()
def test_names_of_the_header(page: Path) -> None:
    header = text_of(ROOT / "include" / "sereus.h")
    text = text_of(page)
    named = set(re.findall(r"\b(sereus_[a-z_]*[a-z])\(", text))
    named |= set(re.findall(r"\b(SEREUS_(?:E|OPEN|EVENT|ROLE|LOG|LIST|WATCH|WRITE|STORE)_[A-Z_]*[A-Z])\b", text))
    missing = sorted(name for name in named if not re.search(rf"\b{name}\b", header))
    assert not missing, f"{page.name} names what sereus.h does not have: {missing}"


# In the format pages "sereus ..." is a context of a hash or signature.
@every_page(but="formats")
def test_commands_of_sereus(page: Path) -> None:
    if not BINARY.is_file():
        pytest.fail("there is no sereus command: run `./dev build`, or name one in SEREUS_BIN")
    help_text = subprocess.run([str(BINARY), "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z-]+) ", help_text, flags=re.MULTILINE))
    named = set(re.findall(r"`sereus ([a-z][a-z-]+)\b", text_of(page)))
    assert named <= known, f"{page.name} names commands that are not there: {sorted(named - known)}"


@every_page()
def test_commands_of_dev(page: Path) -> None:
    dev = text_of(ROOT / "dev")
    commands = set(re.findall(r"^command_(\w+)\(\)", dev, flags=re.MULTILINE))
    suites = {name.replace("_", "-") for name in re.findall(r"^suite_(\w+)\(\)", dev, flags=re.MULTILINE)}
    text = text_of(page)
    named = set(re.findall(r"\./dev ([a-z]+)", text))
    assert named <= commands, f"{page.name}: there is no ./dev {sorted(named - commands)}"
    named = set(re.findall(r"\./dev test ([a-z][a-z0-9-]+)(?=`|\)| *#| *$)", text, flags=re.MULTILINE))
    assert named <= suites | {"all", "soak"}, f"{page.name}: there is no ./dev test {sorted(named - suites)}"
