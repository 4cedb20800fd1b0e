"""Commands as an operator types them: each is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from click.testing import CliRunner

from holdfast.cli.main import main

OURS = ("HOLDFAST_", "DEV_", "FORCE_")


@dataclass
class Said:
    """What a command wrote, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        """Its standard output, which is JSON and nothing else."""
        return json.loads(self.out)


def holdfast(*words: str, environ: Mapping[str, str] | None = None) -> Said:
    """Type a command; none of them may end in a traceback."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *words],
        env={**known, "COLUMNS": "200", **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def in_process(*words: str, environ: Mapping[str, str] | None = None) -> Said:
    """The same in this process, where it is the command's answer that counts: Python starts but once."""
    unset = {name: None for name in os.environ if name.startswith(OURS)}
    try:
        done = CliRunner().invoke(main, list(words), env={**unset, "COLUMNS": "200", **(environ or {})})
    finally:
        structlog.reset_defaults()
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Said(done.exit_code, done.stdout, done.stderr)
