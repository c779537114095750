"""The examples of the pages do what the pages say."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from transcripts import BINARY, BUILD, ROOT, VENV, Block, Session, blocks_of, masked, pages, same

MARKED = [page for page in pages() if any(block.mark for block in blocks_of(page))]
ALL = [block for page in pages() for block in blocks_of(page)]


def name_of(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def blocks_in(*languages: str) -> list[Block]:
    return [block for block in ALL if block.language in languages]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a control socket's name has at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="sdoc-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    if not BINARY.is_file():
        pytest.fail("there is no sereus command: run `./dev build`, or name one in SEREUS_BIN")
    session = Session(folder)
    yield session
    session.end()


def python_package_is_missing() -> bool:
    python = VENV / "bin" / "python"
    done = subprocess.run([str(python), "-c", "import sereus"], capture_output=True) if python.exists() else None
    return done is None or done.returncode != 0


@pytest.mark.parametrize("page", MARKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_marked_examples_word_for_word(page: Path, session: Session) -> None:
    no_python = python_package_is_missing()
    left_out = 0
    for block in blocks_of(page):
        if not block.mark:
            continue
        if no_python and block.mark == "run" and "python3 " in block.text:
            left_out += 1
            continue
        session.play(block)
    if left_out and os.environ.get("CI"):
        pytest.fail("the Python package is not installed in build/venv, so its examples did not run")
    if left_out:
        pytest.skip(f"{left_out} Python example(s): the package is not installed in build/venv (./dev test python)")


# Whole programs; the other blocks are excerpts.
@pytest.mark.parametrize("block", [block for block in blocks_in("c") if "main(" in block.text], ids=name_of)
def test_c_programs_compile(block: Block, folder: Path) -> None:
    source = folder / "example.c"
    source.write_text(block.text, encoding="utf-8")
    flags = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-pedantic-errors", "-Werror"]
    linked = [f"-I{ROOT / 'include'}", str(source), f"-L{BUILD / 'lib'}", "-lsereus", "-o", str(folder / "example")]
    done = subprocess.run(["cc", *flags, *linked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks_in("python", "py"), ids=name_of)
def test_python_examples_parse(block: Block) -> None:
    compile(block.text, name_of(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


def test_masks_and_elision() -> None:
    page = masked("store 5c55e20f  12 KiB\n...\nat 10:11:12, peer 12D3KooW9umsoPTj8jMUksu1i69yT5pzKgHnaDijLMrancdZfnoy")
    assert same(page, masked("store c9ec10dd 824 B\nmore\nstill more\nat 23:00:01, peer 12D3KooWCKSZMsUu1VKcdXse"))
    assert not same(page, masked("stores c9ec10dd 824 B\nat 23:00:01, peer 12D3KooWCKSZMsUu1VKcdXse"))
    assert not same(masked("one\n...\nthree"), masked("one\ntwo"))
    assert masked("/ip4/127.0.0.1/udp/4001/quic-v1") == ["/ip4/127.0.0.1/udp/<port>/quic-v1"]
    assert masked("in /home/you/tour/alice.") == masked("in /tmp/x-1/alice.")
