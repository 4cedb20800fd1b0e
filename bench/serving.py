"""Servers under measure: started on a core of their own, spoken to, weighed and stopped."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import httpx2
import msgspec

from bench.folder import ROOT
from holdfast.learning import demo

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
_URL = re.compile(r"http://127\.0\.0\.1:\d+")
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class SignedIn(NamedTuple):
    """A person's session, as headers."""

    user_id: str
    org: str
    cookie: str
    csrf: str


class Held(NamedTuple):
    """What a process holds of the memory, in MB (a million bytes)."""

    rss: float
    pss: float
    """Pages it shares with other processes count in part."""
    anonymous: float
    """Its own data, without the files it has mapped."""


class Served:
    """A server process and its address."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        """Use `portal` or `peer` to get one."""
        self.process = process
        self.url = url
        self._client = httpx2.Client(base_url=url, timeout=30.0)

    @classmethod
    def portal(cls, data: Path, settings: Mapping[str, str] | None = None, *, pinned: bool = False) -> Self:
        """`holdfast serve` on a folder, once it answers."""
        words = ["holdfast", "serve", "--data", str(data), "--port", "0"]
        return cls._started(words, settings or {}, "/readyz", pinned=pinned)

    @classmethod
    def hollow(cls, data: Path, settings: Mapping[str, str], *, pinned: bool = False) -> Self:
        """The portal's own door with nothing behind it, once it answers; see `hollow`."""
        return cls._started(["bench.hollow", "--data", str(data)], settings, "/readyz", pinned=pinned)

    @classmethod
    def bare(cls, *, pinned: bool = False) -> Self:
        """Bare endpoints on the same server, once they answer; see `peer`."""
        return cls._started(["bench.peer"], {}, "/livez", pinned=pinned)

    @classmethod
    def _started(cls, words: list[str], settings: Mapping[str, str], path: str, *, pinned: bool) -> Self:
        command = [sys.executable, "-m", *words]
        if pinned and can_pin():
            command = ["taskset", "-c", str(SERVER_CORE), *command]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **settings},
            cwd=ROOT,
        )
        served = cls(process, _address(process))
        served.wait(path)
        return served

    def wait(self, path: str) -> None:
        """Return once it answers at an address. Raises RuntimeError when that takes too long."""
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if self._client.get(path).status_code == httpx2.codes.OK:
                    return
            if time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"the server did not answer {path} within {START_TIMEOUT_S:g} s")
            time.sleep(0.005)

    def health(self) -> dict[str, Any]:
        """What anybody may know of it."""
        answer: dict[str, Any] = self._client.get("/api/health").json()
        return answer

    def sign_in(self, email: str) -> SignedIn:
        """A demo account's session."""
        answer = self._client.post("/api/auth/login", json={"email": email, "password": demo.PASSWORD})
        answer.raise_for_status()
        said = answer.json()
        cookie = answer.headers["set-cookie"].partition(";")[0]
        self._client.cookies.clear()
        return SignedIn(said["principal"]["userId"], said["principal"]["orgId"], cookie, said["csrfToken"])

    def get(self, path: str, who: SignedIn) -> Any:  # noqa: ANN401 - JSON
        """What a signed-in person reads at an address."""
        answer = self._client.get(path, headers={"Cookie": who.cookie})
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, who: SignedIn, body: Any) -> Any:  # noqa: ANN401 - JSON
        """What a signed-in person's request is answered with."""
        headers = {"Cookie": who.cookie, "X-CSRF-Token": who.csrf, "Content-Type": "application/json"}
        answer = self._client.post(path, content=msgspec.json.encode(body), headers=headers)
        answer.raise_for_status()
        return answer.json()

    def ledger(self, operator: SignedIn) -> dict[str, int]:
        """The ledger's columns, summed over all orgs."""
        rows = self.get("/api/admin/offline/ledger", operator)["items"]
        return {
            column: sum(row[column] for row in rows)
            for column in ("accepted", "applied", "duplicate", "dead", "pending")
        }

    def receipts(self) -> dict[str, int]:
        """Receipts given since start, by status."""
        text = self._client.get("/api/diagnostics/metrics").text
        found = re.findall(r'holdfast_receipts(?:_total)?\{status="(\w+)"\} ([0-9.e+]+)', text)
        return {status: int(float(number)) for status, number in found}

    def cpu_s(self) -> float:
        """Processor seconds since its start, the kernel's part for it included."""
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS_PER_S

    def held(self) -> Held:
        """What it holds of the memory now."""
        sizes: dict[str, float] = {}
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, size = line.partition(":")
            sizes[name] = int(size.split()[0]) * 1024 / 1e6
        return Held(sizes["Rss"], sizes["Pss"], sizes["Anonymous"])

    def stop(self) -> None:
        """End it as an operator would; by force when that takes too long."""
        self._client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, where: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def can_pin() -> bool:
    """Whether server and load can each have a core."""
    return len(os.sched_getaffinity(0)) > 1


@contextmanager
def seeded(data: Path) -> Iterator[Path]:
    """The folder, with the demonstration in it."""
    command = [sys.executable, "-m", "holdfast", "seed", "demo", "--data", str(data)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    yield data


def _address(process: subprocess.Popen[str]) -> str:
    """The address a server prints first; the rest of what it says is read and let go."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(ValueError):  # it is closed under us when the server is stopped
            for line in process.stdout:
                lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    said = ""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            continue
        said += line
        if (found := _URL.search(line)) is not None:
            return found.group()
        if line == "":
            break
    process.kill()
    raise RuntimeError(f"the server did not start:\n{said}")
