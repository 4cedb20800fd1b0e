"""A folder put back from a backup: the journal is older than the store, or gone, or the store is."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from random import Random

import pytest

from holdfast.cli.examine import examine
from holdfast.core.errors import Unavailable
from holdfast.events.kind import LANES
from holdfast.store.port import Store
from holdfast.wiring import opened, stored_cursors
from tests.faults.load import Sender
from tests.faults.school import Effects, School, effects, founded, proven, resent, settings_of


@pytest.fixture(scope="module")
async def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return await founded(tmp_path_factory.mktemp("school") / "data")


async def worked(data: Path, senders: list[Sender], batches: int) -> tuple[Effects, int]:
    """Everybody sends so many batches, all of it is applied; what came of it, and the journal's head."""
    async with opened(settings_of(data)) as portal:
        for sender in senders:
            for _ in range(batches):
                door, ids = sender._batch()
                said = await resent(portal, [(sender.learner, door, sender.batch(ids))])
                assert set(said) <= {"accepted", "duplicate"}
        await portal.applier.drain()
        assert all(portal.applier.cursor(lane) >= portal.journal.stats().head for lane in LANES)
        return await portal.store.read(None, effects), portal.journal.stats().head


def everything_once(found: Effects, senders: list[Sender]) -> None:
    made = {event_id: door for sender in senders for event_id, (door, _) in sender.made.items()}
    for event_id, door in made.items():
        assert found.marks[event_id] == 1
        assert (found.analytics if door == "analytics" else found.intervals)[event_id] == 1


async def test_a_journal_older_than_the_store_still_gets_new_events_applied(
    tmp_path: Path, school: School
) -> None:
    """Its positions go on beyond the cursors, or what comes now would count as applied already."""
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(each.user)) for each in school.learners]
    await worked(data, senders, 1)
    older = shutil.copytree(data / "logs", tmp_path / "older")
    _, head = await worked(data, senders, 4)
    shutil.rmtree(data / "logs")
    shutil.copytree(older, data / "logs")
    found, later = await worked(data, senders, 2)
    assert later > head
    everything_once(found, senders)
    report = await proven(data)
    assert report.findings == []
    assert not report.good, "the ledger says that events are missing from the journal"


async def test_an_older_journal_put_back_while_the_store_is_out_gives_no_position_twice(
    tmp_path: Path, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes in before the store tells its cursors must not stand below them, or is never applied."""
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(each.user)) for each in school.learners]
    await worked(data, senders, 1)
    older = shutil.copytree(data / "logs", tmp_path / "older")
    _, head = await worked(data, senders, 4)
    shutil.rmtree(data / "logs")
    shutil.copytree(older, data / "logs")
    looks = {each.what: each for each in examine(settings_of(data), 0)}
    assert (looks["store"].verdict, "older copy" in looks["store"].mend) == ("mend", True)

    async def out(store: Store) -> dict[str, int] | None:
        with monkeypatch.context() as broken:
            broken.setattr(store, "read", partial(_refuse, store))
            return await stored_cursors(store)

    monkeypatch.setattr("holdfast.wiring.stored_cursors", out)
    async with opened(settings_of(data)) as portal:
        assert not portal.waiting.known
        for sender in senders:
            for _ in range(2):
                door, ids = sender._batch()
                said = await resent(portal, [(sender.learner, door, sender.batch(ids))])
                assert set(said) <= {"accepted", "duplicate"}
        await portal.applier.drain()
        assert portal.journal.stats().head > head
        everything_once(await portal.store.read(None, effects), senders)
        assert portal.applier.ahead_of_journal
        await portal.monitor.look()
        assert "journal_at_risk" in {each.name for each in portal.monitor.verdict().degradations}
    monkeypatch.undo()
    found, _ = await worked(data, senders, 1)
    everything_once(found, senders)


async def _refuse(*_: object) -> None:
    raise Unavailable("the store is out for a walk")


async def test_a_start_without_the_store_costs_nothing_but_positions(
    tmp_path: Path, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(each.user)) for each in school.learners]
    await worked(data, senders, 1)

    async def out(_: Store) -> None:
        return None

    with monkeypatch.context() as broken:
        broken.setattr("holdfast.wiring.stored_cursors", out)
        await worked(data, senders, 1)
    found, _ = await worked(data, senders, 1)
    everything_once(found, senders)
    report = await proven(data)
    assert (report.findings, report.good) == ([], True)


async def test_a_journal_that_is_gone_still_gets_new_events_applied(tmp_path: Path, school: School) -> None:
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(each.user)) for each in school.learners]
    _, head = await worked(data, senders, 3)
    shutil.rmtree(data / "logs")
    found, later = await worked(data, senders, 2)
    assert later > head
    everything_once(found, senders)


async def test_a_store_older_than_the_journal_catches_up_from_it(tmp_path: Path, school: School) -> None:
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(each.user)) for each in school.learners]
    await worked(data, senders, 1)
    older = (data / "store.sqlite3").read_bytes()
    before, _ = await worked(data, senders, 4)
    for path in data.glob("store.sqlite3*"):
        path.unlink()
    (data / "store.sqlite3").write_bytes(older)
    found, _ = await worked(data, senders, 0)
    assert found == before
    everything_once(found, senders)
    assert (await proven(data)).good
