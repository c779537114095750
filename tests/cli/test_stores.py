"""create-store, list-stores, use, delete-store, drop-store, verify."""

from __future__ import annotations


def test_create_and_list(node):
    made = node.json("create-store", "notes")
    assert made["name"] == "notes"
    assert len(made["store"]) == 32
    rows = node.jsons("list-stores")
    assert [row["root"] for row in rows].count(True) == 1
    (row,) = [row for row in rows if not row["root"]]
    assert row["store"] == made["store"]
    assert row["state"] == "active"
    assert row["forks"] == row["conflicts"] == row["held"] == 0
    assert row["keys"] == 0
    assert row["default"] is False
    assert ":" in row["position"]
    text = node.ok("list-stores").out
    assert "notes" in text
    assert made["store"][:8] in text
    assert node.ok("list-stores", "--names").out == "notes\n"


def test_a_new_node_has_no_store(node):
    assert node.jsons("list-stores") == []
    assert "create-store" in node.ok("list-stores").err
    assert "there is no store yet" in node.fails("put", "k", "v")


def test_the_only_store_is_chosen_and_several_must_be_named(node):
    node.ok("create-store", "one")
    node.ok("put", "k", "in one")
    node.ok("create-store", "two")
    assert "several stores" in node.fails("get", "k", code=2)
    assert node.ok("--store", "one", "get", "k").out == "in one"
    node.ok("get", "k", "--store", "one")
    used = node.json("use", "two")
    assert used["name"] == "two"
    node.ok("put", "k", "in two")
    assert node.ok("get", "k").out == "in two"
    assert node.ok("get", "k", "--store", "one").out == "in one"
    assert [row["default"] for row in node.jsons("list-stores") if row["name"] == "two"] == [True]


def test_stores_are_found_by_the_beginning_of_their_id(node):
    made = node.json("create-store", "notes")
    node.ok("create-store", "other")
    node.ok("--store", made["store"], "put", "k", "v")
    assert node.ok("--store", made["store"][:8], "get", "k").out == "v"
    assert "there is no store 'absent'" in node.fails("--store", "absent", "get", "k")


def test_a_name_that_fits_several_is_refused(node):
    node.ok("create-store", "twin")
    node.ok("create-store", "twin")
    assert "several stores are called 'twin'" in node.fails("use", "twin")


def test_delete_makes_it_read_only_and_drop_removes_it(store):
    store.ok("put", "k", "v")
    assert store.json("delete-store", "notes")["state"] == "archived"
    refused = store.run("--json", "--store", "notes", "put", "k", "w")
    assert refused.code == 1
    assert refused.error["status"] == "SEREUS_E_ARCHIVED"
    assert store.ok("--store", "notes", "get", "k").out == "v"
    assert store.json("drop-store", "notes")["dropped"] is True
    assert "there is no store" in store.fails("--store", "notes", "get", "k")


def test_drop_needs_a_deleted_store(store):
    store.ok("put", "k", "v")
    store.fails("drop-store", "notes")
    assert store.ok("get", "k").out == "v"


def test_verify(store):
    store.ok("put", "k", "v")
    results = store.jsons("verify")
    assert all(result["ok"] for result in results)
    assert {result["name"] for result in results} >= {"notes"}
    assert "all hashes, chains and signatures hold" in store.ok("verify", "notes").out
    assert len(store.jsons("verify", "notes")) == 1


def test_everything_works_the_same_through_the_daemon(store):
    store.start()
    assert store.json("status")["daemon"] is True
    store.ok("create-store", "second")
    store.ok("use", "second")
    store.ok("put", "k", "v")
    assert store.ok("get", "k").out == "v"
    assert all(result["ok"] for result in store.jsons("verify"))
    store.ok("delete-store", "second")
    store.ok("drop-store", "second")
    assert store.ok("list-stores", "--names").out == "notes\n"
