"""What the tests of runbooks share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import until


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """A `holdfast` that answers at once; see `warm.py`."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DEV_", "FORCE_"))}
    # The path of a socket may be 107 bytes long, and those of the tests' own folders are not short.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warm"
        command = [sys.executable, str(Path(__file__).with_name("warm.py")), "serve", str(path)]
        process = subprocess.Popen(command, env=known | {"COLUMNS": "200"})
        try:
            until(lambda: path.exists() or process.poll() is not None, 60)
            assert process.poll() is None, "it ended"
            yield path
        finally:
            process.kill()
            process.wait()
