"""import, export."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CONTENT = {
    "plain.txt": b"plain\n",
    "empty": b"",
    "deep/er/file.bin": bytes(range(256)) * 10,
    "grüße/日本語 🌍.md": "ünïcode".encode(),
    "with space/and 'quote'": b"q",
    "deep/newline\nname": b"n",
}


def write_tree(folder: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read_tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_round_trip(store, folder):
    write_tree(folder / "in", CONTENT)
    latin = os.fsencode(str(folder / "in")) + b"/latin-\xe9"
    with open(latin, "wb") as file:
        file.write(b"not UTF-8")
    done = store.json("import", str(folder / "in"))
    assert done["imported"] == len(CONTENT) + 1
    assert done["failures"] == done["skipped"] == 0
    assert store.ok("get", "grüße/日本語 🌍.md").out == "ünïcode"
    out = store.json("export", str(folder / "out"))
    assert out["exported"] == len(CONTENT) + 1
    assert read_tree(folder / "out") == read_tree(folder / "in")


def test_import_writes_only_what_changed(store, folder):
    write_tree(folder / "in", CONTENT)
    store.ok("import", str(folder / "in"))
    entries = store.store("notes")["entries"]
    again = store.json("import", str(folder / "in"))
    assert again["imported"] == 0
    assert again["unchanged"] == len(CONTENT)
    assert store.store("notes")["entries"] == entries
    (folder / "in/plain.txt").write_text("changed")
    assert store.json("import", str(folder / "in"))["imported"] == 1
    assert store.ok("get", "plain.txt").out == "changed"


def test_many_files_become_few_entries(store, folder):
    write_tree(folder / "in", {f"{number:04}": b"x" * 10 for number in range(1500)})
    before = store.store("notes")["entries"]
    assert store.json("import", str(folder / "in"))["imported"] == 1500
    after = store.store("notes")
    assert after["keys"] == 1500
    assert after["entries"] - before <= 10


def test_large_files_up_to_the_limit(store, folder):
    write_tree(folder / "in", {"limit": b"x" * 1048576, "half": b"y" * 600_000, "other half": b"z" * 600_000})
    assert store.json("import", str(folder / "in"))["imported"] == 3
    assert len(store.ok("get", "limit").raw) == 1048576


def test_too_large_files_are_told_and_fail(store, folder):
    write_tree(folder / "in", {"good": b"good", "large": b"x" * 1048577})
    result = store.run("import", str(folder / "in"))
    assert result.code == 1
    assert "in/large" in result.err
    assert "limit of 1 MiB" in result.err
    assert store.ok("get", "good").out == "good"
    result = store.run("--json", "import", str(folder / "in"), "--skip-large")
    assert result.code == 0
    skipped, summary = result.objects
    assert skipped["skipped"].endswith("in/large")
    assert summary == {"imported": 0, "unchanged": 1, "skipped": 1, "failures": 0, "bytes": 0}


def test_too_long_paths_are_told_and_fail(store, folder):
    write_tree(folder / "in", {"x": b"x"})
    result = store.run("import", str(folder / "in"), "--prefix", "p" * 4096)
    assert result.code == 1
    assert "limit of 4096 bytes" in result.err


def test_links_and_special_files_are_left_out(store, folder):
    write_tree(folder / "in", {"file": b"f"})
    (folder / "secret").write_text("outside")
    (folder / "in/link").symlink_to(folder / "secret")
    (folder / "in/folder-link").symlink_to(folder)
    os.mkfifo(folder / "in/pipe")
    result = store.run("--json", "import", str(folder / "in"))
    assert result.code == 0
    reasons = {Path(one["skipped"]).name: one["reason"] for one in result.objects[:-1]}
    assert set(reasons) == {"link", "folder-link", "pipe"}
    assert "not followed" in reasons["link"]
    assert store.ok("list").out == "file\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files_fail(store, folder):
    write_tree(folder / "in", {"file": b"f", "locked": b"l"})
    (folder / "in/locked").chmod(0)
    result = store.run("import", str(folder / "in"))
    assert result.code == 1
    assert "Permission denied" in result.err


def test_the_data_folder_is_not_imported(store):
    parent = store.data.parent
    (parent / "beside").write_text("b")
    result = store.run("--json", "import", str(parent))
    assert result.code == 0
    assert store.ok("list").out == "beside\n"
    assert "data folder" in result.objects[0]["reason"]


def test_prefixes_are_put_on_and_taken_off(store, folder):
    write_tree(folder / "in", {"a/b": b"ab"})
    store.ok("import", str(folder / "in"), "--prefix", "docs/")
    store.ok("put", "other", "o")
    assert store.ok("list").out == "docs/a/b\nother\n"
    assert store.json("export", str(folder / "out"), "--prefix", "docs/")["exported"] == 1
    assert read_tree(folder / "out") == {"a/b": b"ab"}


def test_import_of_what_is_no_folder(store, folder):
    assert "is no folder" in store.fails("import", str(folder / "absent"))
    (folder / "file").write_text("x")
    assert "is no folder" in store.fails("import", str(folder / "file"))


UNSAFE = ["/etc/passwd", "../outside", "a/../../outside", "a//b", "a/.", "..", "trailing/", "x" * 300]


def test_export_stays_inside(store, folder):
    for key in UNSAFE:
        store.ok("put", key, "evil")
    store.ok("put", "-e", "nul\\x00byte", "evil")
    store.ok("put", "good", "good")
    result = store.run("--json", "export", str(folder / "deep/out"))
    assert result.code == 1
    *skipped, summary = result.objects
    assert summary["exported"] == 1
    assert summary["skipped"] == len(UNSAFE) + 1
    assert {one["skipped"] for one in skipped if "skipped" in one} >= {"../outside", "/etc/passwd"}
    assert read_tree(folder / "deep") == {"out/good": b"good"}
    assert not (folder / "outside").exists()


def test_export_does_not_write_through_links(store, folder):
    store.ok("put", "link/file", "evil")
    store.ok("put", "file", "evil")
    (folder / "out").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "out/link").symlink_to(folder / "elsewhere")
    (folder / "target").write_text("precious")
    (folder / "out/file").symlink_to(folder / "target")
    result = store.run("export", str(folder / "out"), "--force")
    assert result.code == 1
    assert list((folder / "elsewhere").iterdir()) == []
    assert (folder / "target").read_text() == "precious"


def test_export_keeps_what_differs(store, folder):
    store.ok("put", "file", "mine")
    store.ok("put", "a", "leaf")
    store.ok("put", "a/b", "below a leaf")
    (folder / "out").mkdir()
    (folder / "out/file").write_text("precious")
    result = store.run("export", str(folder / "out"))
    assert result.code == 1
    assert "--force" in result.err
    assert "is no folder" in result.err
    assert (folder / "out/file").read_text() == "precious"
    store.ok("delete", "a/b")
    store.ok("export", str(folder / "out"), "--force")
    assert (folder / "out/file").read_text() == "mine"
    again = store.json("export", str(folder / "out"))
    assert again["unchanged"] == 2
    assert again["exported"] == 0


def test_through_the_daemon(store, folder):
    write_tree(folder / "in", CONTENT)
    store.start()
    assert store.json("import", str(folder / "in"))["imported"] == len(CONTENT)
    assert store.json("export", str(folder / "out"))["exported"] == len(CONTENT)
    assert read_tree(folder / "out") == CONTENT
