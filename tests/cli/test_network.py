"""listen, ping, identify, echo, perf: two commands over real sockets, none of which has a data folder."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import BINARY, PATIENCE_S, clean_environment, sereus

TRANSPORTS = {
    "quic": "/ip4/127.0.0.1/udp/0/quic-v1",
    "tcp": "/ip4/127.0.0.1/tcp/0",
    "ws": "/ip4/127.0.0.1/tcp/0/ws",
}
STRANGER = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"


class Listener:
    def __init__(self, *arguments: str) -> None:
        command = [str(BINARY), "listen", "--json", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
        self.ready = self.next()

    def next(self) -> dict:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def wait_for(self, event: str) -> dict:
        while (told := self.next())["event"] != event:
            pass
        return told

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=PATIENCE_S)
        assert self.process.stdout
        self.process.stdout.close()
        return code


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS.keys())
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    started = Listener("--listen", request.param, "--echo")
    yield started
    assert started.stop() == 0


def test_listen_tells_who_and_where(listener: Listener) -> None:
    assert listener.ready["event"] == "listening"
    assert len(listener.ready["addrs"]) == 1
    assert listener.ready["addrs"][0].endswith("/p2p/" + listener.ready["peer"])


def test_ping(listener: Listener) -> None:
    objects = sereus("--json", "ping", listener.ready["addrs"][0], "-n", "7").objects
    pings = [one for one in objects if one["event"] == "ping"]
    assert [one["n"] for one in pings] == list(range(1, 8))
    assert all(one["rtt_us"] > 0 and one["peer"] == listener.ready["peer"] for one in pings)
    summary = objects[-1]
    assert summary["event"] == "summary" and summary["n"] == 7
    assert summary["min_us"] <= summary["median_us"] <= summary["max_us"]
    assert listener.wait_for("connected")["peer"] == listener.wait_for("disconnected")["peer"]


def test_identify(listener: Listener) -> None:
    address = listener.ready["addrs"][0]
    told = sereus("--json", "identify", address).object
    assert told["peer"] == listener.ready["peer"]
    assert told["agent"].startswith("sereus/")
    assert told["signed"]
    assert told["addrs"] == [address.rpartition("/p2p/")[0]]
    assert {"/echo/1.0.0", "/perf/1.0.0", "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"} <= set(told["protocols"])
    assert told["observed"].startswith("/ip4/127.0.0.1/")
    assert "signed by the peer" in sereus("identify", address).out


def test_echo(listener: Listener) -> None:
    address = listener.ready["addrs"][0]
    told = sereus("--json", "echo", address, "--bytes", "8MiB").object
    assert told["bytes"] == 8 << 20 and told["verified"] and told["mib_per_s"] > 0
    many = sereus("--json", "echo", address, "--bytes", "100000", "--streams", "50").object
    assert many["bytes"] == 5_000_000 and many["streams"] == 50
    assert sereus("--json", "echo", address, "--bytes", "0").object["bytes"] == 0


def test_perf(listener: Listener) -> None:
    address = listener.ready["addrs"][0]
    both = sereus("--json", "perf", address, "--up", "4MiB", "--down", "6MiB").object
    assert both["up"] == 4 << 20 and both["down"] == 6 << 20
    assert both["up_mib_per_s"] > 0 and both["down_mib_per_s"] > 0
    assert "down_seconds" not in sereus("--json", "perf", address, "--up", "1000").object
    assert "up_seconds" not in sereus("--json", "perf", address, "--down", "1000").object
    assert sereus("perf", address).code == 2


def test_the_wrong_peer_is_refused(listener: Listener) -> None:
    address = listener.ready["addrs"][0].rpartition("/p2p/")[0]
    refused = sereus("ping", f"{address}/p2p/{STRANGER}")
    assert refused.code == 1
    assert "SEREUS_E_DENIED" in sereus("--json", "ping", f"{address}/p2p/{STRANGER}").err
    nobody = sereus("ping", address)
    assert nobody.code == 1 and "/p2p" in nobody.err


def test_without_echo_the_protocol_is_not_spoken() -> None:
    listener = Listener("--listen", TRANSPORTS["quic"])
    refused = sereus("--json", "echo", listener.ready["addrs"][0])
    assert listener.stop() == 0
    assert refused.code == 1 and "SEREUS_E_UNSUPPORTED" in refused.err


def test_nobody_there() -> None:
    refused = sereus("--json", "--timeout", "60", "ping", f"/ip4/127.0.0.1/tcp/1/p2p/{STRANGER}")
    assert refused.code == 1 and "SEREUS_E_UNREACHABLE" in refused.err
    assert sereus("ping", "/nonsense").code == 1
    assert sereus("ping").code == 2


def test_listening_by_default_is_quic_and_tcp() -> None:
    listener = Listener()
    addresses = listener.ready["addrs"]
    assert listener.stop() == 0
    assert any("/quic-v1/" in address for address in addresses)
    assert any("/tcp/" in address for address in addresses)


def test_transports_can_be_forbidden(listener: Listener) -> None:
    address = listener.ready["addrs"][0]
    other = "tcp" if "/quic-v1" in address else "quic"
    refused = sereus("--json", "ping", "--transport", other, address)
    assert refused.code == 1 and "SEREUS_E_DENIED" in refused.err
    assert sereus("ping", "--transport", "pigeon", address).code == 2


def test_secure_channels_can_be_chosen() -> None:
    listener = Listener("--listen", TRANSPORTS["tcp"], "--security", "noise")
    address = listener.ready["addrs"][0]
    assert sereus("ping", "--security", "noise,tls", address, "-n", "1").code == 0
    refused = sereus("--json", "ping", "--security", "tls", address)
    assert listener.stop() == 0
    assert refused.code == 1 and "SEREUS_E_UNSUPPORTED" in refused.err


def test_rates_are_kept(listener: Listener) -> None:
    told = sereus("--json", "perf", "--up-limit", "4MiB", listener.ready["addrs"][0], "--up", "6MiB").object
    assert 1 < told["up_seconds"] < 30


def test_secure_websocket(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is absent")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", chain], check=True, capture_output=True)
    listen = ["--listen", "/ip4/127.0.0.1/tcp/0/tls/ws", "--echo"]
    listener = Listener(*listen, "--certificate", str(chain), "--key", str(key))
    address = listener.ready["addrs"][0]
    assert "/tls/ws/" in address
    known = sereus("--json", "echo", "--authorities", str(chain), address)
    anybody = sereus("--json", "echo", "--any-server", address)
    unknown = sereus("--json", "echo", address)
    by_name = sereus(
        "--json", "echo", "--authorities", str(chain), address.replace("/ip4/127.0.0.1/", "/dns4/localhost/")
    )
    assert listener.stop() == 0
    assert known.object["verified"] and anybody.object["verified"] and by_name.object["verified"]
    assert unknown.code == 1
    assert sereus("listen", *listen).code == 1, "without a certificate"
    assert sereus("listen", *listen, "--certificate", str(chain)).code == 2, "without its key"
