"""What a device may ask after a lost answer, what it reports as lost, and what operators see of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import ManualClock
from holdfast.core.errors import HoldfastError
from holdfast.core.ids import uuid7
from holdfast.events.reported import FORGET_S
from tests.unit.access.failing import OUT, failing
from tests.unit.web.portals import Asker, House, completed, house, problem, recorded

BATCH = "/api/client/progress/batch"
RECEIPTS = "/api/client/receipts"
DEVICES = "/api/admin/offline/devices"
LOSS = {"deviceId": "phone", "generation": 2, "missing": [[3, 4], [7, 7]], "cause": "storage was cleared"}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


async def test_a_device_learns_which_of_its_events_arrived(portal: House) -> None:
    ada = portal.person("ada")
    sent, never = completed(), completed()
    await ada.post(BATCH, {"events": [sent]})
    question = {"deviceId": "phone", "ids": [sent["id"], never["id"], sent["id"].upper()]}
    before = (await ada.post(RECEIPTS, question)).json()
    assert before["held"] == [sent["id"], sent["id"].upper()]
    # Something of the org waits, so what no table shows yet might still be in the journal.
    assert (before["notHeld"], before["unknown"]) == ([], [never["id"]])
    await portal.settle()
    after = (await ada.post(RECEIPTS, question)).json()
    assert (after["notHeld"], after["unknown"]) == ([never["id"]], [])


async def test_after_a_restart_the_tables_tell_what_memory_forgot(tmp_path: Path) -> None:
    applied, parked = recorded(), completed()
    async with house(tmp_path, window_ids=2) as portal:
        ada = portal.person("ada")
        await ada.post("/api/analytics/events/batch", {"events": [applied]})
        await ada.post(BATCH, {"events": [parked]})
        for _ in range(4):
            await ada.post("/api/analytics/events/batch", {"events": [recorded()]})
        await portal.settle()
    async with house(tmp_path, window_ids=2) as portal:
        said = (
            await portal.person("ada").post(RECEIPTS, {"deviceId": "x", "ids": [applied["id"], parked["id"]]})
        ).json()
        assert said["held"] == [applied["id"], parked["id"]], (
            "a dead letter is held, too: it must not be sent again"
        )


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_while_the_store_is_out_what_memory_lacks_is_called_unknown(
    portal: House, out: HoldfastError, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = portal.person("ada")
    sent, never = completed(), completed()
    await ada.post(BATCH, {"events": [sent]})
    monkeypatch.setattr(portal.portal.store, "read", failing(out))
    said = (await ada.post(RECEIPTS, {"deviceId": "phone", "ids": [sent["id"], never["id"]]})).json()
    assert said == {"held": [sent["id"]], "notHeld": [], "unknown": [never["id"]]}


async def test_nobody_learns_of_another_orgs_ids(portal: House) -> None:
    sent = completed()
    await portal.person("ada").post(BATCH, {"events": [sent]})
    await portal.settle()
    said = (await portal.person("cleo").post(RECEIPTS, {"deviceId": "phone", "ids": [sent["id"]]})).json()
    assert said == {"held": [], "notHeld": [sent["id"]], "unknown": []}


async def test_a_question_of_more_than_a_thousand_ids_is_refused_by_name(portal: House) -> None:
    ids = [uuid7() for _ in range(1001)]
    answer = await portal.person("ada").post(RECEIPTS, {"deviceId": "phone", "ids": ids})
    assert problem(answer) == (422, "invalid")
    assert "ids" in answer.json()["detail"]


async def test_a_loss_receipt_is_taken_once_and_shown_to_operators_of_the_org(portal: House) -> None:
    ada = portal.person("ada")
    body = {**LOSS, "id": uuid7()}
    first = await ada.post("/api/client/loss", body)
    again = await ada.post("/api/client/loss", body)
    assert (first.status_code, first.json()["receipt"]["status"]) == (202, "accepted")
    assert again.json()["receipt"]["status"] == "duplicate"
    await portal.settle()
    for asker in (portal.service(), portal.person("olu")):
        rows = (await asker.get(DEVICES)).json()["losses"]
        assert [(row["userId"], row["deviceId"], row["missing"], row["cause"]) for row in rows] == [
            ("demo-ada", "phone", [[3, 4], [7, 7]], "storage was cleared")
        ]
    assert (await portal.service("highland").get(DEVICES)).json()["losses"] == []


async def test_a_loss_of_another_org_is_refused(portal: House) -> None:
    answer = await portal.person("ada").post("/api/client/loss", {**LOSS, "orgId": "highland"})
    assert problem(answer) == (403, "org_forbidden")


@pytest.mark.parametrize(
    "wrong", [{"missing": [[0, 1]]}, {"missing": [[1]]}, {"cause": ""}, {"generation": 0}]
)
async def test_a_loss_receipt_that_can_not_be_is_named(portal: House, wrong: dict[str, object]) -> None:
    answer = await portal.person("ada").post("/api/client/loss", {**LOSS, **wrong})
    assert problem(answer) == (422, "invalid")
    assert next(iter(wrong)) in answer.json()["detail"]


async def test_operators_see_each_devices_gaps_and_its_reported_queue(portal: House) -> None:
    ada = portal.person("ada")
    for seqs in ((1, 2), (6,)):
        events = [completed(seq=seq) for seq in seqs]
        body = {"deviceId": "tablet", "generation": 3, "events": events}
        await ada.post(BATCH, body, X_Client_Queue_Backlog="12", X_Client_Queue_Lag="90000")
    await portal.settle()
    said = (await portal.service().get(DEVICES)).json()
    assert [(one["deviceId"], one["generation"], one["state"]) for one in said["items"]] == [
        ("tablet", 3, {"acceptedThrough": 6, "missing": [[3, 5]]})
    ]
    assert (said["reporting"], said["reportedBacklog"], said["reportedLagMs"]) == (1, 12, 90_000)
    other = (await portal.service("highland").get(DEVICES)).json()
    assert (other["items"], other["reporting"]) == ([], 0)


async def test_a_device_that_handed_over_all_it_held_is_not_said_to_hold_it_still(portal: House) -> None:
    body = {"deviceId": "tablet", "generation": 3, "events": [completed(seq=1), completed(seq=2)]}
    sent = await portal.person("ada").post(BATCH, body, X_Client_Queue_Backlog="2", X_Client_Queue_Lag="900")
    assert {each["status"] for each in sent.json()["receipts"]} == {"accepted"}
    said = (await portal.service().get(DEVICES)).json()
    assert (said["reporting"], said["reportedBacklog"], said["reportedLagMs"]) == (0, 0, 0)


def queues(said: dict[str, Any]) -> dict[tuple[str, str, int], tuple[int | None, int | None]]:
    """What each of the listed devices is said to hold."""
    return {
        (one["userId"], one["deviceId"], one["generation"]): (one["reportedBacklog"], one["reportedLagMs"])
        for one in said["items"]
    }


async def test_operators_see_which_devices_report_a_backlog_and_which_said_nothing_lately(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with house(tmp_path, clock=clock) as portal:
        ada, ben = portal.person("ada"), portal.person("ben")

        async def says(asker: Asker, device: str, generation: int, backlog: str) -> None:
            body = {"deviceId": device, "generation": generation, "events": [completed(seq=1)]}
            await asker.post(BATCH, body, X_Client_Queue_Backlog=backlog, X_Client_Queue_Lag="90000")
            clock.advance(1)

        await says(ada, "phone", 1, "4")
        clock.advance(FORGET_S)
        await says(ada, "tablet", 1, "7")
        await says(ada, "tablet", 2, "12")
        await says(ben, "tablet", 1, "0")
        await portal.settle()
        said = (await portal.service().get(DEVICES)).json()
    assert queues(said) == {
        ("demo-ada", "phone", 1): (None, None),
        # An earlier life of the same storage holds nothing any more.
        ("demo-ada", "tablet", 1): (None, None),
        ("demo-ada", "tablet", 2): (12, 90_000),
        ("demo-ben", "tablet", 1): (0, 90_000),
    }
