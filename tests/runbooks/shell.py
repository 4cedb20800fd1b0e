"""A page's commands, read out of it and typed into a shell beside a portal; what it shows is compared."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.served import Served, until

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
ANSWER_S = 120.0
_BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
STAND_INS = {
    "systemctl": "the unit is a process of the test's; it starts and stops as the unit would",
    "timedatectl": "asks systemd, which need not run where tests do",
}
"""Programs that are not the machine's own here, and why."""
TIMEDATECTL = """\
               Local time: Mon 2026-11-23 12:00:00 UTC
System clock synchronized: yes
              NTP service: active
          RTC in local TZ: no
"""
SHOW = "RUNBOOKS_SHOW"
"""Set it, and outputs are written down instead of compared: for whoever writes a page (with pytest's -rP)."""
LEVERS = ("PYTHONPATH", "LEVERS")
"""What breaks a portal from inside is not inherited by the one that is started after it."""


class Command(NamedTuple):
    """A command as a page has it, and what the page shows that it says."""

    text: str
    shown: tuple[str, ...]


class Typed(NamedTuple):
    """One command, and how it ended."""

    command: str
    status: int
    out: str


def commands(page: Path) -> list[Command]:
    """The commands of a page's console blocks, in their order; a backslash at a line's end goes on."""
    found: list[Command] = []
    for _, block in _BLOCK.findall(page.read_text()):
        for line in filter(None, map(str.strip, block.splitlines())):
            if line.startswith("$ "):
                found.append(Command(line[2:], ()))
                continue
            text, shown = found[-1]
            if text.endswith("\\") and not shown:
                found[-1] = Command(f"{text}\n{line}", ())
            else:
                found[-1] = Command(text, (*shown, line))
    return found


def says(shown: tuple[str, ...], out: str) -> bool:
    """Whether an output is what a page shows. `…` stands for what differs; alone on a line, for lines."""
    pattern = ""
    for line in shown:
        if line == "…":
            pattern += r"(?:.*\n)*"
        else:
            words = [r"\S*(?: .*)?".join(map(re.escape, word.split("…"))) for word in line.split()]
            pattern += r"\s+".join(words) + r"\s*\n"
    lines = [" ".join(line.split()) for line in out.splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines if line)) is not None


class Shell:
    """A shell in which `holdfast` and `systemctl` mean the test's portal, and paths lead to its folder."""

    def __init__(self, folder: Path, portal: Served, warm: Path) -> None:
        """`folder` is the test's own. `warm`: see the fixture."""
        self.folder = folder
        self.portal = portal
        self.port = portal.url.rpartition(":")[2] or "0"
        bin_ = folder / "bin"
        bin_.mkdir()
        for name in ("copies", "new", "units", "etc"):
            (folder / name).mkdir(exist_ok=True)
        # A demonstration's key lies in its folder; who tests a portal in earnest writes what it has.
        (folder / "etc" / "secret").touch()
        here = Path(__file__).parent
        _script(bin_ / "holdfast", f'exec {sys.executable} -S -E {here / "warm.py"} call {warm} "$@"')
        _script(bin_ / "systemctl", f'exec {sys.executable} {here / "unit.py"} "$@"')
        _script(bin_ / "timedatectl", f"cat <<'END'\n{TIMEDATECTL}END")
        self.places = {
            "/srv/holdfast": str(portal.data),
            "/srv/copies": str(folder / "copies"),
            "/mnt/new": str(folder / "new"),
            "/etc/systemd/system": str(folder / "units"),
            "/etc/holdfast": str(folder / "etc"),
            "127.0.0.1:8000": f"127.0.0.1:{self.port}",
            "sport = :8000": f"sport = :{self.port}",
        }
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=folder, env=self._environ(bin_),
        )  # fmt: skip
        self._number = 0

    def _environ(self, bin_: Path) -> dict[str, str]:
        known = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DEV_", "FORCE_"))}
        own = {k: v for k, v in self.portal.environ.items() if k not in LEVERS}
        return known | own | {
            "PATH": f"{bin_}:{known['PATH']}",
            "UNIT_DATA": str(self.portal.data),
            "UNIT_PORT": self.port,
            "UNIT_LOG": str(self.folder / "unit.log"),
            "UNIT_FOLDER": str(self.folder / "units"),
            "COLUMNS": "200",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    @contextmanager
    def reading(self, page: str) -> Iterator[Reading]:
        """A page that is read to its end: who leaves one of its commands out fails."""
        reading = Reading(self, page)
        yield reading
        assert not reading.left, f"{page}: nobody typed {reading.left[0].text}"

    def type(self, page: str) -> list[Typed]:
        """Every command of a page, one after the other."""
        with self.reading(page) as reading:
            return reading.rest()

    def run(self, text: str) -> Typed:
        """One command; what it said names places as the pages do."""
        self._number += 1
        here = text
        for page, place in self.places.items():
            here = here.replace(page, place)
        if text.startswith("holdfast serve"):
            # It runs until it is stopped, and where it listens is nobody else's.
            here += f"{'' if '--port' in here else ' --port 0'} >{self.folder / 'unit.log'} 2>&1 &"
        mark = f"@@{self._number} "
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{{ {here}\n}} </dev/null\nprintf '\\n{mark}%d@@\\n' $?\n".encode())
        self._bash.stdin.flush()
        out, _, status = self._until(mark, text).rpartition(mark)
        for page, place in self.places.items():
            out = out.replace(place, page)
        return Typed(text, int(status.partition("@@")[0]), out.removesuffix("\n"))

    def _until(self, mark: str, text: str) -> str:
        assert self._bash.stdout is not None
        said, end_s = b"", time.monotonic() + ANSWER_S
        while not re.search(re.escape(mark).encode() + rb"\d+@@\n", said):
            ready, _, _ = select.select([self._bash.stdout], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, f"{text} did not come back:\n{said.decode()}"
            got = os.read(self._bash.stdout.fileno(), 65_536)
            assert got, f"{text} ended the shell:\n{said.decode()}"
            said += got
        return said.decode()

    def close(self) -> None:
        """End the shell, and the portal that its commands have started."""
        self._bash.kill()
        self._bash.wait()
        for pipe in (self._bash.stdin, self._bash.stdout):
            if pipe is not None:
                pipe.close()
        self.stop_unit()

    def stop_unit(self) -> bool:
        """Stop the portal that `systemctl start` started; whether there was one."""
        note = self.folder / "unit.log.pid"
        if not note.exists():
            return False
        pid = int(note.read_text())
        note.unlink()
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        until(lambda: not Path(f"/proc/{pid}").exists(), 30)
        return True


class Reading:
    """A page, as far as it was typed."""

    def __init__(self, shell: Shell, page: str) -> None:
        self.page = page
        self.left = commands(ROOT / page if (ROOT / page).exists() else RUNBOOKS / page)
        self._shell = shell
        self.until_over: Callable[[], object] = lambda: None
        """Returns when health does not name any more what the page mends."""
        assert self.left, f"{page} has no commands"

    def through(self, words: str) -> list[Typed]:
        """Type up to the next command that has these words in it."""
        numbers = [number for number, each in enumerate(self.left) if words in each.text]
        assert numbers, f"{self.page}: no command left has {words!r}"
        return [self._next() for _ in range(numbers[0] + 1)]

    def over(self) -> list[Typed]:
        """Wait until it is over, and type what shows that."""
        self.until_over()
        return self.rest()

    def rest(self) -> list[Typed]:
        """Type all that is left."""
        return [self._next() for _ in range(len(self.left))]

    def _next(self) -> Typed:
        command = self.left.pop(0)
        typed = self._shell.run(command.text)
        where = f"{self.page}: {command.text}"
        if os.environ.get(SHOW):
            sys.stdout.write(f"{where}\n{typed.out}\n({typed.status})\n")
            return typed
        assert "Traceback" not in typed.out, typed.out
        assert says(command.shown, typed.out), f"{where} said otherwise than the page:\n{typed.out}"
        # Who looks for what is broken may well find it: then the page shows what that looks like.
        assert typed.status == 0 or command.shown, f"{where} ended with {typed.status}"
        return typed


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
