"""Copies of a data directory: whole beside a running portal, checked before they are put back."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast.cli import copying
from holdfast.cli.copying import LIST, back_up, put_back
from holdfast.core.errors import Conflict, Corrupt, Rejected
from holdfast.journal.reader import Place
from holdfast.journal.recovery import look
from holdfast.settings import Settings
from tests.records import event, put, seal
from tests.served import NO_LIMITS as NO_RATE
from tests.served import Served, ledger_row, recorded, served, until
from tests.unit.cli.test_verify import NO_LIMITS, a_full_day, proved, send
from tests.unit.web.portals import house
from tests.unit.web.portals import recorded as clicked


async def test_a_copy_of_a_portal_at_rest_is_proven_and_put_back(tmp_path: Path) -> None:
    async with house(tmp_path / "data", **NO_LIMITS) as portal:
        await a_full_day(portal)
        seal(portal.portal.journal)
        await send(portal, "ada", clicked())
        await portal.settle()
        made = back_up(Settings(data_dir=tmp_path / "data"), tmp_path / "copy")
    names = {each.name for each in made.files}
    assert {"store.sqlite3", "secret.key", "logs/offline-sync.jsonl"} < names
    assert len(names) == 4
    back = put_back(tmp_path / "copy", tmp_path / "back")
    assert back == made
    assert (await proved(tmp_path / "back")).good
    async with house(tmp_path / "back", **NO_LIMITS) as portal:
        rows = (await portal.person("ada").get("/api/client/progress")).json()["items"]
        assert len(rows) >= 5


def test_a_copy_made_while_a_crowd_sends_loses_nothing_that_was_answered_before(tmp_path: Path) -> None:
    stop = threading.Event()
    answered = [0]
    with served(tmp_path / "portal", NO_RATE) as portal:

        def crowd() -> None:
            with portal.service() as service:
                while not stop.is_set():
                    events = [recorded(userId="demo-ada") for _ in range(50)]
                    answer = service.post("/api/analytics/events/batch", json={"events": events})
                    answered[0] += 50 * (answer.status_code == 202)

        at_work = threading.Thread(target=crowd)
        at_work.start()
        try:
            until(lambda: answered[0] > 200)
            before = answered[0]
            back_up(Settings(data_dir=portal.data), tmp_path / "copy")
        finally:
            stop.set()
            at_work.join()
    put_back(tmp_path / "copy", tmp_path / "other" / "data")
    other = Served(tmp_path / "other", NO_RATE)
    other.start()
    try:
        with other.client("olu") as olu:
            until(lambda: ledger_row(olu)["pending"] == 0)
            assert ledger_row(olu)["applied"] >= before
    finally:
        other.stop()


@pytest.mark.parametrize("later", [0, 60])
async def test_a_segment_that_is_sealed_while_others_are_copied_is_copied_and_not_the_one_that_took_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    loop = asyncio.get_running_loop()
    async with house(tmp_path / "data", **NO_LIMITS) as portal:
        await a_full_day(portal)
        journal, head = portal.portal.journal, portal.portal.journal.stats().head

        def looked_and_sealed(logs: Path) -> list[Place]:
            places = look(logs)
            seal(journal)
            for number in range(later):
                writing = put(journal, [event(number, lane="analytics", kind="analytics.recorded")])
                asyncio.run_coroutine_threadsafe(writing, loop).result(30.0)
            return places

        monkeypatch.setattr(copying, "look", looked_and_sealed)
        made = await asyncio.to_thread(back_up, Settings(data_dir=tmp_path / "data"), tmp_path / "copy")
    (sealed,) = (tmp_path / "data" / "logs").glob("offline-sync-0*.jsonl")
    assert (tmp_path / "copy" / "logs" / "offline-sync.jsonl").read_bytes() == sealed.read_bytes()
    assert made.head == head
    put_back(tmp_path / "copy", tmp_path / "back")
    assert (await proved(tmp_path / "back")).good


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    with served(tmp_path / "portal") as portal:
        back_up(Settings(data_dir=portal.data), tmp_path / "copy")
    return tmp_path / "copy"


def test_a_copy_is_private_to_its_owner(copy: Path) -> None:
    assert copy.stat().st_mode & 0o077 == 0
    assert (copy / "secret.key").stat().st_mode & 0o077 == 0


def test_a_copy_that_was_damaged_is_not_put_back(copy: Path, tmp_path: Path) -> None:
    text = bytearray((copy / "store.sqlite3").read_bytes())
    text[5000] ^= 1
    (copy / "store.sqlite3").write_bytes(text)
    with pytest.raises(Corrupt, match=r"store\.sqlite3 is not what was copied"):
        put_back(copy, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_copy_that_broke_off_is_no_copy(copy: Path, tmp_path: Path) -> None:
    (copy / LIST).unlink()
    with pytest.raises(Rejected, match="no copy"):
        put_back(copy, tmp_path / "back")


def test_nothing_is_written_over(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="not empty"):
        put_back(copy, tmp_path / "portal" / "data")
    with pytest.raises(Conflict, match="not empty"):
        back_up(Settings(data_dir=tmp_path / "portal" / "data"), copy)


def test_a_folder_without_a_portal_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no portal's data"):
        back_up(Settings(data_dir=tmp_path / "empty"), tmp_path / "copy")
