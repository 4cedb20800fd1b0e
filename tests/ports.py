"""Ports for what is killed and started again at the same address."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS: Final = range(20_000 + _WORKER % 12 * 1_000, 21_000 + _WORKER % 12 * 1_000)
"""Below those that a machine gives out by itself, and of this worker of the tests alone: while nobody
listens there, nobody else takes the port."""
_given: set[int] = set()


def quiet_port() -> int:
    """A port that is free, also after a kill; whoever got one before may not listen there yet."""
    if len(_given) > len(PORTS) - 100:
        _given.clear()
    for port in random.sample([port for port in PORTS if port not in _given], 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise OSError("no port is free")
