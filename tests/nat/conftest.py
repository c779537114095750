"""NATs in network namespaces, with the programs as they are. Needs root; without it, everything here is skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from topology import Internet, internet, missing_tools

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SEREUS_BIN") or ROOT / "build" / "release" / "bin" / "sereus").resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = missing_tools()
    if not missing:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture
def wire() -> Iterator[Internet]:
    with internet() as made:
        yield made


@pytest.fixture(scope="session")
def binary() -> Path:
    if not BINARY.is_file():
        pytest.fail(f"there is no sereus command at {BINARY}: run `./dev build`, or name one in SEREUS_BIN")
    return BINARY
