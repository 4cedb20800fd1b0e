"""A portal to break, and a shell beside it; and what health says of it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.cli.copying import back_up
from holdfast.settings import Settings
from tests.runbooks.shell import ROOT, Reading, Shell
from tests.served import NO_LIMITS, WELL_S, Served, completed, ledger_row, lesson_of, served, until

PROGRESS = "/api/client/progress/batch"
QUICK = {**NO_LIMITS, "HOLDFAST_PROBE_PERIOD_S": "0.2", "HOLDFAST_HEALTH_DWELL_S": "0.2"}


class Site:
    """One portal for many tests. Each leaves it well, or it is started anew for the next."""

    def __init__(self, folder: Path, portal: Served, warm: Path) -> None:
        self.folder = folder
        self.portal = portal
        self.levers = folder / "levers"
        self.passed_s = 0.0
        self.shell = Shell(folder, portal, warm)
        portal.port = int(self.shell.port)
        self.olu, self.ada = portal.client("olu"), portal.client("ada")
        self.course, self.lesson = lesson_of(self.ada)

    def pull(self, name: str, text: str = "") -> None:
        """Break something; see `levers`."""
        new = self.folder / "lever"
        new.write_text(text)
        new.rename(self.levers / name)

    def let_go(self, name: str) -> None:
        """And mend it."""
        (self.levers / name).unlink()

    def later(self, seconds: float) -> None:
        """So much time goes by. It never goes back: see `own`."""
        self.passed_s += seconds
        self.pull("time", str(self.passed_s))

    def work(self, number: int = 3) -> None:
        """Ada's events are taken in."""
        events = {"events": [completed(self.course, self.lesson) for _ in range(number)]}
        answer = self.ada.post(PROGRESS, json=events)
        assert answer.status_code == 202, answer.text

    def send(self, event: dict[str, Any]) -> int:
        """What a batch of one is answered."""
        path = "/api/analytics/events/batch" if event["kind"].startswith("analytics.") else PROGRESS
        return self.ada.post(path, json={"events": [event]}).status_code

    def applied(self) -> None:
        """Nothing waits any more."""
        until(lambda: ledger_row(self.olu)["pending"] == 0)

    def copied(self) -> None:
        """A copy was made last night."""
        if not (self.folder / "copies" / "last-night").exists():
            back_up(Settings(data_dir=self.portal.data), self.folder / "copies" / "last-night")

    def named(self) -> dict[str, Any]:
        """Degradations by their names, as health has them now."""
        return {each["name"]: each for each in self.olu.get("/api/health").json()["degradations"]}

    def until_well(self) -> None:
        """Every part is well: not only not known to be ill, as after a leap of time."""

        def well() -> bool:
            parts = self.olu.get("/api/health").json()["components"]
            return all(each["status"] == "ok" for each in parts.values())

        until(well, WELL_S)

    @contextmanager
    def reading(self, page: str, *degradations: str) -> Iterator[Reading]:
        """The page that health names for its losses, typed while they last; at its end they are over."""
        named = until(lambda: set(degradations) <= set(found := self.named()) and found, 30)
        for name in degradations:
            runbook = named[name]["runbook"]
            its = (ROOT / runbook).read_text()
            assert f"`{name}`" in its
            assert runbook == f"docs/runbooks/{page}" or f"({page})" in its, "it leads there"
        with self.shell.reading(page) as reading:
            reading.until_over = self.until_well
            yield reading
            reading.until_over()

    def own(self) -> None:
        """The portal that can be broken, and not one that a page has started."""
        for lever in self.levers.iterdir():
            if lever.name not in ("clock", "time"):
                lever.unlink()
        for unit in (self.folder / "units").rglob("*.conf"):
            unit.unlink()
        self.shell.stop_unit()
        if self.portal.process is not None and self.portal.process.poll() is not None:
            self.portal._closed()
        if self.portal.process is None:
            self.portal.start()
        self.until_well()

    def close(self) -> None:
        """Hang up, and stop what the shell has started."""
        self.olu.close()
        self.ada.close()
        self.shell.close()


@contextmanager
def opened(folder: Path, warm: Path, environ: Mapping[str, str]) -> Iterator[Site]:
    """A site under a folder."""
    paths = [Path(__file__).with_name("levers"), ROOT / "src"]
    (folder / "levers").mkdir()
    breakable = {"PYTHONPATH": ":".join(map(str, paths)), "LEVERS": str(folder / "levers")}
    with served(folder / "portal", QUICK | breakable | dict(environ)) as portal:
        site = Site(folder, portal, warm)
        try:
            yield site
        finally:
            site.close()
