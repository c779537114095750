"""up: the control socket, signals, kill and restart, two daemons on one folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import BINARY, clean_environment, in_step, until


def test_it_tells_that_it_is_ready_and_where_it_listens(store):
    daemon = store.start()
    ready = daemon.wait_for("ready")
    assert ready["peer"].startswith("12D3KooW")
    assert ready["pid"] == daemon.process.pid
    assert ready["control_socket"] == str(store.data / "control.sock")
    assert "/udp/" in daemon.wait_for("listening")["address"]
    assert "/p2p/" + ready["peer"] in daemon.wait_for("listening")["address"]
    assert stat.S_IMODE((store.data / "control.sock").stat().st_mode) & 0o077 == 0


def test_text_for_people(store):
    process = subprocess.Popen(
        [str(BINARY), "--data", str(store.data), "up", "--timeout", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"Node 'alice', peer 12D3KooW" in out
    assert b"listening on /ip4/" in out
    assert b"Ended." in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_in_order(store, number):
    daemon = store.start()
    store.ok("put", "k", "v")
    assert daemon.end(number) == 0
    assert daemon.told("ended")
    assert store.json("status")["daemon"] is False
    assert store.ok("get", "k").out == "v"


def test_commands_use_it(store):
    store.ok("put", "k", "before")
    store.start()
    status = store.json("status")
    assert status["daemon"] is True
    assert status["node"]["online"] is True
    assert status["node"]["addresses"]
    assert store.ok("get", "k").out == "before"
    store.ok("put", "k", "during")
    store.daemons[0].end()
    assert store.ok("get", "k").out == "during"


def test_many_commands_at_once(store):
    store.start()
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda number: store.run("put", f"k{number}", "v").code, range(24)))
    assert codes == [0] * 24
    assert len(store.ok("list").out.splitlines()) == 24


def test_commands_without_a_daemon_wait_for_one_another(store):
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda number: store.run("put", f"k{number}", "v"), range(6)))
    assert [result.code for result in results] == [0] * 6, results


def test_a_second_daemon_is_refused(store):
    store.start()
    assert "a daemon runs already" in store.fails("up")
    assert store.json("status")["daemon"] is True


def test_a_folder_held_by_another_process_is_refused(store):
    with subprocess.Popen(
        [str(BINARY), "--data", str(store.data), "watch"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    ) as holder:
        try:
            until(lambda: store.run("--json", "status").code == 1, "the folder is held")
            error = store.run("--json", "status").error
            assert error["status"] == "SEREUS_E_BUSY"
            store.fails("up")
        finally:
            holder.terminate()
    store.ok("status")


def test_kill_and_restart_loses_nothing(store):
    daemon = store.start()
    for number in range(20):
        store.ok("put", f"k{number}", "v")
    peer = store.json("status")["node"]["peer"]
    daemon.end(signal.SIGKILL)
    assert (store.data / "control.sock").exists()
    # Without the daemon, beside its dead socket.
    assert len(store.ok("list").out.splitlines()) == 20
    store.start()
    assert store.json("status")["node"]["peer"] == peer
    store.ok("put", "after", "the kill")
    assert len(store.ok("list").out.splitlines()) == 21
    assert store.store("notes")["forks"] == 0
    assert all(result["ok"] for result in store.jsons("verify"))


def test_killed_while_it_writes(store):
    """Acknowledged entries survive SIGKILL; the chain goes on."""
    for round_number in range(3):
        daemon = store.start()
        writer = subprocess.Popen(
            [str(BINARY), "--data", str(store.data), "fill", "200000", "--prefix", f"{round_number}/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        )
        least = 500 * (round_number + 1)
        until(lambda least=least: (store.store("notes") or {}).get("keys", 0) > least, "some were written")
        durable = store.store("notes")["entries"]
        daemon.end(signal.SIGKILL)
        _, err = writer.communicate(timeout=120)
        assert writer.returncode == 1
        assert len(err.splitlines()) == 1
        after = store.store("notes")
        assert after["entries"] >= durable
        assert after["forks"] == 0
        store.ok("put", f"after {round_number}", "v")
        assert all(result["ok"] for result in store.jsons("verify"))


def test_kill_and_restart_of_a_peer(pair):
    alice, bob = pair
    bob.daemons[0].end(signal.SIGKILL)
    alice.ok("put", "while", "bob was dead")
    bob.start()
    until(lambda: bob.run("get", "while").out == "bob was dead", "Bob caught up")
    in_step(alice, bob)
    assert len([peer for peer in alice.jsons("peers") if not peer["removed"]]) == 2
    assert alice.store("notes")["forks"] == 0


def test_offline(store):
    store.start("--offline")
    status = store.json("status")
    assert status["node"]["online"] is False
    assert status["node"]["addresses"] == []
    store.ok("put", "k", "v")


def test_listen_addresses(store):
    daemon = store.start("--listen", "/ip4/127.0.0.1/udp/0/quic-v1")
    assert daemon.wait_for("listening")["address"].startswith("/ip4/127.0.0.1/udp/")
    daemon.end()
    store.fails("up", "--listen", "nonsense")
    store.fails("up", "--listen", "/ip4/127.0.0.1/udp/1/webrtc-direct")


def test_the_port_is_remembered(store):
    ports = []
    for _ in range(2):
        process = subprocess.Popen(
            [str(BINARY), "--data", str(store.data), "--json", "up", "--timeout", "1"],
            stdout=subprocess.PIPE,
            env=clean_environment(),
        )
        out, _ = process.communicate(timeout=120)
        ports.append({line.split(b"/udp/")[1].split(b"/")[0] for line in out.splitlines() if b"/udp/" in line})
    assert ports[0] == ports[1]
    assert ports[0]


def test_a_path_too_long_for_a_socket_is_refused(make_node, folder):
    node = make_node("x" * 100)
    node.ok("init", "--name", "long", "--no-passphrase")
    assert "shorter path" in node.fails("up")


def test_logs_are_kept_and_tell_nothing_secret(pair):
    alice, _ = pair
    invite = alice.json("invite")["invite"]
    alice.ok("put", "a-secret-key-name", "a-secret-value")
    alice.daemons[0].end()
    log = alice.data / "logs" / "sereus.log"
    text = log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "a-secret" not in text
    assert invite not in text
    assert invite[7:40] not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_cannot_use_the_socket(store):
    store.start()
    store.data.parent.chmod(0o755)
    store.data.chmod(0o755)  # even when the folder itself were open
    done = subprocess.run(
        [str(BINARY), "--data", str(store.data), "status"],
        capture_output=True,
        user=65534,
        group=65534,
        env=clean_environment(),
        timeout=60,
    )
    assert done.returncode != 0
    assert b"Node" not in done.stdout
