"""The mutation check's table fits the product: each place is there exactly once, and the page lists each mutant."""

import importlib.util
import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load_tool():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


tool = load_tool()
TABLE = tool.read_table()


def test_every_place_is_there_once() -> None:
    wrong = tool.check_table(TABLE)
    assert not wrong, "change sim/mutants.json together with the product:\n" + "\n".join(wrong)


def test_there_are_enough() -> None:
    assert len(TABLE) >= 20
    assert len({mutant.crc for mutant in TABLE} | {0}) == len(TABLE) + 1


def test_the_page_lists_them_all() -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    missing = [mutant.name for mutant in TABLE if f"| `{mutant.name}` | {mutant.what} |" not in page]
    assert not missing, f"run `./dev test mutants` and tools/mutants.py docs: {missing}"


# What the check itself would do with a table that does not fit.


def table_of(tmp_path: pathlib.Path, *edits: dict) -> list:
    path = tmp_path / "table.json"
    path.write_text(json.dumps([{"name": f"m{n}", "what": "it", "edits": [e]} for n, e in enumerate(edits)]))
    (tmp_path / "a.cc").write_text("one\ntwo\none\nthree\n")
    return tool.read_table(path)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([{"file": "a.cc", "find": "four", "replace": "MUTANT"}], "0 times"),
        ([{"file": "b.cc", "find": "two", "replace": "MUTANT"}], "0 times"),
        ([{"file": "a.cc", "find": "one", "replace": "MUTANT"}], "2 times"),
        ([{"file": "a.cc", "find": "two", "replace": "2"}], "does not ask"),
        ([{"file": "a.cc", "find": t, "replace": "MUTANT"} for t in ("two", ["two", "one"])], "overlap"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path: pathlib.Path, edits: list[dict], words: str) -> None:
    wrong = tool.check_table(table_of(tmp_path, *edits), tmp_path)
    assert len(wrong) == 1
    assert words in wrong[0]


def test_a_table_that_fits(tmp_path: pathlib.Path) -> None:
    table = table_of(tmp_path, {"file": "a.cc", "find": ["two", "one"], "replace": ["if (!MUTANT) two", "one"]})
    assert tool.check_table(table, tmp_path) == []
    found, _ = tool.places(table, tmp_path)
    assert found == {"a.cc": [(4, 11, f"if (!::sereus::mutant_on({table[0].crc}u)) two\none")]}


@pytest.mark.parametrize(
    ("output", "first"),
    [
        ("3 seeds in 0.9 s\n3 passed, 0 failed\n", None),
        ("seed 12: replicas did not converge: [0: up]\n  again: x\n", (12, "replicas-did-not-converge")),
        ("seed 30: b\nseed 4: a watch missed own/1/2\n", (4, "a-watch-missed")),
        ("seed 7 (stream): trace 00ff, 3.0 s of virtual time\n", None),
        ('{"seed": 9, "oracle": "lost", "violation": "own/3"}\n{"seeds": 9, "failed": 1}\n', (9, "lost")),
    ],
)
def test_what_the_simulator_says(output: str, first: tuple[int, str] | None) -> None:
    violation = tool.violation_in(output)
    assert (violation and violation[:2]) == first
