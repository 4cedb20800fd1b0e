"""A page's commands, read out of it and typed into a shell beside a portal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.served import Served, until

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
_BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The commands of a page's console blocks, in their order; a backslash at a line's end goes on."""
    found: list[str] = []
    for _, block in _BLOCK.findall((RUNBOOKS / page).read_text()):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        for line in lines:
            if line.startswith("$ "):
                found.append(line[2:])
            elif found and found[-1].endswith("\\"):
                found[-1] += "\n" + line
    return found


@dataclass
class Typed:
    """One command, and how it ended."""

    command: str
    status: int
    out: str


class Shell:
    """A shell in which `holdfast` and `systemctl` mean the test's portal."""

    def __init__(self, folder: Path, portal: Served) -> None:
        """`folder` is the test's own; paths of the pages lead into it."""
        self.folder = folder
        self.portal = portal
        self._started: list[int] = []
        bin_ = folder / "bin"
        bin_.mkdir()
        (folder / "copies").mkdir(exist_ok=True)
        _script(bin_ / "holdfast", f'exec {sys.executable} -m holdfast "$@"')
        _script(bin_ / "systemctl", f'exec {sys.executable} {Path(__file__).with_name("unit.py")} "$1"')

    def type(self, page: str) -> list[Typed]:
        """Every command of a page, in one shell; fails at the first that ends with an error."""
        known = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DEV_", "FORCE_"))}
        port = self.portal.url.rpartition(":")[2] or "0"
        environ = known | {
            "PATH": f"{self.folder / 'bin'}:{known['PATH']}",
            "UNIT_DATA": str(self.portal.data),
            "UNIT_PORT": port,
            "UNIT_LOG": str(self.folder / "unit.log"),
            "COLUMNS": "200",
        }
        script = ["exec 2>&1"]
        wanted = commands(page)
        assert wanted, f"{page} has no commands"
        for number, command in enumerate(wanted):
            script += [self._here(command), f'printf "\\n@@%d %d@@\\n" {number} $?']
        done = subprocess.run(
            ["bash"], input="\n".join(script), cwd=self.folder, env=environ, text=True,
            capture_output=True, check=False, timeout=240,
        )  # fmt: skip
        found: list[Typed] = []
        text = done.stdout
        for number, command in enumerate(wanted):
            out, mark, text = text.partition(f"\n@@{number} ")
            assert mark, f"{page}: {command} did not come back:\n{out}\n{done.stderr}"
            status, _, text = text.partition("@@\n")
            found.append(Typed(command, int(status), out))
            assert status == "0", f"{page}: {command} ended with {status}:\n{out}"
            assert "Traceback" not in out, out
        return found

    def _here(self, command: str) -> str:
        return (
            command.replace("/srv/holdfast", str(self.portal.data))
            .replace("/srv/copies", str(self.folder / "copies"))
            .replace("http://127.0.0.1:8000", f"http://127.0.0.1:{self.portal.url.rpartition(':')[2]}")
        )

    def close(self) -> None:
        """Stop the portal that the page's commands have started."""
        note = self.folder / "unit.log.pid"
        if note.exists():
            pid = int(note.read_text())
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                return
            until(lambda: not Path(f"/proc/{pid}").exists(), 30)


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
