"""The processes of a browser that a test started: all of them, and none of anybody else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

GONE_S: Final = 20.0


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError, ValueError):
            # The name in parentheses may hold anything; what follows it is plain.
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _named(profile: Path) -> set[int]:
    """Processes whose command line names the profile: those that have left their parent too."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if os.fsencode(profile) in (folder / "cmdline").read_bytes():
                    found.add(int(folder.name))
    return found - {os.getpid()}


def family(root: int, profile: Path) -> set[int]:
    """A process, all that descend from it, and all that name its profile."""
    parents = _parents()
    found = {root} | _named(profile)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def alive(pid: int) -> bool:
    """Whether it still runs; one that only waits to be buried does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def kill_9(process: subprocess.Popen[bytes], profile: Path) -> set[int]:
    """SIGKILL the whole family, and wait until none of it runs; the ids that were killed."""
    killed: set[int] = set()
    end = time.monotonic() + GONE_S
    while True:
        # Again and again: one of them may just be starting another.
        living = {pid for pid in family(process.pid, profile) | killed if alive(pid)}
        if not living:
            break
        for pid in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= living
        assert time.monotonic() < end, f"still running: {living}"
        time.sleep(0.02)
    process.wait(GONE_S)
    return killed
