"""Every command of these runbooks, typed as it stands beside a portal that is broken in just that way."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.copying import back_up
from holdfast.core.ids import uuid7
from holdfast.settings import Settings
from tests.runbooks.shell import Shell
from tests.served import NO_LIMITS, Served, completed, ledger_row, lesson_of, recorded, served, until

pytestmark = pytest.mark.timeout(300)

POISON = """
from holdfast.learning import progress
def broken(tx, batch):
    raise ZeroDivisionError
progress.apply_completed = broken
"""


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "portal", NO_LIMITS) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, portal: Served, warm: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, portal, warm)
    yield opened
    opened.close()


def worked(portal: Served, lessons: int = 3) -> None:
    """Ada finishes lessons and opens pages; all of it is applied."""
    with portal.client("ada") as ada, portal.client("olu") as olu:
        course, _ = lesson_of(ada)
        ids = [one["id"] for one in ada.get(f"/api/client/courses/{course}").json()["lessons"]]
        events = [completed(course, one, seq=number) for number, one in enumerate(ids[:lessons], 1)]
        sent = {"events": events, "deviceId": "tablet", "generation": 1}
        assert ada.post("/api/client/progress/batch", json=sent).status_code == 202
        clicks = {"events": [recorded() for _ in range(4)]}
        assert ada.post("/api/analytics/events/batch", json=clicks).status_code == 202
        until(lambda: ledger_row(olu)["pending"] == 0)


def in_store(portal: Served, statement: str) -> list[Any]:
    with sqlite3.connect(portal.data / "store.sqlite3") as store:
        found = store.execute(statement).fetchall()
    store.close()
    return found


def test_rows_that_somebody_deleted_are_back(portal: Served, shell: Shell) -> None:
    worked(portal)
    before = in_store(portal, "select * from progress"), in_store(portal, "select * from activity")
    portal.stop()
    in_store(portal, "delete from progress")
    in_store(portal, "update activity set count = 99")
    portal.start()
    said = "".join(each.out for each in shell.type("rows-missing.md"))
    assert "tidewater progress: 0 rows, 3 by the journal" in said
    assert "Nothing is changed yet" in said
    after = in_store(portal, "select * from progress"), in_store(portal, "select * from activity")
    assert after == before


def test_a_version_that_cannot_apply_is_taken_back_and_nothing_is_lost(tmp_path: Path, warm: Path) -> None:
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "sitecustomize.py").write_text(POISON)
    paths = [str(tmp_path / "poison"), str(Path(completed.__code__.co_filename).parents[1] / "src")]
    with served(tmp_path / "portal", NO_LIMITS) as portal:
        worked(portal, 1)
        portal.stop()
        portal.environ = {**NO_LIMITS, "PYTHONPATH": ":".join(paths)}
        portal.start()
        shell = Shell(tmp_path, portal, warm)
        try:
            with portal.client("ada") as ada, portal.client("olu") as olu:
                course, lesson = lesson_of(ada)
                few = [completed(course, lesson) for _ in range(3)]
                ada.post("/api/client/progress/batch", json={"events": few})
                until(lambda: ledger_row(olu)["dead"] == 3)
                many = [completed(course, lesson) for _ in range(15)]
                ada.post("/api/client/progress/batch", json={"events": many})
                until(lambda: "is stopped" in olu.get("/api/health").text)
            typed = shell.type("poison-release.md")
            assert "is stopped" in typed[1].out
            assert in_store(portal, "select status, count(*) from dead_letters group by 1") == [
                ("redriven", 3)
            ]
            marks = "select count(*) from marks where org_id = 'tidewater'"
            assert in_store(portal, marks) == [(1 + 1 + 4 + 3 + 15,)]
        finally:
            shell.close()


def test_a_lost_machine_is_replaced_from_its_last_copy(portal: Served, shell: Shell, tmp_path: Path) -> None:
    worked(portal)
    back_up(Settings(data_dir=portal.data), tmp_path / "copies" / "last-night")
    before = in_store(portal, "select * from progress")
    portal.kill()
    shutil.rmtree(portal.data)
    shell.type("lost-node.md")
    assert in_store(portal, "select * from progress") == before
    with portal.client() as anybody:
        said = anybody.post(
            "/api/auth/login", json={"email": "ada@tidewater.example", "password": "holdfast-demo"}
        )
    assert said.status_code == 200


def test_a_leaked_secret_opens_nothing_after_it_was_changed(portal: Served, shell: Shell) -> None:
    with portal.service() as service:
        service.post("/api/analytics/events/batch", json={"events": [recorded(userId="demo-ada")]})
        old = dict(service.headers)
    ada = portal.client("ada")
    typed = shell.type("leaked-token.md")
    assert "demo-olu" in typed[0].out, "who made the token that the test used"
    assert "is revoked" in typed[2].out
    assert "demo-ada" in typed[-1].out
    with portal.client() as anybody:
        assert anybody.get("/api/admin/offline/ledger", headers=old).status_code == 401
    assert ada.get("/api/client/courses").status_code == 401
    ada.close()


def test_a_wrong_bulk_assignment_is_undone(portal: Served, shell: Shell) -> None:
    with portal.client("ben") as ben:
        course = ben.get("/api/admin/courses").json()["items"][0]["id"]
        body = {"id": uuid7(), "userIds": ["demo-ada", "demo-ben"], "orgId": "tidewater"}
        assert ben.post(f"/api/admin/courses/{course}/assign", json=body).status_code in (200, 202)
        until(lambda: len(ben.get("/api/admin/assignments").json()["items"]) == 2)
        shell.type("wrong-assignment.md")
        assert ben.get("/api/admin/assignments").json()["items"] == []


def test_what_devices_lost_is_seen_with_its_cause(portal: Served, shell: Shell) -> None:
    worked(portal)
    with portal.client("ada") as ada:
        lost = {"deviceId": "tablet", "generation": 1, "missing": [[5, 7]], "cause": "the browser cleaned up"}
        answer = ada.post("/api/client/loss", json=lost)
        assert answer.status_code < 300, answer.text
        later = {"events": [recorded(seq=8)], "deviceId": "tablet", "generation": 1}
        ada.post("/api/analytics/events/batch", json=later)
    with portal.client("olu") as olu:
        until(lambda: ledger_row(olu)["pending"] == 0)
    typed = shell.type("device-storage.md")
    assert "the browser cleaned up" in typed[1].out
    assert "numbers 4-7 never came" in typed[2].out
    assert '"device":"tablet"' in typed[3].out


def test_the_rehearsal_goes_through(portal: Served, shell: Shell) -> None:
    worked(portal)
    typed = shell.type("go-live.md")
    assert "What was looked at" in typed[0].out
    assert sum("good" in each.out for each in typed) >= 2
