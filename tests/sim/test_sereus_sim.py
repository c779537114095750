"""The command sereus-sim: runs, ledgers, replays, shrinking, and what it says when it is asked wrongly.

$SEREUS_BUILD names the build; SEREUS_SIM_SELF_TEST makes a seed crash, hang or violate an oracle (sim/commands.h).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SEREUS_BUILD") or ROOT / "build" / "release").resolve() / "bin" / "sereus-sim"
PATIENCE_S = 300.0  # the machine may be busy
# One that is fast, so that these tests are.
SMALL = ("--workload", "store", "--transport", "stream", "--nodes", "2")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEREUS_")}
    return kept | {"SEREUS_SIM_COMMIT": "0123abc", "LC_ALL": "C.UTF-8"} | more


def sim(*arguments: object, code: int = 0, **more: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"
    return done


def refusal(*arguments: object) -> str:
    """The one line of a command that is asked wrongly."""
    done = sim(*arguments, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("sereus-sim: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def seeds_in(ledger: Path) -> list[int]:
    """All seeds of a ledger's whole lines, as often as they are in it."""
    seeds: list[int] = []
    for line in ledger.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            chunk = json.loads(line)
            seeds += range(chunk["first"], chunk["last"] + 1)
    return seeds


@pytest.fixture
def failures(tmp_path: Path) -> Path:
    return tmp_path / "failures"


# ---- run -------------------------------------------------------------------------------------------------------------


def test_run_sums_up_and_counts_in_its_last_line() -> None:
    lines = sim("run", *SMALL, "--seeds", "1..6").stdout.splitlines()
    assert lines[-1] == "6 passed, 0 failed"
    assert re.match(r"workload +seeds +passed +failed +virtual time +times real time$", lines[0])
    assert re.match(r"store +6 +6 +0 ", lines[1])


def test_run_as_json() -> None:
    done = sim("run", *SMALL, "--seeds", "1..6", "--json")
    summary = json.loads(done.stdout)
    assert done.stderr == ""
    assert summary["commit"] == "0123abc"
    assert summary["total"]["passed"] == 6
    assert summary["workloads"]["store"]["seeds"] == 6
    assert summary["workloads"]["store"]["virtual_s"] > 6


def test_the_same_seeds_do_the_same_in_any_number_of_workers() -> None:
    # 100 and 200 run twice by themselves.
    one = sim("run", *SMALL, "--seeds", "98..101", "--jobs", "1", "--json").stdout
    three = sim("run", *SMALL, "--seeds", "98..101", "--jobs", "3", "--json").stdout
    assert json.loads(one)["total"]["counts"] == json.loads(three)["total"]["counts"]


def test_a_failure_says_all_that_is_needed_to_see_it_again(failures: Path) -> None:
    done = sim(
        "run", *SMALL, "--seeds", "1..5", "--failures", failures, code=1, SEREUS_SIM_SELF_TEST="violate:3"
    ).stdout
    assert "seed 3 of store on commit 0123abc violates 'self-test'" in done
    assert done.endswith("4 passed, 1 failed\n")
    schedule = failures / "store-3.json"
    assert f"schedule: {schedule}\n" in done
    assert json.loads(schedule.read_text())["seed"] == 3
    picture = failures / "store-3.html"
    assert f"picture:  {picture}\n" in done
    assert "self-test" in picture.read_text()
    # The commands that are printed do run.
    for again in re.findall(r"^  (?:again:|or:) +(.*)$", done, re.MULTILINE):
        command = again.split()
        assert command[0] == str(BINARY)
        assert "violates 'self-test'" in sim(*command[1:], code=1, SEREUS_SIM_SELF_TEST="violate:3").stdout
        assert sim(*command[1:]).stdout.endswith("1 passed, 0 failed\n")


def test_a_worker_that_crashes_is_a_failure_of_its_seed_only(failures: Path) -> None:
    done = sim("run", *SMALL, "--seeds", "1..8", "--failures", failures, code=1, SEREUS_SIM_SELF_TEST="crash:3").stdout
    assert "seed 3 of store on commit 0123abc violates 'crash': the process was ended by signal 6" in done
    assert "the self-test crashes at seed 3" in done  # its last words
    assert done.endswith("7 passed, 1 failed\n")
    assert (failures / "store-3.json").exists()


def test_a_worker_that_hangs_is_a_failure_of_its_seed_only(failures: Path) -> None:
    done = sim(
        *("run", *SMALL, "--seeds", "1..8", "--failures", failures, "--timeout", "12", "--json"),
        code=1,
        SEREUS_SIM_SELF_TEST="hang:3",
    ).stdout.splitlines()
    failure, summary = map(json.loads, done)
    assert (failure["seed"], failure["oracle"], failure["violation"]) == (3, "hang", "no end after 12 s")
    assert (summary["total"]["passed"], summary["total"]["failed"]) == (7, 1)


def test_it_can_stop_at_the_first_failure(failures: Path) -> None:
    done = sim(
        *("run", *SMALL, "--seeds", "1..5000", "--failures", failures, "--stop-at-first", "--jobs", "1"),
        code=1,
        SEREUS_SIM_SELF_TEST="violate:3",
    ).stdout
    assert done.endswith("2 passed, 1 failed\n")


# ---- Ledgers ---------------------------------------------------------------------------------------------------------


def test_a_ledger_leaves_out_what_ran_on_this_commit(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    sim("run", *SMALL, "--seeds", "95..104", "--ledger", ledger)
    assert sorted(seeds_in(ledger)) == list(range(95, 105))
    more = sim("run", *SMALL, "--seeds", "95..108", "--ledger", ledger).stdout
    assert "10 seeds of this commit are in the ledger already\n" in more
    assert more.endswith("4 passed, 0 failed\n")
    assert sorted(seeds_in(ledger)) == list(range(95, 109))
    # Other options, another commit and a tree with changes are other runs.
    for options, commit in (((*SMALL, "--minutes", "1"), "0123abc"), (SMALL, "4567def"), (SMALL, "0123abc-dirty")):
        for _ in range(2 if commit.endswith("-dirty") else 1):
            other = sim("run", *options, "--seeds", "95..96", "--ledger", ledger, SEREUS_SIM_COMMIT=commit).stdout
            assert other.endswith("2 passed, 0 failed\n")


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    command = [str(BINARY), "run", *SMALL, "--seeds", "0..159", "--ledger", str(ledger), "--json"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        until = time.monotonic() + PATIENCE_S
        while not (ledger.exists() and seeds_in(ledger)):
            assert time.monotonic() < until and killed.poll() is None, "nothing came into the ledger"
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    # And as if the kill had torn a line.
    with ledger.open("a") as file:
        file.write('{"commit":"0123abc","workload":"st')
    done = set(seeds_in(ledger))
    summary = json.loads(sim("run", *SMALL, "--seeds", "0..159", "--ledger", ledger, "--json").stdout)
    assert summary["skipped"] == len(done) > 0
    assert summary["total"]["passed"] == 160 - len(done)
    assert sorted(seeds_in(ledger)) == list(range(160))
    assert json.loads(sim("report", "--ledger", ledger, "--json").stdout)["total"]["seeds"] == 160


def test_ctrl_c_keeps_what_ran(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    command = [str(BINARY), "run", *SMALL, "--seeds", "0..9999", "--ledger", str(ledger)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as stopped:
        until = time.monotonic() + PATIENCE_S
        while not (ledger.exists() and seeds_in(ledger)):
            assert time.monotonic() < until
            time.sleep(0.02)
        stopped.send_signal(signal.SIGINT)
        out, _ = stopped.communicate(timeout=PATIENCE_S)
    assert stopped.returncode == 130
    passed = re.search(r"^(\d+) passed, 0 failed$", out, re.MULTILINE)
    assert passed and int(passed.group(1)) == len(seeds_in(ledger))


def test_report_sums_ledgers_up(tmp_path: Path, failures: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    sim("run", *SMALL, "--seeds", "1..10", "--ledger", one)
    sim("run", *SMALL, "--seeds", "11..15", "--ledger", one)
    options = ("--seeds", "1..4", "--ledger", two, "--failures", failures)
    sim("run", *SMALL, *options, code=1, SEREUS_SIM_COMMIT="4567def", SEREUS_SIM_SELF_TEST="violate:2")
    text = sim("report", "--ledger", one, "--ledger", two).stdout
    assert re.search(r"^store +19 +18 +1 +2 ", text, re.MULTILINE)
    assert "0123abc workload=store nodes=2 minutes=drawn transport=stream: 1..15\n" in text
    assert "  store, seed 2, commit 4567def, self-test: violated because" in text
    report = json.loads(sim("report", "--ledger", one, "--ledger", two, "--json").stdout)
    assert report["total"]["seeds"] == 19
    assert report["workloads"]["store"]["commits"] == 2
    assert [(one["seed"], one["oracle"]) for one in report["violations"]] == [(2, "self-test")]


# ---- replay, shrink, regressions -------------------------------------------------------------------------------------


def test_replay_tells_what_it_runs_and_does_the_same_each_time(tmp_path: Path) -> None:
    picture = tmp_path / "picture.html"
    first = sim("replay", 7, *SMALL, "--picture", picture).stdout
    assert first.startswith("seed 7: store, 2 machines on stream, ")
    assert "All oracles held." in picture.read_text()
    assert picture.stat().st_size < 2_000_000
    second = sim("replay", 7, *SMALL).stdout
    trace = re.compile(r"trace ([0-9a-f]{16})")
    assert trace.search(first).group(1) == trace.search(second).group(1)
    # With a picture nothing else happens than without.
    assert first.replace(f"picture: {picture}\n", "").splitlines()[-3:] == second.splitlines()[-3:]


def seed_with_faults(tmp_path: Path, least: int) -> tuple[int, Path]:
    """A seed whose plan has so many faults, and its schedule."""
    failures = tmp_path / "plans"
    for seed in range(1, 100):
        done = sim("replay", seed, *SMALL).stdout
        if int(re.search(r"(\d+) faults$", done.splitlines()[0]).group(1)) >= least:
            test = f"violate:{seed}"
            options = (*SMALL, "--seeds", seed, "--failures", failures)
            sim("run", *options, code=1, SEREUS_SIM_SELF_TEST=test)
            return seed, failures / f"store-{seed}.json"
    raise AssertionError("no seed has so many faults")


@pytest.mark.parametrize("how", ["violate", "crash"])
def test_shrinking_ends_with_few_faults_and_fails_in_the_same_way(tmp_path: Path, how: str) -> None:
    seed, schedule = seed_with_faults(tmp_path, 12)
    small = tmp_path / "small.json"
    needs_three = f"{how}:{seed}:3"
    done = sim("shrink", "--schedule", schedule, "--out", small, SEREUS_SIM_SELF_TEST=needs_three).stdout
    plan = json.loads(small.read_text())
    assert len(plan["faults"]) == 3
    assert plan["actions"] == []
    assert plan["nodes"] == 2
    assert "warning" not in done
    oracle = "self-test" if how == "violate" else "crash"
    assert f"violates '{oracle}'" in done
    assert re.search(
        rf"^  again: +{re.escape(str(BINARY))} replay --schedule {re.escape(str(small))}$", done, re.MULTILINE
    )
    if how == "violate":
        assert (
            "violates 'self-test'"
            in sim("replay", "--schedule", small, code=1, SEREUS_SIM_SELF_TEST=needs_three).stdout
        )
    assert sim("replay", "--schedule", small).stdout.endswith("1 passed, 0 failed\n")


def test_shrinking_warns_of_many_faults(tmp_path: Path) -> None:
    seed, schedule = seed_with_faults(tmp_path, 12)
    small = tmp_path / "small.json"
    options = ("--schedule", schedule, "--out", small, "--trials", "60")
    done = sim("shrink", *options, SEREUS_SIM_SELF_TEST=f"violate:{seed}:11").stdout
    assert len(json.loads(small.read_text())["faults"]) >= 11
    assert "warning: more than 10 faults are left" in done


def test_what_is_not_violated_is_not_shrunk(tmp_path: Path) -> None:
    assert "nothing is violated, so there is nothing to shrink" in refusal("shrink", 7, *SMALL)


def test_regressions_are_replayed(tmp_path: Path) -> None:
    seed, schedule = seed_with_faults(tmp_path, 1)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "README").write_text("not a schedule\n")
    plan = json.loads(schedule.read_text())
    (kept / "first.json").write_text(json.dumps(plan | {"why": "a write was lost"}))
    (kept / "second.json").write_text(json.dumps(plan | {"why": "two histories", "seed": seed + 1}))
    assert sim("regressions", kept).stdout == "2 passed, 0 failed\n"
    failed = sim("regressions", kept, code=1, SEREUS_SIM_SELF_TEST=f"violate:{seed}").stdout
    assert "first.json: self-test: violated" in failed
    assert "it is kept because: a write was lost" in failed
    assert failed.endswith("1 passed, 1 failed\n")
    (kept / "third.json").write_text(json.dumps(plan))
    assert 'third.json: it does not say "why"' in refusal("regressions", kept)


def test_the_kept_schedules_hold() -> None:
    assert re.search(r"^\d+ passed, 0 failed$", sim("regressions").stdout, re.MULTILINE)


# ---- Asked wrongly ---------------------------------------------------------------------------------------------------


def test_bench_measures_each_workload() -> None:
    done = sim("bench", "--seconds", "0.01", "--nodes", "3", "--workload", "store", "--json")
    stream, quic = (json.loads(line) for line in done.stdout.splitlines())
    assert (stream["nodes"], stream["transport"], stream["target"]) == (3, "stream", 100)
    assert (quic["nodes"], quic["transport"]) == (4, "quic")
    for row in (stream, quic):
        assert row["seeds"] >= 1 and row["times_real_time"] > 0 and row["cpu_s"] > 0 and row["violations"] == []
    done = sim("bench", "--seconds", "0.01", "--workload", "power")
    assert re.search(r"^power +1 - .* cuts/s", done.stdout, re.MULTILINE), done.stdout
    assert "no workload 'none'" in refusal("bench", "--workload", "none")


def test_workloads_are_listed() -> None:
    lines = sim("workloads").stdout.splitlines()
    assert lines[0].split() == ["workload", "share", "nodes", "what"]
    assert any(line.startswith("store ") for line in lines[1:])


@pytest.mark.parametrize("seeds", ["5..1", "x", "1..", "..5", "1..2..3", "-1..5", "1...5", "1..99999999999999999999"])
def test_bad_ranges(seeds: str) -> None:
    assert f"--seeds wants first..last, for example 1..500, and not '{seeds}'" in refusal("run", f"--seeds={seeds}")


def test_unknown_names() -> None:
    unknown = refusal("run", "--workload", "frob")
    known = [line.split()[0] for line in sim("workloads").stdout.splitlines()[1:]]
    assert f"there is no workload 'frob'; known are {', '.join(known)}" in unknown
    assert "quic" in refusal("replay", 1, "--transport", "pigeon")
    assert "there is no command 'frob'" in refusal("frob")
    assert "--frob" in refusal("run", "--frob")


def test_missing_and_contradicting_arguments(tmp_path: Path) -> None:
    assert "give a seed or --schedule FILE" in refusal("replay")
    assert "give a seed or --schedule FILE" in refusal("shrink", 1, "--schedule", "x.json")
    assert "a schedule says by itself what --nodes 3 would say" in refusal(
        "replay", "--schedule", "x.json", "--nodes", 3
    )
    assert "nodes" in refusal("run", "--workload", "store", "--nodes", 1)
    missing = tmp_path / "missing"
    assert f"{missing}: No such file" in refusal("replay", "--schedule", missing)
    assert f"{missing}: there is no such file" in refusal("report", "--ledger", missing)
    assert f"{missing}: No such file" in refusal("regressions", missing)
    assert "it cannot be written" in refusal("run", "--ledger", missing / "ledger")


def test_damaged_files_are_named_with_the_place(tmp_path: Path) -> None:
    _, schedule = seed_with_faults(tmp_path, 2)
    plan = json.loads(schedule.read_text())
    plan["faults"][1]["kind"] = "earthquake"
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(plan))
    said = refusal("replay", "--schedule", broken)
    assert str(broken) in said and "faults[1]" in said and "earthquake" in said
    broken.write_text("{")
    assert "not JSON" in refusal("shrink", "--schedule", broken)
    ledger = tmp_path / "ledger.jsonl"
    sim("run", *SMALL, "--seeds", "1..2", "--ledger", ledger)
    ledger.write_text(ledger.read_text() + "{}\n")
    assert f"{ledger}: line 2: 'commit' is missing" in refusal("report", "--ledger", ledger)
    assert "line 2" in refusal("run", *SMALL, "--seeds", "1..2", "--ledger", ledger)
