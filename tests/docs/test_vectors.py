"""The vectors in the repository are what their generators write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transcripts import ROOT

GENERATORS = sorted((ROOT / "tools" / "vectors").glob("*_vectors.py"))


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda path: path.name)
def test_generator_writes_the_same(generator: Path) -> None:
    if "--check" not in generator.read_text(encoding="utf-8"):
        pytest.skip("it cannot compare")
    done = subprocess.run([sys.executable, str(generator), "--check"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
