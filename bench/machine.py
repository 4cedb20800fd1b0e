"""The machine a run was made on: figures without it say nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, kw_only=True, rename="camel"):
    """What the figures depend on."""

    cores: int
    cpu: str
    memory_mib: int
    kernel: str
    python: str
    sqlite: str
    file_system: str
    """Of the folder the benches write to."""
    load_average: float
    """Over the minute before the run: what else the machine was doing."""
    measured_at: str
    commit: str


def machine(folder: Path) -> Machine:
    """This machine, now; `folder` is where the benches write."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_from_table(Path("/proc/cpuinfo"), "model name"),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        kernel=platform.release(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        file_system=_file_system(folder),
        load_average=os.getloadavg()[0],
        measured_at=datetime.now(UTC).isoformat("T", "seconds").replace("+00:00", "Z"),
        commit=_commit(),
    )


def _from_table(file: Path, name: str) -> str:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _file_system(folder: Path) -> str:
    """The type of the mount that holds the folder."""
    device = folder.stat().st_dev
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        major, _, minor = before.split()[2].partition(":")
        if os.makedev(int(major), int(minor)) == device:
            return after.split()[0]
    return "unknown"


def _commit() -> str:
    def git(*words: str) -> str:
        found = subprocess.run(("git", *words), capture_output=True, text=True, check=False)
        return found.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "bench")
    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit} with changes that were not committed" if changed else commit
