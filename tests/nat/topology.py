"""A small Internet of network namespaces: public hosts, and hosts behind routers whose NATs are of known kinds.

One namespace is the wire: a bridge with 198.18.0.0/15 (RFC 2544: for tests, and public to all who look at the address alone).
Public host n is 198.18.n.1. A host behind a router is 192.168.n.2, its router 192.168.n.1 inside and 198.18.n.1 outside. The
kinds, by the names of RFC 3489, and how Linux is made to be one:

  open             no router
  full_cone        ports are kept; who sent from a port within the last minute gets everything that comes to it
  port_restricted  masquerade: ports are kept where they can be, answers come in from where was sent to
  symmetric        masquerade random,fully-random: another port for each destination
  udp_blocked      port_restricted, and no datagram goes through

Needs root, ip (iproute2) and nft (nftables). Namespaces carry the name of their Internet, and go with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

KINDS = ("open", "full_cone", "port_restricted", "symmetric", "udp_blocked")
PORT = 4001  # that nodes listen on
CLONE_NEWNET = 0x40000000

T = TypeVar("T")


def missing_tools() -> str:
    """Why namespaces cannot be made here; empty when they can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            return f"{tool} is absent"
    name = f"sereus-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"no namespace can be made: {made.stderr.strip()}"
    ruled = subprocess.run(
        ["ip", "netns", "exec", name, "nft", "add", "table", "ip", "t"], capture_output=True, text=True, check=False
    )
    subprocess.run(["ip", "netns", "del", name], check=False)
    return "" if ruled.returncode == 0 else f"nft does not work: {ruled.stderr.strip()}"


def run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


ROUTER_RULES = """
table ip nat {
  chain prerouting { type nat hook prerouting priority dstnat; %(incoming)s; }
  chain postrouting { type nat hook postrouting priority srcnat; oifname "wan" %(outgoing)s; }
}
table ip filter {
  set udp_ports { type inet_service; flags dynamic,timeout; timeout 60s; }
  set tcp_ports { type inet_service; flags dynamic,timeout; timeout 60s; }
  # As a home's router: nobody talks to it, and it does not say so.
  chain input { type filter hook input priority filter; iifname "wan" ct state new drop; iifname "wan" ct state invalid drop; }
  chain forward { type filter hook forward priority filter; %(forward)s; }
}
"""

MASQUERADE = {"incoming": "", "outgoing": "masquerade", "forward": 'iifname "wan" ct state new drop'}


def router_rules(kind: str, inside: str) -> str:
    parts = dict(MASQUERADE)
    if kind == "symmetric":
        parts["outgoing"] = "masquerade random,fully-random"
    elif kind == "udp_blocked":
        parts["forward"] = "meta l4proto udp drop; " + MASQUERADE["forward"]
    elif kind == "full_cone":
        # The one host inside keeps its ports; what it sent from is open to all for a while.
        parts["forward"] = (
            'iifname "lan" meta l4proto udp update @udp_ports { udp sport }; '
            'iifname "lan" meta l4proto tcp update @tcp_ports { tcp sport }; '
            'iifname "wan" ct state new ct status & dnat != dnat drop'
        )
        parts["incoming"] = f'iifname "wan" meta l4proto {{ tcp, udp }} dnat to {inside}'
    rules = ROUTER_RULES % parts
    if kind == "full_cone":
        # Sets are of one table, so what is let in is decided where they are, before anything is translated.
        rules += """
table ip filter {
  chain entry {
    type filter hook prerouting priority -150;
    iifname "wan" meta l4proto udp ct state new udp dport != @udp_ports drop
    iifname "wan" meta l4proto tcp ct state new tcp dport != @tcp_ports drop
  }
}
"""
    return rules


@dataclass
class Host:
    """A machine: its namespace, the address that its interface has, and the one that the world sees."""

    name: str
    kind: str
    inside: str
    outside: str
    router: str = ""  # its router's namespace
    _processes: list[subprocess.Popen] = field(default_factory=list)

    def within(self, what: Callable[[], T]) -> T:
        """Calls `what` inside of the namespace. Sockets made there stay there."""
        return within(self.name, what)

    def udp(self, port: int = 0) -> socket.socket:
        return self._socket(socket.SOCK_DGRAM, port)

    def tcp(self, port: int = 0) -> socket.socket:
        return self._socket(socket.SOCK_STREAM, port)

    def _socket(self, kind: socket.SocketKind, port: int) -> socket.socket:
        made = self.within(lambda: socket.socket(socket.AF_INET, kind))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.inside, port))
        made.settimeout(1.0)
        return made

    def start(self, *command: str, **options) -> subprocess.Popen:
        """A program on this machine. It is ended with the Internet."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)
        self._processes.append(process)
        return process

    def run(self, *command: str, timeout_s: float = 60.0, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            timeout=timeout_s,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def within(namespace: str, what: Callable[[], T]) -> T:
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            return what()
        finally:
            if libc.setns(home, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns back")
    finally:
        os.close(there)
        os.close(home)


class Internet:
    def __init__(self, name: str = "") -> None:
        self.name = name or f"sereus{os.getpid()}"
        self.hosts: list[Host] = []
        self._namespaces: list[str] = []
        self.wire = self._namespace("wire")
        run("ip", "-n", self.wire, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self.wire, "link", "set", "bridge", "up")

    def _namespace(self, part: str) -> str:
        name = f"{self.name}-{part}"
        run("ip", "netns", "add", name)
        self._namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def _plug(self, namespace: str, interface: str, number: int) -> None:
        """Connects an interface of a namespace with the wire."""
        port = f"port{number}"
        run("ip", "-n", self.wire, "link", "add", port, "type", "veth", "peer", "name", interface, "netns", namespace)
        run("ip", "-n", self.wire, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", namespace, "link", "set", interface, "up")

    def add(self, kind: str) -> Host:
        number = len(self.hosts) + 1
        outside = f"198.18.{number}.1"
        namespace = self._namespace(f"host{number}")
        if kind == "open":
            self._plug(namespace, "wan", number)
            run("ip", "-n", namespace, "address", "add", f"{outside}/15", "dev", "wan")
            host = Host(namespace, kind, outside, outside)
        else:
            host = self._add_behind(kind, number, namespace, outside)
        self.hosts.append(host)
        return host

    def _add_behind(self, kind: str, number: int, namespace: str, outside: str) -> Host:
        if kind not in KINDS:
            raise ValueError(f"no such kind of NAT: {kind}")
        router = self._namespace(f"router{number}")
        inside = f"192.168.{number}.2"
        self._plug(router, "wan", number)
        run("ip", "-n", router, "address", "add", f"{outside}/15", "dev", "wan")
        run("ip", "-n", router, "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", namespace)
        run("ip", "-n", router, "address", "add", f"192.168.{number}.1/24", "dev", "lan")
        run("ip", "-n", router, "link", "set", "lan", "up")
        run("ip", "-n", namespace, "address", "add", f"{inside}/24", "dev", "lan")
        run("ip", "-n", namespace, "link", "set", "lan", "up")
        run("ip", "-n", namespace, "route", "add", "default", "via", f"192.168.{number}.1")
        run("ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        run("ip", "netns", "exec", router, "nft", "-f", "-", given=router_rules(kind, inside))
        return Host(namespace, kind, inside, outside, router)

    def close(self) -> None:
        for host in self.hosts:
            host.stop()
        for namespace in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)
        self._namespaces.clear()


@contextlib.contextmanager
def internet(name: str = "") -> Iterator[Internet]:
    made = Internet(name)
    try:
        yield made
    finally:
        made.close()
