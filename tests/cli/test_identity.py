"""init, passphrase, backup, restore, erase."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from conftest import Node, sereus

LIGHT = "--light-kdf"  # 64 MiB instead of 256: these tests derive many keys


def protected(make_node, passphrase: str = "correct horse") -> Node:
    node = make_node("alice")
    node.ok("init", "--name", "alice", LIGHT, SEREUS_PASSPHRASE=passphrase)
    return node


def test_init_makes_an_identity(make_node):
    node = make_node("alice")
    made = node.json("init", "--name", "alice", "--no-passphrase")
    assert made["peer"].startswith("12D3KooW")
    assert made["name"] == "alice"
    assert made["protected"] is False
    assert made["data"] == str(node.data)
    assert stat.S_IMODE(node.data.stat().st_mode) == 0o700
    status = node.json("status")
    assert status["node"]["peer"] == made["peer"]
    assert status["daemon"] is False


def test_init_shows_text_for_people(make_node):
    node = make_node("alice")
    result = node.ok("init", "--name", "alice", "--no-passphrase")
    assert "This device is 'alice', peer 12D3KooW" in result.out
    assert "sereus create-store" in result.err


def test_init_twice_is_refused_and_keeps_the_identity(node):
    before = node.json("status")["node"]["peer"]
    assert "has an identity already" in node.fails("init", "--no-passphrase")
    assert node.json("status")["node"]["peer"] == before


def test_init_without_terminal_needs_a_decision_about_the_passphrase(make_node):
    node = make_node("alice")
    line = node.fails("init", code=2)
    assert "--passphrase-file" in line
    assert "--no-passphrase" in line
    assert not node.data.exists()


def test_the_folder_may_be_named_by_the_environment(folder):
    assert sereus("init", "--no-passphrase", SEREUS_DATA=str(folder / "a")).code == 0
    assert (folder / "a").is_dir()
    assert sereus("init", "--no-passphrase", XDG_DATA_HOME=str(folder)).code == 0
    assert (folder / "sereus").is_dir()
    assert sereus("init", "--no-passphrase", HOME=str(folder)).code == 0
    assert (folder / ".local/share/sereus").is_dir()


def test_commands_without_identity_say_what_to_do(make_node):
    node = make_node("nobody")
    for command in (["status"], ["list-stores"], ["put", "k", "v"], ["up"], ["invite"], ["backup", "b"]):
        line = node.fails(*command)
        assert "sereus init" in line, line
        assert not node.data.exists()


def test_passphrase_protects_and_opens(make_node, folder):
    node = protected(make_node)
    line = node.fails("status")
    assert "protected by a passphrase" in line
    assert "SEREUS_PASSPHRASE" in line
    assert node.json("status", SEREUS_PASSPHRASE="correct horse")["node"]["protected"] is True
    secret = folder / "secret"
    secret.write_text("correct horse\nsecond line\n")
    assert node.json("--passphrase-file", str(secret), "status")["node"]["protected"] is True
    assert node.json("status", "--passphrase-file", "-", stdin=b"correct horse\n")["node"]["protected"] is True


def test_wrong_passphrase(make_node, folder):
    node = protected(make_node)
    line = node.fails("status", SEREUS_PASSPHRASE="wrong")
    assert "is wrong" in line
    error = node.run("--json", "status", SEREUS_PASSPHRASE="wrong").error
    assert error["status"] == "SEREUS_E_PASSPHRASE"
    assert "wrong horse" not in line
    empty = folder / "empty"
    empty.write_text("")
    assert "empty line" in node.fails("--passphrase-file", str(empty), "status", code=2)
    assert "No such file" in node.fails("--passphrase-file", str(folder / "absent"), "status")


def test_the_passphrase_can_be_changed_and_removed(make_node, folder):
    node = protected(make_node, "one")
    peer = node.json("status", SEREUS_PASSPHRASE="one")["node"]["peer"]
    node.ok("passphrase", SEREUS_PASSPHRASE="one", SEREUS_NEW_PASSPHRASE="two")
    assert "is wrong" in node.fails("status", SEREUS_PASSPHRASE="one")
    new = folder / "new"
    new.write_text("three\n")
    node.ok("passphrase", "--new-passphrase-file", str(new), SEREUS_PASSPHRASE="two")
    assert node.json("passphrase", "--remove", SEREUS_PASSPHRASE="three") == {"protected": False}
    assert node.json("status")["node"] | {"peer": peer} == node.json("status")["node"]
    node.ok("passphrase", SEREUS_NEW_PASSPHRASE="four")
    assert "protected by a passphrase" in node.fails("status")
    assert "a new passphrase is needed" in node.fails("passphrase", code=2, SEREUS_PASSPHRASE="four")


def test_the_passphrase_can_be_changed_while_the_daemon_runs(make_node):
    node = protected(make_node, "one")
    node.start(SEREUS_PASSPHRASE="one")
    assert "present passphrase is needed" in node.fails("passphrase", code=2, SEREUS_NEW_PASSPHRASE="two")
    refused = node.run("--json", "passphrase", SEREUS_PASSPHRASE="nonsense", SEREUS_NEW_PASSPHRASE="two")
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_PASSPHRASE"
    node.ok("passphrase", SEREUS_PASSPHRASE="one", SEREUS_NEW_PASSPHRASE="two")
    node.daemons[0].end()
    node.ok("status", SEREUS_PASSPHRASE="two")


@pytest.mark.xfail(reason="pages and logs are encrypted at rest in a later item; see docs/operations.md", strict=True)
def test_no_plain_text_of_a_value_on_disk_with_a_passphrase(make_node):
    node = protected(make_node)
    secret = "a-very-recognisable-value-" * 20
    node.ok("create-store", "notes", SEREUS_PASSPHRASE="correct horse")
    node.ok("put", "key", secret, SEREUS_PASSPHRASE="correct horse")
    for path in node.data.rglob("*"):
        if path.is_file():
            assert b"a-very-recognisable-value-" not in path.read_bytes(), f"plain text in {path.name}"


def test_backup_and_restore(store, make_node, folder):
    peer = store.json("status")["node"]["peer"]
    file = folder / "backup"
    made = store.json("backup", str(file), SEREUS_BACKUP_PASSPHRASE="bee")
    assert made["file"] == str(file)
    assert file.stat().st_size == made["bytes"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "exists already" in store.fails("backup", str(file), SEREUS_BACKUP_PASSPHRASE="bee")
    store.ok("backup", str(file), "--force", SEREUS_BACKUP_PASSPHRASE="bee")
    restored = make_node("restored")
    again = restored.json("restore", str(file), "--no-passphrase", SEREUS_BACKUP_PASSPHRASE="bee")
    assert again["party"] == store.json("status")["node"]["party"]
    assert again["peer"] == peer
    assert "has an identity already" in restored.fails(
        "restore", str(file), "--no-passphrase", SEREUS_BACKUP_PASSPHRASE="bee"
    )


def test_restore_refuses_what_is_no_backup_or_not_its_passphrase(store, make_node, folder):
    file = folder / "backup"
    store.ok("backup", str(file), SEREUS_BACKUP_PASSPHRASE="bee")
    other = make_node("other")
    refused = other.run("--json", "restore", str(file), "--no-passphrase", SEREUS_BACKUP_PASSPHRASE="wasp")
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_PASSPHRASE", refused
    damaged = folder / "damaged"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert other.run("restore", str(damaged), "--no-passphrase", SEREUS_BACKUP_PASSPHRASE="bee").code == 1
    (folder / "text").write_text("this is no backup")
    other.fails("restore", str(folder / "text"), "--no-passphrase", SEREUS_BACKUP_PASSPHRASE="bee")
    # The folder is still good for the right one.
    other.ok("restore", str(file), "--no-passphrase", SEREUS_BACKUP_PASSPHRASE="bee")


def test_backup_needs_a_passphrase(store, folder):
    assert "SEREUS_BACKUP_PASSPHRASE" in store.fails("backup", str(folder / "b"), code=2)
    assert not (folder / "b").exists()


def test_erase_needs_the_words_and_leaves_nothing(store):
    assert "needs a confirmation" in store.fails("erase", code=2)
    assert "nothing was erased" in store.fails("erase", "--confirm", "yes", code=2)
    store.ok("use", "notes")
    store.ok("put", "k", "v")
    assert store.json("erase", "--confirm", "erase everything") == {"erased": str(store.data)}
    left = [path for path in Path(store.data).rglob("*") if path.is_file()]
    # What an opened folder without identity has.
    assert {path.name for path in left} <= {"LOCK", "node.db", "node.db-wal", "node.db-shm"}
    assert not any(b"notes" in path.read_bytes() or b"alice" in path.read_bytes() for path in left)
    assert "sereus init" in store.fails("status")
    store.init()
    assert store.jsons("list-stores") == []


def test_erase_through_the_daemon(store):
    store.start()
    store.ok("erase", "--confirm", "erase everything")
    assert "sereus init" in store.fails("list-stores")
