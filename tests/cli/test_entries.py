"""put, get, delete, list, heads, watch, fill."""

from __future__ import annotations

import base64
import json
import signal
import subprocess

from conftest import BINARY, clean_environment, until


def test_put_and_get(store):
    written = store.json("put", "greeting", "hello")
    assert written["key"] == "greeting"
    assert written["size"] == 5
    assert len(written["hash"]) == 64
    assert store.ok("put", "greeting", "hello again").out == ""
    assert store.ok("get", "greeting").raw == b"hello again"
    read = store.json("get", "greeting")
    assert read["value"] == "hello again"
    assert read["winner"] is True
    assert len(read["author"]) == 64
    assert read["time"].endswith("Z")


def test_a_missing_key_is_a_failure(store):
    assert "there is no key 'absent'" in store.fails("get", "absent")
    assert store.run("--json", "get", "absent").error["status"] == "SEREUS_E_NOT_FOUND"


def test_values_come_back_byte_for_byte(store, folder):
    for value in (b"", b"\0", bytes(range(256)), "grüße 🌍".encode(), b"no newline", b"newline\n", b"\xff\xfe\r\n"):
        store.ok("put", "k", "-", stdin=value)
        assert store.ok("get", "k").raw == value
        file = folder / "value"
        file.write_bytes(value)
        store.ok("put", "f", "--file", str(file))
        store.ok("get", "f", "--output", str(folder / "copy"), "--force")
        assert (folder / "copy").read_bytes() == value
    read = store.json("get", "k")
    assert base64.b64decode(read["value_base64"]) == b"\xff\xfe\r\n"
    assert "value" not in read


def test_get_does_not_overwrite_a_file(store, folder):
    store.ok("put", "k", "v")
    (folder / "file").write_text("precious")
    assert "--force" in store.fails("get", "k", "--output", str(folder / "file"))
    assert (folder / "file").read_text() == "precious"


def test_words_that_are_commands_or_options_can_be_keys_and_values(store):
    store.ok("put", "list", "get")
    assert store.ok("get", "list").out == "get"
    store.ok("put", "--", "-key", "--value")
    assert store.ok("get", "--", "-key").out == "--value"


def test_keys_of_any_bytes_are_shown_escaped(store):
    key = b"bin\xff\x01\n\\key"
    store.ok("put", key, "v")
    shown = store.ok("list").out.rstrip("\n")
    assert shown == "bin\\xff\\x01\\x0a\\\\key"
    assert store.ok("get", "-e", shown).out == "v"
    assert store.ok("get", key).out == "v"
    (row,) = store.jsons("list")
    assert base64.b64decode(row["key_base64"]) == key
    assert "malformed escape" in store.fails("get", "-e", "bad\\q", code=2)
    store.ok("put", "-e", "nul\\x00key", "w")
    assert store.ok("get", "-e", "nul\\x00key").out == "w"
    # Bidirectional overrides and terminal controls do not reach a terminal.
    store.ok("put", "evil\u202e\x1b[31m", "v")
    assert "\x1b" not in store.ok("list").out
    assert "\u202e" not in store.ok("list").out


def test_limits_of_keys_and_values(store, folder):
    store.ok("put", "k" * 4096, "v")
    assert store.ok("get", "k" * 4096).out == "v"
    line = store.fails("put", "k" * 4097, "v")
    assert "4097 bytes" in line
    assert "4096" in line
    assert store.run("--json", "put", "k" * 4097, "v").error["status"] == "SEREUS_E_TOO_LARGE"
    store.fails("put", "", "v", code=2)
    largest = folder / "largest"
    largest.write_bytes(b"x" * 1048576)
    store.ok("put", "largest", "--file", str(largest))
    assert len(store.ok("get", "largest").raw) == 1048576
    largest.write_bytes(b"x" * 1048577)
    assert "1.0 MiB" in store.fails("put", "largest", "--file", str(largest))
    assert "1.0 MiB" in store.fails("put", "largest", "-", stdin=b"x" * 1048577)
    assert len(store.ok("get", "largest").raw) == 1048576


def test_put_needs_exactly_one_value(store, folder):
    assert "there is no value" in store.fails("put", "k", code=2)
    assert "give one of them" in store.fails("put", "k", "v", "--file", str(folder), code=2)
    assert "No such file" in store.fails("put", "k", "--file", str(folder / "absent"))


def test_delete(store):
    store.ok("put", "k", "v")
    gone = store.json("delete", "k")
    assert gone["deleted"] is True
    store.fails("get", "k")
    assert store.ok("list").out == ""
    (head,) = store.jsons("heads", "k")
    assert head["deleted"] is True
    assert "(deleted)" in store.ok("heads", "k").out
    store.ok("put", "k", "back")
    assert store.ok("get", "k").out == "back"


def test_list(store):
    for key in ("a/1", "a/2", "b/1"):
        store.ok("put", key, "value of " + key)
    assert store.ok("list").out == "a/1\na/2\nb/1\n"
    assert store.ok("list", "a/").out == "a/1\na/2\n"
    assert store.ok("list", "--limit", "2").out == "a/1\na/2\n"
    assert store.ok("list", "b", "--values").out == "b/1\tvalue of b/1\n"
    rows = store.jsons("list", "--values")
    assert [row["key"] for row in rows] == ["a/1", "a/2", "b/1"]
    assert rows[0]["value"] == "value of a/1"
    assert rows[0]["heads"] == 1
    assert "value" not in store.jsons("list")[0]
    assert "AUTHOR" in store.ok("list", "--long").out


def test_list_goes_beyond_one_page(store):
    store.ok("fill", "2500", "--prefix", "n/")
    assert len(store.ok("list").out.splitlines()) == 2500
    assert len(store.jsons("list", "--values", "--limit", "130")) == 130


def test_heads(store):
    store.ok("put", "k", "v1")
    store.ok("put", "k", "v2")
    (head,) = store.jsons("heads", "k")
    assert head["value"] == "v2"
    assert head["winner"] is True
    assert "winner" in store.ok("heads", "k").out
    assert "nothing was ever written" in store.fails("heads", "absent")


def test_fill_writes_entries_of_their_own(store):
    before = store.store("notes")["entries"]
    done = store.json("fill", "1000", "--prefix", "f/", "--size", "10")
    assert done["entries"] == 1000
    after = store.store("notes")
    assert after["entries"] == before + 1000
    assert after["keys"] == 1000
    assert len(store.ok("get", "f/00000999").raw) == 10
    store.ok("fill", "10", "--prefix", "f/", "--start", "1000")
    assert store.store("notes")["keys"] == 1010


class Watch:
    def __init__(self, node, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [str(BINARY), "--data", str(node.data), "--json", "watch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        )

    def take(self, number: int) -> list[dict]:
        return [json.loads(self.process.stdout.readline()) for _ in range(number)]

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        return self.process.returncode


def test_watch_shows_changes_as_they_come(store):
    store.start()
    store.ok("put", "before", "1")
    watch = Watch(store, "w/")
    # A watch from now on: what it sees first tells that it has begun.
    number = 0

    def begun() -> bool:
        nonlocal number
        store.ok("put", "w/x", str(number))
        store.ok("put", "other", "not shown")
        number += 1
        return number >= 5

    until(begun, "five writes")
    (first,) = watch.take(1)
    assert first["event"] == "put"
    assert first["key"] == "w/x"
    store.ok("delete", "w/x")
    events = [first]
    while events[-1]["event"] != "delete":
        events += watch.take(1)
    assert {event["key"] for event in events} == {"w/x"}
    assert watch.end() == 0


def test_watch_from_the_start_and_resume(store):
    for number in range(5):
        store.ok("put", f"k{number}", "v")
    events = store.jsons("watch", "--from-start", "--limit", "3")
    assert [event["key"] for event in events] == ["k0", "k1", "k2"]
    rest = store.jsons("watch", "--resume", events[-1]["position"], "--limit", "2")
    assert [event["key"] for event in rest] == ["k3", "k4"]
    assert store.ok("--timeout", "1", "watch", "--resume", rest[-1]["position"]).out == ""
    assert "is not a position" in store.fails("watch", "--resume", "nonsense", code=2)
    assert "give one of them" in store.fails("watch", "--from-start", "--resume", "1:1", code=2)


def test_watch_tells_how_to_go_on(store):
    store.ok("put", "k", "v")
    result = store.ok("watch", "--from-start", "--limit", "1")
    assert "k  v" in result.out
    assert "sereus watch --resume " in result.err


def test_quiet_says_nothing(store):
    result = store.ok("--quiet", "watch", "--from-start", "--timeout", "1")
    assert result.err == ""
