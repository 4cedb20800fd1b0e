"""A person's data erased: gone from every file, with everything else as it was and the chain still proven."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx2 import Response

from holdfast.core.errors import Unavailable
from holdfast.core.tasks import end
from holdfast.events import erasing, replaying
from holdfast.events.erasing import ErasureReceipt
from holdfast.journal import erasing as in_files
from holdfast.journal.record import Event
from holdfast.learning.people import create_user
from holdfast.store import schema
from holdfast.store.port import Tx
from tests.records import event, seal
from tests.unit.cli.test_verify import LETTERS, NO_LIMITS, a_full_day, assign, proved, send
from tests.unit.events.spine import at_work
from tests.unit.web.portals import House, completed, house, problem, recorded
from tests.unit.web.test_replay import PATH as REPLAY
from tests.unit.web.test_replay import everything, lost, rows, wanted

PATH = "/api/admin/offline/erasures"
EXPORT = "/api/admin/offline/export?orgId=tidewater&userId=demo-ada"
BODY = {"id": "e1", "orgId": "tidewater", "userId": "demo-ada", "reason": "she asked for it"}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, **NO_LIMITS) as opened:
        await a_full_day(opened)
        yield opened


async def asked(portal: House, **more: Any) -> Response:  # noqa: ANN401
    """Ask for an erasure while the applier works, as it does in a portal that runs."""
    async with at_work(portal.portal.applier):
        return await portal.service().post(PATH, BODY | more)


async def erased(portal: House, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    answer = await asked(portal, **more)
    assert answer.status_code == 200, answer.text
    await portal.settle()
    said: dict[str, Any] = answer.json()
    return said


def files_that_name(folder: Path, text: bytes) -> list[str]:
    """Files in which a text still stands."""
    return [each.name for each in folder.rglob("*") if each.is_file() and text in each.read_bytes()]


async def test_nothing_of_the_person_is_left_and_the_proof_is_good(tmp_path: Path) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        assert b"demo-ada" in (tmp_path / "logs" / "offline-sync.jsonl").read_bytes()
        receipt = await erased(portal)
        assert receipt["journalLines"] > 10
        assert {"progress", "activity", "analytics_events", "users", "memberships"} <= set(receipt["rows"])
    for text in (b"demo-ada", b"ada@tidewater.example", b"Ada Learner"):
        assert files_that_name(tmp_path, text) == [], text
    report = await proved(tmp_path)
    assert report.store is not None
    assert [each for each in report.store.tables if not each.same] == []
    assert (report.findings, report.store.traces.wrong, report.store.faults) == ([], [], [])
    assert report.good, (report.ledger, report.store.traces, report.store.stray_marks, report.store.partial)
    async with house(tmp_path, **NO_LIMITS) as again:
        assert (await again.person("olu").get("/api/admin/offline/ledger")).json()["balanced"]
        assert again.portal.journal.stats().scars == 0


async def test_nothing_of_the_person_is_left_in_the_files_of_a_portal_that_runs(
    portal: House, tmp_path: Path
) -> None:
    def theirs() -> set[str]:
        texts = (b"demo-ada", b"ada@tidewater.example", b"Ada Learner")
        return {name for text in texts for name in files_that_name(tmp_path, text)}

    await send(portal, "ada", *(recorded(body={"name": "a", "data": {"t": "x" * 1000}}) for _ in range(90)))
    await portal.settle()
    assert {"store.sqlite3-wal", "offline-sync.jsonl"} <= theirs()
    answer = await asked(portal)
    assert answer.status_code == 200, answer.text
    assert theirs() == set()


async def test_where_nothing_else_comes_who_writes_by_the_lease_can_do_so_again(portal: House) -> None:
    """Such as a replay; the applier stands still and would notice at its next batch only."""
    applier = portal.portal.applier
    async with at_work(applier):
        before = await lease(portal)
        assert (await portal.service().post(PATH, BODY)).status_code == 200
        for _ in range(500):
            if applier.epoch == await lease(portal):
                break
            await asyncio.sleep(0.02)
        assert applier.epoch == await lease(portal) > before


async def lease(portal: House) -> int:
    """By which epoch one may write as the applier, as the store has it."""
    mine = schema.leases.select().where(schema.leases.c.name == "applier")
    (row,) = await portal.portal.store.read(None, lambda tx: tx.rows(mine))
    return int(row.epoch)


async def test_while_somebody_reads_the_store_as_it_was_the_receipt_waits(
    portal: House, tmp_path: Path
) -> None:
    portal.portal.store._wait_for_locks(50)  # type: ignore[attr-defined]
    other = sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)
    other.execute("begin")
    other.execute("select count(*) from users").fetchall()
    assert problem(await asked(portal)) == (503, "store_unavailable")
    other.close()
    receipt = (await asked(portal)).json()
    assert (await portal.service().get(PATH)).json()["items"] == [receipt]
    assert files_that_name(tmp_path, b"demo-ada") == []


async def test_a_request_that_was_on_its_way_meanwhile_brings_nothing_of_the_person_back(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        ada = portal.person("ada")
        body = msgspec.json.encode({"deviceId": "phone", "events": [completed(seq=1), completed(seq=2)]})

        async def in_two_parts() -> AsyncIterator[bytes]:
            yield body[:10]
            await erased(portal)
            yield body[10:]

        headers = {**ada.headers, "content-type": "application/json"}
        answer = await portal.client.post(
            "/api/client/progress/batch", content=in_two_parts(), headers=headers
        )
        assert problem(answer)[0] in (401, 403)
        await portal.settle()
    assert files_that_name(tmp_path, b"demo-ada") == []


async def test_what_was_on_its_way_to_the_disk_is_erased_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        journal: Any = portal.portal.journal
        await send(portal, "ada", recorded())
        await portal.settle()
        seal(journal)
        with monkeypatch.context() as patched:
            written = threading.Event()
            commit, append, erase = journal._commit, journal.append, journal.erase

            def held(group: Any) -> None:  # noqa: ANN401
                assert written.wait(30.0)
                commit(group)

            def and_written(act: Any) -> Any:  # noqa: ANN401
                def acted(*args: Any, **named: Any) -> Any:  # noqa: ANN401
                    done = act(*args, **named)
                    written.set()
                    return done

                return acted

            patched.setattr(journal, "_commit", held)
            late = append([event(1, lane="analytics", kind="analytics.recorded", user="demo-ada")])
            patched.setattr(journal, "append", and_written(append))
            patched.setattr(journal, "erase", and_written(erase))
            await erased(portal)
            await late
    assert files_that_name(tmp_path, b"demo-ada") == []


async def brought(portal: House, user: str) -> str:
    """What becomes of an event that a service sends for somebody."""
    answer = await portal.service().post("/api/client/progress/batch", {"events": [completed(userId=user)]})
    (receipt,) = answer.json()["receipts"]
    return str(receipt.get("code", receipt["status"]))


async def test_a_service_brings_nothing_of_the_person_back_while_they_are_erased_nor_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        seal_it, became = portal.portal.eraser._seal, []

        async def sealed_and_brought(engine: Any) -> None:  # noqa: ANN401
            await seal_it(engine)
            became.append(await brought(portal, "demo-ada"))

        monkeypatch.setattr(portal.portal.eraser, "_seal", sealed_and_brought)
        await erased(portal)
        assert [*became, await brought(portal, "demo-ada")] == ["not_a_member", "not_a_member"]
        assert await brought(portal, "demo-ben") == "accepted"
        await portal.settle()
        assert files_that_name(tmp_path, b"demo-ada") == []


async def test_the_receipt_does_not_vouch_for_what_others_say_of_the_person_meanwhile(
    portal: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_it, places = portal.portal.eraser._seal, []

    async def sealed_and_named(engine: Any) -> None:  # noqa: ANN401
        await seal_it(engine)
        places.append(await portal.portal.journal.append([assigning(1, "later", "demo-ada", "demo-ben")]))

    with monkeypatch.context() as patched:
        patched.setattr(portal.portal.eraser, "_seal", sealed_and_named)
        receipt = await erased(portal)
    assert int(receipt["journalThrough"]) < places[0]
    await erased(portal, id="e2")
    assert files_that_name(tmp_path, b"demo-ada") == []


async def test_that_somebody_was_erased_is_known_after_a_restart_until_they_are_a_member_again(
    tmp_path: Path,
) -> None:
    new = {"email": "eve@tidewater.example", "name": "Eve", "roles": ["learner"], "password": "one two three"}
    async with house(tmp_path, **NO_LIMITS) as portal:
        eve = (await portal.person("ben").post("/api/admin/users", new)).json()["id"]
        assert await brought(portal, eve) == "accepted"
        await portal.settle()
        await erased(portal, userId=eve)
    async with house(tmp_path, **NO_LIMITS) as portal:
        await portal.portal.eraser.resume()
        assert await brought(portal, eve) == "not_a_member"

        def take_back(tx: Tx) -> None:
            create_user(tx, "tidewater", email="eve@x.example", name="Eve", roles=["learner"], user_id=eve)

        await portal.portal.store.run(None, take_back)
        await portal.portal.eraser.resume()
        assert await brought(portal, eve) == "accepted"


async def test_what_came_of_the_person_after_all_is_given_out_and_can_be_erased_as_well(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        first = await erased(portal)
        body = {"courseId": "later", "lessonId": "01-one"}
        late = event(7, kind="lesson.completed", user="demo-ada", body=body)
        await portal.portal.journal.append([late])
        await portal.settle()
        said = (await portal.service().get(EXPORT)).json()
        assert [each["id"] for each in said["events"]] == [late.id]
        assert [each["code"] for each in said["rows"]["dead_letters"]] == ["not_a_member"]
        again = await erased(portal, id="e2")
        assert (again["subject"], again["journalLines"]) == (first["subject"], 1)
        assert again["rows"]["dead_letters"] == 1
        assert files_that_name(tmp_path, b"demo-ada") == []
        # Nobody knows of them but by the first receipt: what came may stand in the journal alone.
        assert (await erased(portal, id="e3"))["journalLines"] == 0
        assert problem(await portal.service().get(EXPORT)) == (404, "not_found")


async def test_what_an_admin_lost_while_their_request_was_on_its_way_is_lost(portal: House) -> None:
    ben = portal.person("ben")
    course = msgspec.json.encode({"title": "Late", "lessons": [{"title": "One", "markdown": "One."}]})

    async def in_two_parts() -> AsyncIterator[bytes]:
        yield course[:10]
        await erased(portal, userId="demo-ben")
        yield course[10:]

    headers = {**ben.headers, "content-type": "application/json"}
    answer = await portal.client.post("/api/admin/courses", content=in_two_parts(), headers=headers)
    assert problem(answer)[0] in (401, 403)


async def test_everything_of_everybody_else_is_as_it_was(portal: House) -> None:
    before = await everything(portal)
    await erased(portal)
    after = await everything(portal)
    of_them_too = {"memberships", "users", "ledger", "marks", "dead_letters", "erasures", "replay_jobs"}
    for name, held in before.items():
        # Their sessions end, in a row that names nobody.
        if name in {*of_them_too, "endings"}:
            continue
        others = [row for row in held if "demo-ada" not in row]
        assert after[name] == others, name
    marks = {row[1] for row in before["marks"]}
    assert marks <= {row[1] for row in after["marks"]}, "what had its effect once never has it again"


async def test_a_bulk_assignment_stays_for_the_others(portal: House) -> None:
    await assign(portal, "demo-ada", "demo-ben")
    await erased(portal)
    await replay_everything(portal)
    held = {(row[1], row[2]) for row in await rows(portal, schema.assignments) if row[0] == "tidewater"}
    assert ("later", "demo-ben") in held
    assert not [one for one in held if one[1] == "demo-ada"]


def assigning(number: int, course: str, *users: str) -> Event:
    """Ben gives a course to somebody."""
    body = {"courseId": course, "userIds": list(users)}
    return event(number, lane="admin", kind="course.assigned", user="demo-ben", body=body)


async def test_letters_that_others_sent_about_the_person_stay_for_the_others_and_prove_it(
    tmp_path: Path,
) -> None:
    both, alone = assigning(1, "nowhere", "demo-ada", "demo-ben"), assigning(2, "nowhere", "demo-ada")
    mended, mended_alone = assigning(3, "laeter", "demo-ada", "demo-ben"), assigning(4, "laeter", "demo-ada")
    anothers = assigning(5, "laeter", "demo-ben")
    made = [both, alone, mended, mended_alone, anothers]
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        await portal.portal.journal.append(made)
        await portal.settle()
        service = portal.service()
        for one, users in ((mended, ["demo-ada", "demo-ben"]), (mended_alone, ["demo-ada"]),
                           (anothers, ["demo-ada"])):  # fmt: skip
            body = {"body": {"courseId": "later", "userIds": users}, "reason": "misspelt"}
            redriven = await service.post(f"{LETTERS}/{one.id}/redrive", body)
            assert redriven.json()["status"] == "redriven", redriven.text
        receipt = await erased(portal)
        assert receipt["rows"]["dead_letters"] >= 5
        said = {one.id: (await service.get(f"{LETTERS}/{one.id}")).json() for one in made}
        assert said[both.id]["record"]["body"] == {"courseId": "nowhere", "userIds": ["demo-ben"]}
        assert said[both.id]["status"] == "parked"
        assert (said[alone.id]["record"]["kind"], said[alone.id]["status"]) == ("event.erased", "discarded")
        assert said[mended.id]["corrected"] == {"courseId": "later", "userIds": ["demo-ben"]}
        assert (said[mended_alone.id]["corrected"], said[mended_alone.id]["status"]) == (None, "redriven")
        assert said[anothers.id]["corrected"] == {}
        assert said[anothers.id]["record"]["body"]["userIds"] == ["demo-ben"]
        assert (await portal.person("olu").get("/api/admin/offline/ledger")).json()["balanced"]
        before = await rows(portal, schema.assignments)
        assert (await replay_everything(portal))["status"] == "done"
        assert await rows(portal, schema.assignments) == before
    assert files_that_name(tmp_path, b"demo-ada") == []
    report = await proved(tmp_path)
    assert report.store is not None
    assert [each for each in report.store.tables if not each.same] == []
    assert (report.findings, report.store.traces.wrong, report.store.faults) == ([], [], [])


async def test_an_event_of_others_that_nobody_can_read_any_more_is_erased_whole(
    portal: House, tmp_path: Path
) -> None:
    raw = b'{"courseId":"later","userIds":["demo-ada","demo-ben"],"fromAnotherVersion":1}'
    made = event(1, lane="admin", kind="course.assigned", user="demo-ben", raw=raw)
    await portal.portal.journal.append([made])
    await portal.settle()
    await erased(portal)
    letter = (await portal.service().get(f"{LETTERS}/{made.id}")).json()
    assert (letter["record"]["kind"], letter["status"]) == ("event.erased", "discarded")
    assert files_that_name(tmp_path, b"demo-ada") == []


async def test_acts_of_others_that_name_the_person_name_nobody_afterwards(portal: House) -> None:
    asked_for = wanted(userId="demo-ada", dryRun=True)
    await portal.service().post(REPLAY, asked_for)
    await portal.portal.replayer.drain()
    assert "demo-ada" in repr(await rows(portal, schema.audit))
    await erased(portal)
    assert "demo-ada" not in repr(await rows(portal, schema.audit))
    (details,) = [row[6] for row in await rows(portal, schema.audit) if row[4] == "replay.asked"]
    assert (details["userId"], details["reason"]) == ("", asked_for["reason"])


async def replay_everything(portal: House) -> dict[str, Any]:
    body = wanted()
    await portal.service().post(REPLAY, body)
    await portal.portal.replayer.drain()
    job: dict[str, Any] = (await portal.service().get(f"{REPLAY}/{body['id']}")).json()
    return job


async def test_a_replay_of_the_person_that_still_waits_is_cancelled_and_becomes_nobody_elses(
    portal: House,
) -> None:
    body = wanted(userId="demo-ada")
    await portal.service().post(REPLAY, body)
    await erased(portal)
    (job,) = (await portal.service().get(REPLAY)).json()["items"]
    assert (job["status"], job["counts"]["matched"], job["request"]["userId"]) == ("cancelled", 0, "")
    assert job["endedAt"] is not None
    assert "erased" in job["why"]
    before = await everything(portal)
    await portal.portal.replayer.drain()
    assert (await portal.service().get(f"{REPLAY}/{body['id']}")).json() == job
    assert await everything(portal) == before
    (act,) = [row for row in await rows(portal, schema.audit) if row[4] == "replay.cancelled"]
    assert (act[3], act[5]) == ("service:tidewater", body["id"])


async def test_a_replay_of_somebody_else_stays_theirs_where_only_its_rows_name_the_person(
    portal: House,
) -> None:
    await assign(portal, "demo-ada", "demo-ben")
    await lost(portal, schema.assignments)
    shown, waiting = wanted(userId="demo-ben"), wanted(userId="demo-ben")
    await portal.service().post(REPLAY, shown)
    await portal.portal.replayer.drain()
    assert "demo-ada" in repr(await rows(portal, schema.replay_jobs))
    await portal.service().post(REPLAY, waiting)
    await erased(portal)
    assert "demo-ada" not in repr(await rows(portal, schema.replay_jobs))
    jobs = {each["id"]: each for each in (await portal.service().get(REPLAY)).json()["items"]}
    assert {each["request"]["userId"] for each in jobs.values()} == {"demo-ben"}
    assert (jobs[shown["id"]]["status"], jobs[waiting["id"]]["status"]) == ("done", "queued")


async def test_who_cancelled_a_replay_is_not_named_there_once_they_are_erased(portal: House) -> None:
    job = wanted(userId="demo-ben")
    await portal.service().post(REPLAY, job)
    await portal.portal.replayer.cancel("tidewater", job["id"], "demo-ada")
    assert "demo-ada" in repr(await rows(portal, schema.replay_jobs))
    await erased(portal)
    assert "demo-ada" not in repr(await rows(portal, schema.replay_jobs))


@pytest.mark.parametrize("dry", [False, True])
async def test_a_replay_that_runs_meanwhile_shows_nothing_of_the_person_afterwards(
    portal: House, monkeypatch: pytest.MonkeyPatch, *, dry: bool
) -> None:
    await lost(portal, schema.progress)
    monkeypatch.setattr(replaying, "CHUNK", 5)
    did: list[Any] = []
    store = portal.portal.store
    run = store.run

    async def run_and_erase(org: str | None, work: Any) -> Any:  # noqa: ANN401
        try:
            return await run(org, work)
        finally:
            if not did and getattr(work, "__name__", "") in ("part", "run"):
                did.append(work)
                await erased(portal)

    await portal.service().post(REPLAY, wanted(dryRun=dry))
    monkeypatch.setattr(store, "run", run_and_erase)
    await portal.portal.replayer.drain()
    (job,) = (await portal.service().get(REPLAY)).json()["items"]
    assert (job["status"], did != []) == ("done", True)
    assert "demo-ada" not in repr(await rows(portal, schema.replay_jobs))


async def test_a_replay_brings_nothing_of_the_person_back(portal: House) -> None:
    await erased(portal)
    before = await everything(portal)
    job = await replay_everything(portal)
    assert job["status"] == "done", job
    after = await everything(portal)
    assert {name: held for name, held in after.items() if name != "replay_jobs"} == before


async def test_the_receipt_is_signed_and_names_nobody(portal: House) -> None:
    said = await erased(portal)
    receipt = msgspec.convert(said, ErasureReceipt)
    assert portal.portal.eraser.is_ours(receipt)
    for change in ({"journal_lines": 1}, {"reason": "another"}, {"signature": "0" * 64}):
        assert not portal.portal.eraser.is_ours(msgspec.structs.replace(receipt, **change))
    assert "demo-ada" not in msgspec.json.encode(said).decode()
    assert "Copies of the data directory" in said["notReached"]
    assert (await portal.service().get(PATH)).json()["items"] == [said]
    assert (await portal.service("highland").get(PATH)).json()["items"] == []


async def test_asked_twice_it_is_done_once(portal: House) -> None:
    first = await erased(portal)
    before = await everything(portal)
    assert await erased(portal) == first
    assert await everything(portal) == before
    other = await portal.service().post(PATH, BODY | {"userId": "demo-ben"})
    assert problem(other) == (409, "conflict")


@pytest.mark.parametrize("fails", ["plan", "first", "store"])
async def test_broken_off_anywhere_it_goes_on_and_the_chain_holds_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        seal(portal.portal.journal)
        await send(portal, "ada", recorded())
        await portal.settle()
        with monkeypatch.context() as patched:
            if fails == "plan":
                patched.setattr(portal.portal.journal, "erase", _refuse)
            elif fails == "first":
                patched.setattr("holdfast.journal.erasing.put", _after_one(in_files.put))
            else:
                patched.setattr(portal.portal.eraser, "_in_store", _refuse)
            assert problem(await asked(portal))[0] in (503, 507)
    assert (await proved(tmp_path)).good, "in between"
    async with house(tmp_path, **NO_LIMITS) as portal:
        async with at_work(portal.portal.applier):
            await portal.portal.eraser.resume()
        (receipt,) = (await portal.service().get(PATH)).json()["items"]
        assert receipt["rows"]["progress"] > 0
    assert files_that_name(tmp_path, b"demo-ada") == []
    assert (await proved(tmp_path)).good


async def goes_on(portal: House, done: Callable[[], Awaitable[bool]]) -> None:
    """Let the portal's own task work on erasures until something holds."""
    async with at_work(portal.portal.applier):
        task = asyncio.create_task(portal.portal.eraser.run())
        try:
            for _ in range(1000):
                if await done():
                    return
                await asyncio.sleep(0.02)
        finally:
            await end([task])
    raise AssertionError("not done")


async def finished(portal: House) -> list[str]:
    """The erasures that have a receipt."""
    return [each["id"] for each in (await portal.service().get(PATH)).json()["items"]]


def first_raising(monkeypatch: pytest.MonkeyPatch, part: Any, name: str, *faults: Exception) -> None:  # noqa: ANN401
    """Let the next calls of something fail, one after the other."""
    left, real = list(faults), getattr(part, name)

    def call(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        if left:
            raise left.pop(0)
        return real(*args, **named)

    monkeypatch.setattr(part, name, call)


async def test_what_can_not_be_finished_is_tried_again_while_the_portal_runs(
    portal: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "AGAIN_S", 0.01)
    out, full = Unavailable("the power failed, say"), OSError(28, "No space left on device")
    first_raising(monkeypatch, portal.portal.journal, "erase", out, out, full)
    assert problem(await asked(portal))[0] == 503
    first_raising(monkeypatch, portal.portal.eraser, "_known_erasures", out, RuntimeError("a fault of ours"))

    async def done() -> bool:
        return await finished(portal) == ["e1"]

    await goes_on(portal, done)


async def test_an_erasure_that_fails_keeps_no_other_waiting(
    portal: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(portal.portal.journal, "erase", _refuse)
        await asked(portal)
        await asked(portal, id="e2", userId="demo-ben")
    first_raising(monkeypatch, portal.portal.journal, "erase", OSError(5, "Input/output error"))

    async def done() -> bool:
        return await finished(portal) == ["e2"] and files_that_name(tmp_path, b"demo-ben") == []

    await goes_on(portal, done)


async def test_files_that_somebody_read_when_the_receipt_was_asked_for_are_emptied_afterwards(
    portal: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "AGAIN_S", 0.01)
    out = Unavailable("somebody reads")
    first_raising(monkeypatch, portal.portal.store, "overwritten", out, out)
    assert problem(await asked(portal))[0] == 503
    assert files_that_name(tmp_path, b"demo-ada") != []

    async def done() -> bool:
        return files_that_name(tmp_path, b"demo-ada") == []

    await goes_on(portal, done)


def _refuse(*_: object, **__: object) -> None:
    raise Unavailable("the power failed, say")


def _after_one(put: Any) -> Any:  # noqa: ANN401
    calls = 0

    def once(*args: Any) -> None:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Unavailable("the power failed, say", code="disk_full")
        put(*args)

    return once


async def test_a_frame_that_was_changed_without_a_record_is_still_found(tmp_path: Path) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        await erased(portal)
    sealed = next(each for each in (tmp_path / "logs").glob("offline-sync-*.jsonl"))
    text = in_files.rewrite(
        sealed.read_bytes(),
        in_files.Wanted(lambda data: data.replace(b"demo-cleo", b"demo-dora") if b"cleo" in data else None),
    )
    assert text.lines > 0
    sealed.write_bytes(text.text)
    report = await proved(tmp_path, quick=True)
    assert any("do not fit their digest" in each.what for each in report.findings)


def damage(lines: list[bytes], which: bytes, *changes: tuple[bytes, bytes]) -> int:
    """Change the first sound line that holds a text; its number."""
    at = next(at for at, line in enumerate(lines) if which in line and b"\x00" not in line)
    for old, new in changes:
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new)
    lines[at] = lines[at].replace(b'"digest":"', b'"digest"\x00"')
    return at + 1


async def test_what_is_damaged_is_erased_where_it_names_them_and_told_where_nobody_can_tell(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        await assign(portal, "demo-ada", "demo-ben")
        seal(portal.portal.journal)
    (path,) = (tmp_path / "logs").glob("offline-sync-0*.jsonl")
    path.with_suffix(".index.json").unlink()
    lines = path.read_bytes().split(b"\n")
    ada = b'"userId":"demo-ada","actorId":"demo-ada"'
    hers = damage(lines, ada)
    half = damage(lines, ada, (b'"userId":"demo-ada"', b'"userId":"demo-a\xffa"'))
    quote = damage(lines, ada, (ada, b'"userId":"demo-ad\xff","actorId":"demo-ada!'))
    unknown = damage(lines, ada, (ada, b'"userId":"demo-ad\xff","actorId":"demo-ad\xff"'))
    named = damage(lines, b'"kind":"course.assigned"')
    another = damage(lines, b'"userId":"demo-cleo"')
    # A newline between two of her lines is damaged: both can be read, and had their effect.
    both = next(at for at, line in enumerate(lines) if ada in line and ada in lines[at + 1])
    lines[both : both + 2] = [lines[both] + b"\x0b" + lines[both + 1]]
    path.write_bytes(b"\n".join(lines))
    places = {(each.segment, each.line) for each in (await proved(tmp_path)).findings}
    before = path.read_bytes().split(b"\n")
    async with house(tmp_path, **NO_LIMITS) as portal:
        scars = portal.portal.journal.stats().scars
        receipt = await erased(portal)
        assert receipt["unjudged"] == [f"{path.name}:{unknown}"]
        assert portal.portal.eraser.is_ours(msgspec.convert(receipt, ErasureReceipt))
        assert portal.portal.journal.stats().scars == scars > 0
    assert files_that_name(tmp_path, b"demo-ada") == []
    after = path.read_bytes().split(b"\n")
    assert [len(line) for line in after] == [len(line) for line in before]
    for number in (hers, half, quote):
        assert after[number - 1][60:].strip() == b"", "only its place is left"
    assert after[named - 1] == before[named - 1].replace(b'"demo-ada"', b'"        "') != before[named - 1]
    for number in (another, unknown):
        assert after[number - 1] == before[number - 1]
    assert after[both].count(b'"kind":"event.erased"') == 2
    found = {(each.segment, each.line) for each in (await proved(tmp_path)).findings}
    assert found <= places
    assert {line for _, line in found} >= {hers, half, quote, unknown, named, another, both + 1}


async def test_somebody_who_never_was_here_is_not_found(portal: House) -> None:
    for user in ("nobody", "demo-cleo"):
        assert problem(await portal.service().post(PATH, BODY | {"userId": user})) == (404, "not_found")
    theirs = portal.service("highland")
    assert problem(await theirs.post(PATH, BODY)) == (403, "org_forbidden")
    assert problem(await portal.person("ben").post(PATH, BODY)) == (403, "forbidden")


async def test_a_persons_data_is_given_out_whole(portal: House) -> None:
    said = (await portal.service().get(EXPORT)).json()
    assert said["rows"]["user"][0]["email"] == "ada@tidewater.example"
    assert len(said["rows"]["progress"]) >= 5
    assert {each["kind"] for each in said["events"]} == {
        "lesson.completed", "lesson.progressed", "quiz.answered", "analytics.recorded"
    }  # fmt: skip
    assert {each["userId"] for each in said["events"]} == {"demo-ada"}
    misspelt = [each for each in said["rows"]["dead_letters"] if each["corrected"] is not None]
    assert [each["corrected"] for each in misspelt] == ['{"courseId":"later","lessonId":"01-one"}']
    assert "latre" in misspelt[0]["record"]
    assert "password" not in msgspec.json.encode(said).decode()
    await erased(portal)
    assert problem(await portal.service().get(EXPORT)) == (404, "not_found")
