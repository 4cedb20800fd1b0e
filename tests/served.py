"""A portal as people run it: a process of its own, served over a real socket, on a folder of the test's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from holdfast.core.ids import uuid7
from holdfast.learning.demo import PASSWORD

START_S = 30.0
STOP_S = 90.0
WELL_S = 120.0
"""How long all may take to be well: two slow syncs of a busy machine are told for a minute."""
NO_LIMITS = {"HOLDFAST_BATCHES_PER_S": "100000", "HOLDFAST_BATCHES_BURST": "100000"}
"""For tests that send more in a second than a learner does in an hour."""
SMALL_DISK = {
    "HOLDFAST_DISK_SOFT_BYTES": "3",
    "HOLDFAST_DISK_HIGH_BYTES": "2",
    "HOLDFAST_DISK_HARD_BYTES": "1",
}
"""For disks that are always below the usual marks."""

PEOPLE = {
    "ada": "ada@tidewater.example",
    "ben": "ben@tidewater.example",
    "olu": "olu@holdfast.example",
    "cleo": "cleo@highland.example",
    "dan": "dan@highland.example",
}


@dataclass
class Served:
    """A running portal and how to reach it."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    """0 takes any; a test whose page must find the portal again names one."""
    under: tuple[str, ...] = ()
    """A program to start it under, such as one that takes rights away."""
    process: subprocess.Popen[str] | None = None
    url: str = ""
    _proofs: dict[str, dict[str, str]] = field(default_factory=dict)

    def start(self) -> None:
        """Start it; returns once it answers."""
        known = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DEV_", "FORCE_"))}
        with (self.folder / "portal.log").open("a") as said:
            command = [sys.executable, "-m", "holdfast", "serve", "--json", "--port", str(self.port)]
            self.process = subprocess.Popen(
                [*self.under, *command, "--data", str(self.data)],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env={**known, **self.environ},
            )
        assert self.process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            assert line, f"the portal did not start:\n{self.log()}"
            text += line
        self.url = json.loads(text)["url"]

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_S)
        self._closed()
        return status

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)
        self._closed()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP for the block, then SIGCONT: what is asked meanwhile is answered late."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _closed(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def log(self) -> str:
        """What it wrote to its log."""
        return (self.folder / "portal.log").read_text()

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def client(self, who: str | None = None) -> httpx2.Client:
        """A client; signed in as one of the demo's people, with the CSRF token in its headers."""
        if who is None:
            return httpx2.Client(base_url=self.url, timeout=20.0)
        if who not in self._proofs:
            with self.client() as anybody:
                said = anybody.post("/api/auth/login", json={"email": PEOPLE[who], "password": PASSWORD})
                assert said.status_code == 200, said.text
                cookie = said.headers["set-cookie"].partition(";")[0]
                self._proofs[who] = {"Cookie": cookie, "X-CSRF-Token": said.json()["csrfToken"]}
        return httpx2.Client(base_url=self.url, timeout=20.0, headers=self._proofs[who])

    def service(self, org: str = "tidewater") -> httpx2.Client:
        """A client with a service token of an org."""
        with self.client("olu") as operator:
            made = operator.post("/api/admin/tokens", json={"role": "service", "orgId": org})
            assert made.status_code == 201, made.text
        bearer = {"Authorization": f"Bearer {made.json()['token']}"}
        return httpx2.Client(base_url=self.url, timeout=20.0, headers=bearer)


@contextmanager
def served(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A demo portal under a folder; it is stopped when the block ends, however that is."""
    folder.mkdir(parents=True, exist_ok=True)
    portal = Served(folder, environ or {})
    portal.start()
    try:
        yield portal
    finally:
        if portal.process is not None:
            portal.process.terminate()
            try:
                portal.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                portal.process.kill()
                portal.process.wait()
            portal._closed()


def until(look: Callable[[], Any], timeout_s: float = 60.0) -> Any:  # noqa: ANN401
    """What `look` gives as soon as it gives something true; a failure when it never does."""
    end = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing came of it within {timeout_s} s; last seen: {found!r}"
        time.sleep(0.05)


def lesson_of(client: httpx2.Client) -> tuple[str, str]:
    """Course and first lesson that a learner may open."""
    course = client.get("/api/client/courses").json()["items"][0]["id"]
    lessons = client.get(f"/api/client/courses/{course}").json()["lessons"]
    return course, lessons[0]["id"]


def completed(course: str, lesson: str, org: str = "tidewater", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A `lesson.completed` with a new id."""
    body = {"courseId": course, "lessonId": lesson}
    return {"id": uuid7(), "kind": "lesson.completed", "version": 1, "orgId": org, "body": body, **more}


def recorded(org: str = "tidewater", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """An `analytics.recorded` with a new id."""
    body = {"name": "page.opened", "data": {}}
    return {"id": uuid7(), "kind": "analytics.recorded", "version": 1, "orgId": org, "body": body, **more}


def ledger_row(operator: httpx2.Client, org: str = "tidewater") -> dict[str, Any]:
    """An org's line of the ledger; fails when the ledger does not balance."""
    said = operator.get("/api/admin/offline/ledger").json()
    assert said["balanced"], said
    row: dict[str, Any] = next(row for row in said["items"] if row["orgId"] == org)
    return row
