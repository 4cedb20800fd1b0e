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


def quiet_port() -> int:
    """A port that is free, also after a kill."""
    for port in random.sample(PORTS, 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
