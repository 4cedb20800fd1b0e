"""Receipts: one for every event, and never one for what is not on disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.events.devices import DeviceState
from holdfast.events.intake import Counters, Intake
from holdfast.events.window import Window
from holdfast.journal.disk import OsDisk, Unsynced
from holdfast.journal.file import FileJournal
from holdfast.journal.memory import MemoryJournal
from tests.records import event_id, everything
from tests.unit.events.doors import BODY, GatedJournal, batch, intake, post, sender, sent, statuses

OTHER = BODY.replace(b"50", b"60")
BAD = b'{"id":"?","kind":"lesson.progressed","body":{}}'
GONE = Unavailable("the disk is away", code="journal_unavailable", retry_s=7.0)
UNSURE = Unavailable("who knows", code="unknown_outcome", retry_s=1.0)


@pytest.fixture
def journal(clock: ManualClock) -> GatedJournal:
    return GatedJournal(clock)


def ids_in(journal: MemoryJournal) -> list[str]:
    return [each.id for each in everything(journal)]


def no_flight(door: Intake) -> bool:
    return door._flight == {}


# One batch


async def test_each_event_has_its_receipt_in_order_and_the_good_ones_are_one_frame(
    journal: GatedJournal,
) -> None:
    receipts = await post(
        intake(journal), sent(1), BAD, sent(2, orgId="high"), b"{", sent(3), who=sender(orgs=("tide",))
    )
    assert statuses(receipts) == ["accepted", "invalid", "forbidden", "invalid", "accepted"]
    assert [each.id for each in receipts] == [event_id(1), "?", event_id(2), "", event_id(3)]
    assert [each.code for each in receipts] == [None, "invalid", "org_forbidden", "malformed", None]
    assert all(each.reason for each in receipts if each.status != "accepted")
    assert [(each.position, each.durable) for each in receipts][::4] == [
        ("0000000000000001", "memory"),
        ("0000000000000002", "memory"),
    ]
    assert ids_in(journal) == [event_id(1), event_id(3)]


async def test_a_batch_of_nothing_and_one_of_nothing_good_touch_no_journal(journal: GatedJournal) -> None:
    journal.refuses = GONE
    assert await post(intake(journal)) == []
    assert statuses(await post(intake(journal), BAD, BAD)) == ["invalid", "invalid"]


async def test_an_event_nested_beyond_reason_spoils_only_itself(journal: GatedJournal) -> None:
    deep = b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    receipts = await post(intake(journal), sent(1), deep, sent(2))
    assert statuses(receipts) == ["accepted", "invalid", "accepted"]


async def test_an_event_of_last_week_is_a_duplicate_at_its_old_position(journal: GatedJournal) -> None:
    door = intake(journal)
    await post(door, sent(1), sent(2))
    receipts = await post(door, sent(3), sent(2))
    assert [(each.status, each.position) for each in receipts] == [
        ("accepted", "0000000000000003"),
        ("duplicate", "0000000000000002"),
    ]
    assert ids_in(journal) == [event_id(1), event_id(2), event_id(3)]


async def test_the_same_id_in_capitals_is_the_same_id(journal: GatedJournal) -> None:
    door = intake(journal)
    await post(door, sent(1))
    (receipt,) = await post(door, sent(1, id=event_id(1).upper()))
    assert (receipt.status, receipt.id) == ("duplicate", event_id(1))
    assert door.holds("tide", event_id(1).upper())


async def test_what_fell_out_of_the_window_is_accepted_again(journal: GatedJournal) -> None:
    door = intake(journal, window=Window(2))
    for number in range(1, 5):
        await post(door, sent(number))
    assert statuses(await post(door, sent(1))) == ["accepted"]
    assert ids_in(journal).count(event_id(1)) == 2


async def test_a_twin_inside_one_batch_is_a_duplicate_of_the_first_and_one_line(
    journal: GatedJournal,
) -> None:
    receipts = await post(intake(journal), sent(1), sent(2), sent(1))
    assert [(each.status, each.position) for each in receipts] == [
        ("accepted", "0000000000000001"),
        ("accepted", "0000000000000002"),
        ("duplicate", "0000000000000001"),
    ]
    assert ids_in(journal) == [event_id(1), event_id(2)]


async def test_the_same_id_for_two_orgs_is_two_events(journal: GatedJournal) -> None:
    both = sender(orgs=("tide", "high"))
    receipts = await post(intake(journal), sent(1), sent(1, orgId="high"), sent(1), who=both)
    assert statuses(receipts) == ["accepted", "accepted", "duplicate"]


# Conflicts


async def test_another_body_under_an_id_of_the_same_batch_is_a_conflict_and_both_are_kept(
    journal: GatedJournal,
) -> None:
    receipts = await post(intake(journal), sent(1), sent(1, OTHER), sent(1))
    assert statuses(receipts) == ["accepted", "conflict", "duplicate"]
    assert [BODY in each.data for each in everything(journal)] == [True, False]


async def test_another_body_under_a_committed_id_is_a_conflict_that_is_journalled_once(
    journal: GatedJournal,
) -> None:
    door = intake(journal)
    await post(door, sent(1))
    for _ in range(3):
        (receipt,) = await post(door, sent(1, OTHER))
        assert (receipt.status, receipt.code) == ("conflict", "conflict")
    assert statuses(await post(door, sent(1, OTHER.replace(b"60", b"61")), sent(1))) == [
        "conflict",
        "duplicate",
    ]
    assert ids_in(journal) == [event_id(1)] * 3
    assert door.position("tide", event_id(1)) == ("progress", 1)


async def test_another_body_under_an_id_in_flight_is_a_conflict(journal: GatedJournal) -> None:
    door = intake(journal)
    journal.closed_gate = True
    first = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(post(door, sent(1, OTHER)))
    await asyncio.sleep(0)
    journal.land()
    assert statuses([*await first, *await second]) == ["accepted", "conflict"]


@pytest.mark.parametrize("how", ["refused", "failed", "no room"])
async def test_a_conflict_that_could_not_be_kept_is_sent_again_later(journal: GatedJournal, how: str) -> None:
    room: list[Unavailable] = []
    door = intake(journal, room=lambda _: room[0] if room else None)
    await post(door, sent(1))
    journal.closed_gate = how == "failed"
    journal.refuses = GONE if how == "refused" else None
    room += [GONE] if how == "no room" else []
    posting = asyncio.create_task(post(door, sent(1), sent(1, OTHER)))
    await asyncio.sleep(0)
    journal.fail(UNSURE)
    duplicate, conflict = await posting
    assert duplicate.status == "duplicate"
    assert (conflict.status, conflict.retry_after_s) == ("later", 1.0 if how == "failed" else 7.0)
    journal.closed_gate, journal.refuses = False, None
    room.clear()
    assert statuses(await post(door, sent(1, OTHER))) == ["conflict"]
    assert len(everything(journal)) == 2


# Twins in flight


async def test_two_batches_with_one_id_at_once_are_accepted_and_duplicate_and_one_line(
    journal: GatedJournal,
) -> None:
    door = intake(journal)
    journal.closed_gate = True
    first = asyncio.create_task(post(door, sent(1), sent(2)))
    await asyncio.sleep(0)
    second = asyncio.create_task(post(door, sent(3), sent(1)))
    third = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    assert not any(each.done() for each in (first, second, third)), "no word before it is durable"
    journal.land()
    answers = [*await first, *await second, *await third]
    assert statuses(answers) == ["accepted", "accepted", "accepted", "duplicate", "duplicate"]
    assert {each.position for each in answers if each.id == event_id(1)} == {"0000000000000001"}
    assert ids_in(journal) == [event_id(1), event_id(2), event_id(3)]
    assert no_flight(door)


async def test_when_the_write_a_twin_waited_for_fails_the_twin_is_sent_again_later(
    journal: GatedJournal,
) -> None:
    door = intake(journal)
    journal.closed_gate = True
    first = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(post(door, BAD, sent(1)))
    third = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    journal.fail(UNSURE)
    for alone in (first, third):
        with pytest.raises(Unavailable) as refused:
            await alone
        assert refused.value.code == "unknown_outcome"
    assert [(each.status, each.code) for each in await second] == [
        ("invalid", "invalid"),
        ("later", "unknown_outcome"),
    ]
    assert no_flight(door)
    journal.closed_gate = False
    assert statuses(await post(door, sent(1))) == ["accepted"]


async def test_a_caller_that_goes_away_leaves_no_id_in_flight_and_its_event_is_known(
    journal: GatedJournal,
) -> None:
    door = intake(journal)
    journal.closed_gate = True
    gone = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    waits = asyncio.create_task(post(door, sent(1)))
    waits_too = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    gone.cancel()
    waits_too.cancel()
    await asyncio.gather(gone, waits_too, return_exceptions=True)
    journal.land()
    assert statuses(await waits) == ["duplicate"]
    assert no_flight(door)
    assert statuses(await post(door, sent(1))) == ["duplicate"]
    assert ids_in(journal) == [event_id(1)]


async def test_a_caller_that_went_away_from_a_write_that_fails_leaves_its_id_free(
    journal: GatedJournal,
) -> None:
    door = intake(journal)
    journal.closed_gate = True
    gone = asyncio.create_task(post(door, sent(1)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    journal.fail(UNSURE)
    await asyncio.sleep(0)
    assert no_flight(door)
    journal.closed_gate = False
    assert statuses(await post(door, sent(1))) == ["accepted"]


# A journal that refuses


@pytest.mark.parametrize("how", ["refuses", "fails"])
async def test_when_the_journal_refuses_those_already_answered_keep_their_receipts_and_the_rest_is_later(
    journal: GatedJournal, how: str
) -> None:
    door = intake(journal)
    await post(door, sent(1))
    journal.closed_gate = how == "fails"
    journal.refuses = GONE if how == "refuses" else None
    posting = asyncio.create_task(post(door, sent(1), BAD, sent(2), sent(3, orgId="high"), sent(2)))
    await asyncio.sleep(0)
    journal.fail(GONE)
    receipts = await posting
    assert statuses(receipts) == ["duplicate", "invalid", "later", "forbidden", "later"]
    later = receipts[2]
    assert (later.id, later.code, later.reason, later.retry_after_s) == (
        event_id(2), "journal_unavailable", "the disk is away", 7.0,
    )  # fmt: skip
    assert later.position is None
    assert no_flight(door)
    assert ids_in(journal) == [event_id(1)]


async def test_when_nothing_could_be_answered_the_batch_as_a_whole_is_refused(journal: GatedJournal) -> None:
    door = intake(journal)
    journal.refuses = GONE
    with pytest.raises(Unavailable, match="the disk is away"):
        await post(door, sent(1), sent(2))
    assert no_flight(door)
    assert door.counters == Counters()


async def test_room_is_asked_for_each_lane_that_is_written(journal: GatedJournal) -> None:
    paused = Unavailable("analytics wait", code="analytics_paused", retry_s=60.0)
    door = intake(journal, room=lambda lane: paused if lane == "analytics" else None)
    assert statuses(await post(door, sent(1))) == ["accepted"]
    click = sent(2, b'{"name":"page.opened"}', kind="analytics.recorded")
    with pytest.raises(Unavailable, match="analytics wait"):
        await post(door, click, at="analytics")
    assert ids_in(journal) == [event_id(1)]


class _Full(OsDisk):
    """A disk on which nothing fits while `full`; its syncs fail while `broken`."""

    full = broken = False

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write and sync, if it fits, and unless it fails."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.broken:
            raise Unsynced(errno.EIO, os.strerror(errno.EIO))
        return super().write_synced(fd, parts, offset)


@pytest.mark.parametrize("fault, code", [("full", "disk_full"), ("broken", "unknown_outcome")])
async def test_a_disk_that_fails_gives_no_receipt_and_when_it_is_well_again_the_same_ids_are_taken_once(
    tmp_path: Path, fault: str, code: str
) -> None:
    disk = _Full()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    door = intake(journal)
    (first,) = await post(door, sent(1))
    assert (first.status, first.durable) == ("accepted", "fsync")
    setattr(disk, fault, True)
    with pytest.raises(Unavailable) as refused:
        await post(door, sent(2))
    assert refused.value.code == code
    assert statuses(await post(door, sent(1), sent(2))) == ["duplicate", "later"]
    setattr(disk, fault, False)
    assert statuses(await post(door, sent(2), sent(1))) == ["accepted", "duplicate"]
    assert [each.id for each in everything(journal)] == [event_id(1), event_id(2)]
    journal.close()


async def test_a_journal_that_is_closing_takes_nothing(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "logs")
    door = intake(journal)
    journal.close()
    with pytest.raises(Unavailable) as refused:
        await post(door, sent(1))
    assert refused.value.code == "draining"
    assert no_flight(door)


# Beside the receipts


async def test_a_device_hears_its_holes_and_only_what_is_on_disk_has_arrived(journal: GatedJournal) -> None:
    door = intake(journal)
    answer = await door.batch(
        sender(), batch(sent(1, seq=1), sent(2, seq=4, orgId="high"), device="tablet-7"), "progress"
    )
    assert answer.device == DeviceState(1, [])
    journal.refuses = GONE
    answer = await door.batch(
        sender(), batch(sent(1, seq=1), sent(3, seq=2), sent(4, seq=3), device="tablet-7"), "progress"
    )
    assert statuses(answer.receipts) == ["duplicate", "later", "later"]
    assert answer.device == DeviceState(1, [])
    journal.refuses = None
    answer = await door.batch(sender(), batch(sent(4, seq=3), device="tablet-7"), "progress")
    assert answer.device == DeviceState(3, [(2, 2)])
    assert (await door.batch(sender(), batch(sent(3, seq=2)), "progress")).device is None


async def test_answers_are_counted_by_status(journal: GatedJournal) -> None:
    door = intake(journal)
    await post(door, sent(1), sent(2), BAD, sent(1), sent(1, OTHER), sent(3, orgId="high"))
    journal.refuses = GONE
    await post(door, BAD, sent(4))
    assert door.counters == Counters(accepted=2, duplicate=1, invalid=2, forbidden=1, conflict=1, later=1)


async def test_one_event_that_a_route_words_itself_is_judged_like_any_other(journal: GatedJournal) -> None:
    door = intake(journal)
    body = b'{"courseId":"knots","userIds":["ada"]}'
    words: dict[str, Any] = {
        "kind": "course.assigned",
        "event_id": event_id(1),
        "org": "tide",
        "door": "admin",
    }
    ben = sender("ben")
    assert (await door.one(ben, body=body, **words)).status == "accepted"
    assert (await door.one(ben, body=body, **words)).status == "duplicate"
    assert (await door.one(ben, body=b"{}", **(words | {"event_id": event_id(2)}))).status == "invalid"
    assert door.position("tide", event_id(1)) == ("admin", 1)
    assert door.position("tide", event_id(9)) is None
