"""Real nodes in folders of their own, over real QUIC on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sereus

LOOPBACK = ["/ip4/127.0.0.1/udp/0/quic-v1"]
WAIT = 60.0  # seconds; the machine may be busy

OpenNode = Callable[..., sereus.Node]


@pytest.fixture
def open_node(tmp_path: Path) -> Iterator[OpenNode]:
    """open_node(name, **settings): a blocking node; those left open are closed."""
    nodes: list[sereus.Node] = []

    def make(name: str = "node", *, identity: bool = True, **settings: Any) -> sereus.Node:
        options: dict[str, Any] = {"listen": LOOPBACK, "kdf_interactive": True, **settings}
        node = sereus.Node(tmp_path / name, **options)
        nodes.append(node)
        if identity and not node.info().peer:
            node.create_identity(name, timeout=WAIT)
        return node

    yield make
    for node in nodes:
        node.close(timeout=WAIT)


@pytest.fixture
def store(open_node: OpenNode) -> sereus.Store:
    return open_node(offline=True).create_store("notes", timeout=WAIT)
