"""invite, invites, revoke-invite, join, peers, remove, add-address, sync: two and three nodes over UDP on loopback."""

from __future__ import annotations

import pytest
from conftest import in_step, until


def test_join_brings_the_stores_into_step(make_node):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.ok("put", "k", "from alice")
    daemon = alice.start()
    invite = alice.json("invite")
    assert invite["role"] == "write"
    assert invite["uses"] == 1
    assert invite["daemon"] is True
    bob.start()
    joined = bob.json("join", invite["invite"])
    assert joined["joined"] is True
    assert "notes" in [store["name"] for store in joined["stores"]]
    assert bob.ok("get", "k").out == "from alice"
    in_step(alice, bob)
    daemon.wait_for("peer", what="joined", name="bob")
    daemon.wait_for("peer", what="synced")
    for node in (alice, bob):
        rows = node.jsons("peers")
        assert sorted(row["name"] for row in rows) == ["alice", "bob"]
        assert [row["name"] for row in rows if row["self"]] == [node.name]
    assert bob.store("notes")["store"] == alice.store("notes")["store"]


def test_stores_sync_over_tcp_and_over_both_transports_at_once(make_node):
    alice, bob, carol = (make_node(name).init() for name in ("alice", "bob", "carol"))
    alice.ok("create-store", "notes")
    alice.ok("fill", "2000")
    tcp, quic = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"
    alice.start("--listen", tcp)
    bob.start("--listen", tcp)
    bob.ok("join", alice.json("invite")["invite"])
    in_step(alice, bob)
    bob.ok("put", "k", "over TCP")
    until(lambda: alice.run("get", "k").out == "over TCP", "Alice has Bob's entry")
    # The port that was drawn is Alice's for good, so Bob finds her after a restart.
    before = alice.json("status")["node"]["addresses"]
    assert all("/tcp/" in address for address in before)
    alice.daemons[-1].end()
    bob.ok("put", "k2", "while she was away")
    alice.start("--listen", tcp, "--listen", quic)
    assert set(before) <= set(alice.json("status")["node"]["addresses"])
    until(lambda: alice.run("get", "k2").out == "while she was away", "Alice caught up")
    carol.start("--listen", quic)
    carol.ok("join", alice.json("invite")["invite"])
    in_step(alice, carol)
    carol.ok("put", "k3", "from one transport to the other")
    until(lambda: bob.run("get", "k3").out == "from one transport to the other", "Bob has it by way of Alice")


@pytest.mark.parametrize("family", ["/ip4/127.0.0.1", "/ip6/::1"], ids=["ip4", "ip6"])
@pytest.mark.parametrize("transport", ["/udp/0/quic-v1", "/tcp/0", "/tcp/0/ws"], ids=["quic", "tcp", "ws"])
def test_a_store_syncs_over_each_transport(make_node, family, transport):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.ok("fill", "1000")
    for node in (alice, bob):
        node.start("--listen", family + transport)
        addresses = node.json("status")["node"]["addresses"]
        kind, _, more = transport.partition("/0")
        assert addresses
        assert all(kind in address and f"{more}/p2p/" in address for address in addresses)
    bob.ok("join", alice.json("invite")["invite"])
    in_step(alice, bob)
    bob.ok("put", "k", "from bob")
    until(lambda: alice.run("get", "k").out == "from bob", "Alice has Bob's entry")
    in_step(alice, bob)
    # Bob's daemon finds her again by itself.
    alice.daemons[-1].end()
    bob.ok("put", "k2", "while she was away")
    alice.start("--listen", family + transport)
    until(lambda: alice.run("get", "k2").out == "while she was away", "Alice caught up")
    in_step(alice, bob)


def test_changes_flow_both_ways(pair):
    alice, bob = pair
    bob.ok("put", "k", "from bob")
    until(lambda: alice.run("get", "k").out == "from bob", "Alice has Bob's entry")
    alice.ok("delete", "k")
    until(lambda: bob.run("get", "k").code == 1, "Bob has Alice's deletion")
    alice.ok("create-store", "second")
    until(lambda: "second" in bob.ok("list-stores", "--names").out, "Bob has the new store")
    alice.ok("--store", "second", "put", "x", "y")
    until(lambda: bob.run("--store", "second", "get", "x").out == "y", "Bob has the new store's entry")
    in_step(alice, bob)


def test_join_without_daemon_and_sync(make_node):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.ok("put", "k", "1")
    alice.start()
    result = bob.run("join", "-", stdin=alice.json("invite")["invite"].encode() + b"\n")
    assert result.code == 0, result
    assert "notes" in result.out
    assert "sereus up" in result.err
    assert bob.ok("get", "k").out == "1"
    alice.ok("put", "k", "2")
    synced = bob.json("sync")
    assert synced["in_step"] is True
    assert bob.ok("get", "k").out == "2"
    bob.ok("put", "k", "3")
    bob.ok("sync", "notes", "alice")
    assert alice.ok("get", "k").out == "3"


def test_concurrent_writes(pair):
    alice, bob = pair
    bob.daemons[0].end()
    alice.ok("put", "k", "from alice")
    bob.ok("put", "k", "from bob")
    bob.start()
    in_step(alice, bob)
    mine, theirs = alice.jsons("heads", "k"), bob.jsons("heads", "k")
    assert mine == theirs
    assert len(mine) == 2
    assert [head["winner"] for head in mine] == [True, False]
    assert {head["value"] for head in mine} == {"from alice", "from bob"}
    assert alice.ok("get", "k").out == bob.ok("get", "k").out == mine[0]["value"]
    assert alice.store("notes")["conflicts"] == 1
    assert "conflict" in alice.ok("list", "-l").out
    alice.ok("put", "k", "merged")
    in_step(alice, bob)
    assert len(bob.jsons("heads", "k")) == 1


def test_an_invite_is_used_once(pair, make_node):
    alice, bob = pair
    invite = alice.json("invite")["invite"]
    carol, dave = make_node("carol").init(), make_node("dave").init()
    carol.ok("join", invite)
    refused = dave.run("--json", "join", invite)
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_DENIED"
    assert "notes" not in [store["name"] for store in dave.json("status")["stores"]]
    assert [row for row in dave.jsons("peers") if row["role"] != "none" and not row["self"]] == []
    del bob


def test_an_invite_for_two(make_node):
    alice = make_node("alice").init()
    alice.ok("create-store", "notes")
    alice.start()
    invite = alice.json("invite", "--uses", "2")["invite"]
    for name in ("bob", "carol"):
        make_node(name).init().ok("join", invite)
    assert make_node("dave").init().run("join", invite).code == 1


def test_an_invite_expires(make_node):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.start()
    invite = alice.json("invite", "--expires", "1s")["invite"]
    until(lambda: [row["expired"] for row in alice.jsons("invites")] == [True], "the invite has expired")
    refused = bob.run("--json", "join", invite)
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_EXPIRED"
    assert "ask for a new one" in refused.error["message"]
    assert "expired" in alice.ok("invites").out
    assert "is not a duration" in alice.fails("invite", "--expires", "soon", code=2)


def test_an_invite_is_revoked(make_node):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.start()
    by_text, by_id = alice.json("invite")["invite"], alice.json("invite")["invite"]
    alice.ok("revoke-invite", by_text)
    (left,) = [row for row in alice.jsons("invites") if not row["revoked"]]
    alice.ok("revoke-invite", left["id"])
    for invite in (by_text, by_id):
        refused = bob.run("--json", "join", invite)
        assert refused.code == 1
        assert refused.error["status"] == "SEREUS_E_DENIED"
    assert alice.run("revoke-invite", "nonsense").code == 1


def test_an_invite_for_one_peer_is_for_that_peer(make_node):
    alice, bob, carol = (make_node(name).init() for name in ("alice", "bob", "carol"))
    alice.ok("create-store", "notes")
    alice.start()
    invite = alice.json("invite", bob.json("status")["node"]["peer"])["invite"]
    assert carol.run("--json", "join", invite).error["status"] == "SEREUS_E_DENIED"
    bob.ok("join", invite)


def test_bad_invites_are_refused(node):
    invite = "sereus1" + "a" * 100
    for text in ("nonsense", invite, "http://example.org", "é" * 50):
        node.fails("join", text)
    assert "the invite is empty" in node.fails("join", "-", code=2)


def test_a_changed_invite_is_refused(store):
    store.start()
    invite = store.json("invite")["invite"]
    changed = invite[:-10] + ("a" if invite[-10] != "a" else "b") + invite[-9:]
    other = type(store)(store.data.parent / "other", "other").init()
    refused = other.run("--json", "join", changed)
    assert refused.code == 1
    assert refused.error["status"] in ("SEREUS_E_MALFORMED", "SEREUS_E_DENIED")


def test_joining_oneself_is_refused(store):
    store.start()
    assert "own" in store.fails("join", store.json("invite")["invite"])


def test_joining_somebody_who_is_not_there(make_node):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    daemon = alice.start()
    invite = alice.json("invite")["invite"]
    daemon.end()
    refused = bob.run("--json", "--timeout", "90", "join", invite)
    assert refused.code == 1
    assert refused.error["status"] in ("SEREUS_E_UNREACHABLE", "SEREUS_E_TIMEOUT")


def test_the_invite_as_shown_to_people(store):
    store.start()
    result = store.ok("invite")
    assert len(result.out.splitlines()) == 1, "a pipe gets the line alone"
    assert "secret" in result.err
    with_code = store.ok("invite", "--qr").out
    assert with_code.splitlines()[0].startswith("sereus1")
    assert "▀" in with_code or "▄" in with_code
    assert store.run("invite", "--qr", "--no-qr").code == 2
    assert store.run("invite", "--role", "king").code == 2
    assert store.run("invite", "--uses", "0").code == 2


def test_an_invite_without_daemon_says_that_the_node_must_be_up(store):
    result = store.ok("invite")
    assert "sereus up" in result.err
    assert store.json("invite")["daemon"] is False


def test_an_invite_made_before_the_daemon_ran_holds_once_it_runs(store, make_node):
    invite = store.json("invite")["invite"]
    store.start("--listen", "/ip4/0.0.0.0/udp/0/quic-v1")
    make_node("bob").init().ok("join", invite)


def test_a_read_only_peer_cannot_write(store, make_node):
    store.ok("put", "k", "v")
    store.start()
    bob = make_node("bob").init()
    bob.start()
    bob.ok("join", store.json("invite", "--role", "read")["invite"])
    assert bob.ok("get", "k").out == "v"
    assert [row["role"] for row in bob.jsons("peers") if row["self"]] == ["read"]
    refused = bob.run("--json", "put", "k", "w")
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_DENIED"
    assert store.ok("get", "k").out == "v"


def test_a_removed_peer_gets_nothing_more(pair):
    alice, bob = pair
    in_step(alice, bob)
    assert alice.json("remove", "bob")["removed"] is True
    alice.ok("put", "after", "the removal")
    assert [row["removed"] for row in alice.jsons("peers") if row["name"] == "bob"] == [True]
    # Bob learns of it or is only cut off; in either case he gets nothing.
    assert bob.run("--timeout", "5", "sync").code == 1
    assert bob.run("get", "after").code == 1
    assert "there is no peer 'nobody'" in alice.fails("remove", "nobody")


def test_add_address_leads_to_a_peer_that_moved(make_node):
    alice, bob = make_node("alice").init(), make_node("bob").init()
    alice.ok("create-store", "notes")
    alice.start()
    bob.ok("join", alice.json("invite")["invite"])
    alice.daemons[0].end()
    where = alice.start().wait_for("listening")["address"]
    alice.ok("put", "k", "from the new place")
    bob.start()
    bob.ok("add-address", "alice", where.split("/p2p/")[0])
    until(lambda: bob.run("get", "k").out == "from the new place", "Bob found Alice")
    bob.fails("add-address", "alice", "nonsense")


def test_sync_with_nobody(store):
    result = store.run("--json", "--timeout", "30", "sync")
    assert result.code in (0, 1)
    if result.code == 1:
        assert result.error["status"] == "SEREUS_E_UNREACHABLE"


def test_a_stranger_learns_nothing(pair, make_node):
    """Eve knows Alice's address and peer id, and has no invite."""
    alice, _ = pair
    eve = make_node("eve").init()
    daemon = eve.start()
    info = alice.json("status")["node"]
    eve.run("add-address", info["peer"], info["addresses"][0].split("/p2p/")[0])
    eve.run("--timeout", "10", "sync", timeout=60)
    status = eve.json("status")
    assert [store for store in status["stores"] if store["name"] == "notes"] == []
    assert [peer["name"] for peer in status["peers"] if peer["name"] in ("alice", "bob")] == []
    assert not any(event.get("store") == "notes" or event.get("name") in ("alice", "notes") for event in daemon.events)
    assert "eve" not in [peer["name"] for peer in alice.jsons("peers")]
