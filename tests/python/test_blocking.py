"""The blocking API."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path

import pytest
import sereus
from conftest import WAIT, OpenNode

pytestmark = pytest.mark.timeout(300)


def test_put_get_delete_list(store: sereus.Store) -> None:
    written = store.put("k", b"v")
    assert len(written.hash) == 32
    assert store.get("k") == store[b"k"] == b"v"
    store["a/1"] = "one"
    store["a/2"] = bytearray(b"two")
    assert [item.key for item in store.list("a/")] == [b"a/1", b"a/2"]
    assert [item.value for item in store.list("a/", values=True)] == [b"one", b"two"]
    assert [item.key for item in store.list(after="a/1")] == [b"a/2", b"k"]
    assert [item.key for item in store.list(limit=2)] == [b"a/1", b"a/2"]
    assert list(store) == [b"a/1", b"a/2", b"k"]
    assert "k" in store
    del store["k"]
    assert "k" not in store
    assert store.get("k") is None
    assert store.get("k", 7) == 7
    [tombstone] = store.heads("k")
    assert tombstone.deleted
    assert store.heads("never") == []
    store.put("empty", b"")
    assert store["empty"] == b""
    store.verify(timeout=WAIT)
    info = store.info()
    assert (info.name, store.name, store.uuid) == ("notes", "notes", info.uuid)
    assert info.state is sereus.StoreState.ACTIVE


def test_transactions(store: sereus.Store) -> None:
    store.put("old", "x")
    with store.transaction() as tx:
        tx.put("a", "1").put("b", "2").delete("old")
    assert (store["a"], store["b"], store.get("old")) == (b"1", b"2", None)
    assert len({head.hash for key in "ab" for head in store.heads(key)}) == 1
    store.write({"a": "3", b"b": None})
    assert (store["a"], store.get("b")) == (b"3", None)
    with pytest.raises(RuntimeError), store.transaction() as tx:
        tx.put("a", "4")
        raise RuntimeError
    assert store["a"] == b"3"
    with pytest.raises(sereus.Invalid):
        store.write(sereus.Transaction().put("twice", "1").put("twice", "2"))


def test_errors(open_node: OpenNode, tmp_path: Path) -> None:
    node = open_node(identity=False, offline=True)
    with pytest.raises(sereus.NoIdentity):
        node.create_store("x", timeout=WAIT)
    node.create_identity("device", timeout=WAIT)
    with pytest.raises(sereus.Exists):
        node.create_identity("device", timeout=WAIT)
    store = node.create_store("x")
    with pytest.raises(sereus.NotFound) as caught:
        store["missing"]
    assert (caught.value.status, caught.value.name) == (-2, "NOT_FOUND")
    assert isinstance(caught.value, LookupError)
    assert str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.status, copy.detail) == (sereus.NotFound, -2, caught.value.detail)
    with pytest.raises(sereus.NotFound):
        node.store(999999).get("k")
    with pytest.raises(sereus.NotFound):
        node.store(999999).heads("k")
    with pytest.raises(sereus.NotFound):
        node.open_store("nowhere")
    with pytest.raises(sereus.TooLarge):
        store.put(b"k" * 4097, b"")
    with pytest.raises(sereus.TooLarge):
        store.put(b"k", bytes(1024 * 1024 + 1))
    with pytest.raises(sereus.Malformed):
        node.join("no invite", timeout=WAIT)
    with pytest.raises(sereus.Busy) as held:
        sereus.Node(tmp_path / "node", kdf_interactive=True)
    assert held.value.detail
    with pytest.raises(sereus.NotFound):
        sereus.Node(tmp_path / "absent", existing=True)
    with pytest.raises(sereus.Unreachable):
        sereus.connect(tmp_path / "node")
    with pytest.raises(TypeError):
        sereus.Node(tmp_path / "other", listen="/ip4/127.0.0.1/udp/0/quic-v1")
    with pytest.raises(sereus.Invalid):
        node.erase("yes", timeout=WAIT)
    node.close()
    node.close()
    assert node.closed
    for call in (node.info, store.info, lambda: store.put("k", "v"), lambda: store.get("k"), store.watch, node.events):
        with pytest.raises(sereus.Closed):
            call()


def test_error_classes() -> None:
    from sereus import _errors, _sereus

    for status in range(-31, 0):
        error = _errors.error_of(status, "why")
        assert type(error) is not sereus.SereusError
        assert (error.status, error.detail, str(error)) == (status, "why", "why")
        assert _sereus.status_name(status) == f"SEREUS_E_{error.name}"
    unknown = _errors.error_of(-9999)
    assert (type(unknown), unknown.status) == (sereus.SereusError, -9999)
    assert isinstance(sereus.Timeout(), TimeoutError)


def test_two_nodes(open_node: OpenNode) -> None:
    alice, bob = open_node("alice"), open_node("bob")
    notes = alice.create_store("notes", timeout=WAIT)
    notes.put_many((f"key{i}", f"value{i}") for i in range(500))
    peer_events = alice.events()
    invite = alice.create_invite(expires=3600, timeout=WAIT)
    assert [i.uses_left for i in alice.invites()] == [1]
    bob.join(invite, timeout=WAIT)
    bob.sync(timeout=WAIT)
    copy = bob.open_store("notes")
    assert copy["key499"] == b"value499"
    assert copy.state_digest() == notes.state_digest()
    assert {peer.name for peer in alice.peers()} == {"alice", "bob"}
    what = set()
    while not {sereus.PeerChange.JOINED, sereus.PeerChange.SYNCED} <= what:
        event = peer_events.next(WAIT)
        if isinstance(event, sereus.PeerEvent):
            what.add(event.what)

    # Both write the same key while cut off: two heads, the same winner, merged by the next write.
    bob.set_online(False, timeout=WAIT)
    notes.put("both", "alice")
    copy.put("both", "bob")
    bob.set_online(True, timeout=WAIT)
    bob.sync(timeout=WAIT)
    assert [h.value for h in notes.heads("both")] == [h.value for h in copy.heads("both")]
    assert sorted(h.value for h in notes.heads("both")) == [b"alice", b"bob"]
    assert notes["both"] == copy["both"] == notes.heads("both")[0].value
    assert copy.info().conflicts == 1
    copy.put("both", "merged")
    copy.sync(timeout=WAIT)
    assert [h.value for h in notes.heads("both")] == [b"merged"]

    # A live change arrives by itself.
    with copy.watch("live/") as watch:
        notes.put("live/1", "now")
        change = watch.next(WAIT)
    assert isinstance(change, sereus.Change)
    assert (change.key, change.value, change.winner) == (b"live/1", b"now", True)

    with pytest.raises(sereus.Denied):
        open_node("carol").join(invite, timeout=WAIT)
    second = alice.create_invite(timeout=WAIT)
    alice.revoke_invite(second, timeout=WAIT)
    with pytest.raises(sereus.Denied):
        open_node("dave").join(second, timeout=WAIT)
    alice.remove_peer(bob.info().peer, timeout=WAIT)
    [entry] = [peer for peer in alice.peers() if peer.name == "bob"]
    assert entry.removed


def test_unreachable_and_addresses(open_node: OpenNode) -> None:
    alice, bob = open_node("alice"), open_node("bob")
    alice.create_store("notes", timeout=WAIT)
    invite = alice.create_invite(timeout=WAIT)
    bob.join(invite, timeout=WAIT)
    peer, address = alice.info().peer, alice.info().addresses[0]
    bob.add_address(peer, address, timeout=WAIT)
    alice.close()
    with pytest.raises((sereus.Unreachable, sereus.Timeout)):
        bob.sync(timeout=WAIT)


def test_watch_resumes_over_restart(open_node: OpenNode) -> None:
    node = open_node(offline=True)
    store = node.create_store("notes")
    store.put("p/1", "1")
    store.put("other", "1")
    with store.watch("p/", since=sereus.BEGINNING) as watch:
        assert watch.position == sereus.BEGINNING
        first = watch.next(WAIT)
        assert isinstance(first, sereus.Change)
        position = watch.position
    assert position == first.position
    store.put("p/2", "2")
    node.close()
    node = open_node(offline=True)
    store = node.open_store("notes")
    store.delete("p/1")
    with store.watch("p/", since=position) as watch:
        second, third = watch.next(WAIT), watch.next(WAIT)
        assert isinstance(second, sereus.Change)
        assert isinstance(third, sereus.Change)
        assert [(second.key, second.value), (third.key, third.deleted)] == [(b"p/2", b"2"), (b"p/1", True)]
        with pytest.raises(sereus.Timeout):
            watch.next(0.05)
        store.put("p/3", "3")
        assert watch.next(WAIT).position > third.position
    # A place of another store's epoch is answered by a reset.
    with store.watch(since=(12345, 1)) as watch:
        assert isinstance(watch.next(WAIT), sereus.WatchReset)


def test_slow_watch_is_parked_and_loses_nothing(open_node: OpenNode) -> None:
    store = open_node(offline=True).create_store("notes")
    watch = store.watch()
    count = 12000
    store.put_many((f"{i:06}", b"x") for i in range(count))
    assert len(watch._state.buffer) < 10000
    keys = [watch.next(WAIT).key for _ in range(count)]
    assert keys == [f"{i:06}".encode() for i in range(count)]


def test_ten_thousand_puts(store: sereus.Store) -> None:
    begin = time.monotonic()
    assert store.put_many({f"{i:05}": f"value {i}" for i in range(10000)}, timeout=WAIT * 2) == 10000
    print(f"10000 puts: {time.monotonic() - begin:.2f} s")
    items = list(store.list(values=True))
    assert len(items) == 10000
    assert all(item.value == f"value {i}".encode() for i, item in enumerate(items))
    with pytest.raises(sereus.TooLarge):
        store.put_many([("fine", "1"), (b"k" * 5000, "2")])


def test_threads_share_a_node(open_node: OpenNode) -> None:
    node = open_node(offline=True)
    store = node.create_store("notes")
    watch = store.watch()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(50):
                store.put(f"{number}/{i}", str(i))
                assert store[f"{number}/{i}"] == str(i).encode()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    keys = {watch.next(WAIT).key for _ in range(400)}
    for thread in threads:
        thread.join()
    assert not failures
    assert len(keys) == 400


def test_close_while_others_wait(open_node: OpenNode) -> None:
    node = open_node(offline=True)
    store = node.create_store("notes")
    results: list[object] = []

    def read_all() -> None:
        results.append(len(list(store.watch())))

    threads = [threading.Thread(target=read_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    kept = store.watch()
    events = node.events()
    time.sleep(0.3)
    node.close(timeout=WAIT)
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert results == [0, 0, 0]
    assert list(kept) == []
    assert all(not isinstance(event, sereus.Change) for event in events)
    kept.close()
    assert open_node(offline=True).open_store("notes").name == "notes"  # the folder is free


def test_timeout_cancels(open_node: OpenNode) -> None:
    """Nobody listens there: the join would take long."""
    alice, bob = open_node("alice"), open_node("bob")
    alice.create_store("notes")
    invite = alice.create_invite()
    alice.close()
    begin = time.monotonic()
    with pytest.raises((sereus.Timeout, sereus.Unreachable)):
        bob.join(invite, timeout=0.3)
    assert time.monotonic() - begin < 30
    assert bob.create_store("still works", timeout=WAIT)


def test_backup_passphrase_erase(open_node: OpenNode, tmp_path: Path) -> None:
    node = open_node("first", offline=True)
    backup = node.backup("secret", timeout=WAIT)
    party = node.info().party
    node.change_passphrase("", "new", timeout=WAIT)
    with pytest.raises(sereus.WrongPassphrase):
        node.change_passphrase("wrong", "other", timeout=WAIT)
    assert node.info().protected
    node.close()
    with pytest.raises(sereus.WrongPassphrase):
        open_node("first", offline=True)
    assert open_node("first", offline=True, passphrase="new").info().party == party
    second = open_node("second", identity=False, offline=True)
    with pytest.raises(sereus.WrongPassphrase):
        second.restore(backup, "wrong", timeout=WAIT)
    second.restore(backup, "secret", name="restored", timeout=WAIT)
    assert second.info().party == party
    second.erase("erase everything", timeout=WAIT)
    assert second.info().peer == ""


def test_archive_and_drop(open_node: OpenNode) -> None:
    node = open_node(offline=True)
    store = node.create_store("old")
    store.put("k", "v")
    with pytest.raises(sereus.Invalid):
        store.drop(timeout=WAIT)
    store.archive(timeout=WAIT)
    assert store["k"] == b"v"
    assert store.info().state is sereus.StoreState.ARCHIVED
    with pytest.raises(sereus.Archived):
        store.put("k", "w", timeout=WAIT)
    store.drop(timeout=WAIT)
    assert [s.name for s in node.stores() if not s.is_root] == []


def test_suspend_and_resume(open_node: OpenNode) -> None:
    node = open_node()
    store = node.create_store("notes")
    store.put("k", "v")
    node.suspend(10)
    with pytest.raises(sereus.Suspended):
        store.get("k")
    node.resume()
    assert store["k"] == b"v"
    store.put("k", "w", timeout=WAIT)


def test_log_goes_to_logging(open_node: OpenNode, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    with caplog.at_level(logging.DEBUG, logger="sereus"):
        node = open_node(log_level=logging.DEBUG)
        node.create_store("notes", timeout=WAIT)
    assert any(record.name == "sereus" for record in caplog.records)
