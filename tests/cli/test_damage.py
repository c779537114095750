"""What a disk can do to a node: damage, newer files, a torn tail, no space. Refused in one line, and nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import sereus

NOBODY = 65534


def logs(node) -> list[Path]:
    return sorted(node.data.glob("stores/*/log*"), key=lambda path: path.stat().st_size)


def log_of(node, name: str) -> Path:
    """The log of one store: it is named in the path of its folder."""
    store = node.store(name)["store"]
    (folder,) = [path for path in (node.data / "stores").iterdir() if path.name.replace("-", "") == store]
    found = [path for path in folder.iterdir() if path.name.startswith("log")]
    assert found, list(folder.iterdir())
    return max(found, key=lambda path: path.stat().st_size)


def copy_of(node) -> Path:
    copy = node.data.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(node.data, copy, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    return copy


@pytest.fixture
def written(store):
    for number in range(20):
        store.ok("put", f"k{number:02}", "v" * 50)
    return store


def crashed_while_writing(node, share: float) -> None:
    """As power was lost while one more entry was being appended: a share of it reached the disk, the index none of it."""
    log = log_of(node, "notes")
    size = log.stat().st_size
    copy = copy_of(node)
    node.ok("put", "torn", "v" * 50)
    record = log.read_bytes()[size:]
    assert record
    shutil.rmtree(node.data)
    copy.rename(node.data)
    with log.open("ab") as file:
        file.write(record[: int(len(record) * share)])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_torn_tail_is_cut_and_the_chain_goes_on(written, share):
    before = written.store("notes")
    crashed_while_writing(written, share)
    after = written.store("notes")
    assert after["entries"] == before["entries"]
    assert after["state_digest"] == before["state_digest"]
    written.ok("put", "after", "the tear")
    assert written.store("notes")["entries"] == before["entries"] + 1
    assert written.store("notes")["forks"] == 0
    assert all(result["ok"] for result in written.jsons("verify"))


def test_a_whole_entry_that_the_index_missed_is_taken_up(written):
    before = written.store("notes")
    crashed_while_writing(written, 1.0)
    assert written.store("notes")["entries"] == before["entries"] + 1
    assert written.ok("get", "torn").out == "v" * 50
    written.ok("put", "after", "the crash")
    assert written.store("notes")["forks"] == 0
    assert all(result["ok"] for result in written.jsons("verify"))


def test_a_log_that_lost_what_was_durable_is_refused(written):
    """That is no torn tail: to go on would sign a second history."""
    log = log_of(written, "notes")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 7)
    content = log.read_bytes()
    result = written.run("--json", "verify")
    assert result.code == 1
    assert result.error["status"] == "SEREUS_E_CORRUPT"
    assert "durable" in result.out
    refused = written.run("put", "k", "v")
    assert refused.code == 1
    assert "durable" in refused.err.splitlines()[-1]
    assert "FAIL" in written.run("doctor").out
    assert log.read_bytes() == content, "left as it is"


def test_garbage_after_the_last_entry_is_cut(written):
    log = log_of(written, "notes")
    with log.open("ab") as file:
        file.write(b"\x17garbage that a power cut left" * 3)
    assert written.store("notes")["keys"] == 20
    written.ok("put", "after", "the garbage")
    assert all(result["ok"] for result in written.jsons("verify"))


def test_damage_inside_a_log_is_told_and_changes_nothing(written):
    log = log_of(written, "notes")
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0x40
    log.write_bytes(content)
    result = written.run("--json", "verify")
    assert result.code == 1, result
    assert result.error["status"] == "SEREUS_E_CORRUPT"
    assert log.read_bytes() == bytes(content), "a damaged log must be left as it is"
    assert written.run("doctor", "--deep").code == 1
    assert "FAIL" in written.run("doctor", "--deep").out
    refused = written.run("put", "k", "v")
    if refused.code == 0:
        # Served from the index: what is written then must not bury the damage.
        assert written.run("verify").code == 1


def test_the_root_store_damaged(written):
    root = next(store for store in written.json("status")["stores"] if store["root"])["store"]
    folder = written.data / "stores" / root
    (log,) = [path for path in folder.iterdir() if path.name.startswith("log")]
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0x40
    log.write_bytes(content)
    result = written.run("verify")
    assert result.code == 1
    assert "sereus:" in result.err.splitlines()[-1]


def test_a_lost_index_is_made_again_from_the_log(written):
    before = written.store("notes")
    folder = log_of(written, "notes").parent
    for path in folder.glob("index*"):
        path.unlink()
    after = written.store("notes")
    assert after["state_digest"] == before["state_digest"]
    assert after["entries"] == before["entries"]


def test_a_damaged_index_is_made_again_or_refused(written):
    before = written.store("notes")
    folder = log_of(written, "notes").parent
    for path in folder.glob("index*"):
        path.write_bytes(b"this is no database" * 500)
    result = written.run("--json", "status", "--digest")
    assert result.code == 0, result
    (after,) = [store for store in result.object["stores"] if store["name"] == "notes"]
    assert after["state"] == "damaged" or after["state_digest"] == before["state_digest"]


def test_a_damaged_node_database_is_refused(written):
    database = written.data / "node.db"
    copy = copy_of(written)
    for path in written.data.glob("node.db*"):
        path.write_bytes(b"this is no database" * 500)
    content = database.read_bytes()
    error = written.run("--json", "status").error
    assert error["status"] == "SEREUS_E_CORRUPT", error
    assert database.read_bytes() == content
    shutil.rmtree(written.data)
    copy.rename(written.data)
    assert written.store("notes")["keys"] == 20


def test_a_newer_node_database_is_refused(written):
    database = written.data / "node.db"
    try:
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA user_version = 9999")
        connection.close()
    except sqlite3.DatabaseError as error:
        pytest.skip(f"the database is not plain SQLite here: {error}")
    refused = written.run("--json", "status")
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_TOO_NEW", refused
    assert "9999" in refused.error["message"]


@pytest.mark.parametrize("damage", ["empty", "short", "flipped", "text"])
def test_a_damaged_keystore_is_refused(written, damage):
    keystore = written.data / "keystore"
    content = keystore.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    bad = {"empty": b"", "short": content[: len(content) // 2], "flipped": bytes(flipped), "text": b"my keys"}[damage]
    keystore.write_bytes(bad)
    for command in (["status"], ["put", "k", "v"]):
        refused = written.run("--json", *command)
        assert refused.code == 1, refused
        assert refused.error["status"] in ("SEREUS_E_CORRUPT", "SEREUS_E_PASSPHRASE", "SEREUS_E_MALFORMED"), refused
    assert len(written.fails("status").splitlines()) == 1
    assert keystore.read_bytes() == bad
    keystore.write_bytes(content)
    assert written.store("notes")["keys"] == 20


def test_an_unreadable_keystore_is_refused(written):
    """Root reads every file, so the command runs as somebody else."""
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        for path in (written.data.parent, written.data, *written.data.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    arguments = ("--json", "--data", str(written.data), "status")
    try:
        assert sereus(*arguments, user=user).code == 0
    except PermissionError:
        pytest.skip("the command lies where another user cannot run it")
    (written.data / "keystore").chmod(0)
    refused = sereus(*arguments, user=user)
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_IO", refused
    assert "keystore" in refused.error["message"]
    (written.data / "keystore").chmod(0o600)
    assert sereus(*arguments, user=user).object["stores"][0]["state"] == "active"


def test_a_lost_keystore_does_not_become_a_new_identity(written):
    peer = written.json("status")["node"]["peer"]
    (written.data / "keystore").rename(written.data.parent / "keystore")
    result = written.run("init", "--no-passphrase")
    assert result.code == 1, f"a second identity over the stores of the first: {result}"
    assert "keystore is missing" in result.err
    (written.data.parent / "keystore").rename(written.data / "keystore")
    assert written.json("status")["node"]["peer"] == peer


@pytest.fixture
def small_disk(folder):
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("a small tmpfs needs root")
    disk = folder / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_refuses_writes_and_loses_nothing(make_node, small_disk):
    node = make_node("disk/alice").init()
    node.ok("create-store", "notes")
    node.ok("put", "first", "v")
    written = 0
    for number in range(40):
        result = node.run("--json", "put", f"large{number}", "-", stdin=os.urandom(500_000))
        if result.code != 0:
            assert result.error["status"] == "SEREUS_E_NO_SPACE", result
            break
        written += 1
    else:
        pytest.fail("the disk never got full")
    assert node.ok("get", "first").out == "v"
    assert node.store("notes")["keys"] == written + 1
    (small_disk / "more").unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    node.ok("put", "after", "there was space again")
    assert node.store("notes")["keys"] == written + 2
    assert node.store("notes")["forks"] == 0
    assert all(result["ok"] for result in node.jsons("verify"))


def test_a_full_disk_under_a_daemon(make_node, small_disk):
    node = make_node("disk/alice").init()
    node.ok("create-store", "notes")
    node.start("--offline")
    for number in range(40):
        result = node.run("--json", "put", f"large{number}", "-", stdin=os.urandom(500_000))
        if result.code != 0:
            assert result.error["status"] == "SEREUS_E_NO_SPACE", result
            break
    assert node.json("status")["daemon"] is True, "the daemon survives"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    node.ok("put", "after", "there was space again")
    assert all(result["ok"] for result in node.jsons("verify"))
