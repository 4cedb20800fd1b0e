"""What the Journal port says, sentence by sentence, held against every engine."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast.core.clock import ManualClock, parse_rfc3339, rfc3339
from holdfast.core.errors import Unavailable
from holdfast.journal.port import Journal, Slice
from holdfast.journal.record import Event
from tests.conformance.conftest import JournalEngine
from tests.records import event, events, everything, put

LANES = ("progress", "analytics", "admin")

# Order and idempotence


async def test_an_empty_journal_says_so(journal: Journal) -> None:
    stats = journal.stats()
    assert (stats.head, stats.waiting_bytes, stats.failed_groups, stats.scars) == (0, 0, 0, 0)
    assert stats.fault is None
    assert stats.durable in {"fsync", "quorum-fsync", "quorum-memory", "memory"}
    assert journal.counts() == {}
    assert journal.read(0, 10) == Slice([], 0)
    assert list(journal.verify()) == []


async def test_positions_rise_in_the_order_of_append_calls(journal: Journal) -> None:
    made = [events(at, 3) for at in range(0, 30, 3)]
    firsts = await asyncio.gather(*(journal.append(each) for each in made))
    assert list(firsts) == sorted(set(firsts))
    assert [each.id for each in everything(journal)] == [each.id for frame in made for each in frame]


async def test_the_first_position_is_given_and_the_others_follow_it(journal: Journal) -> None:
    await put(journal, events(0, 2))
    first = await put(journal, events(2, 5))
    found = everything(journal)[2:]
    assert [each.position for each in found] == [first + step for step in range(5)]


async def test_the_same_event_appended_twice_is_written_twice(journal: Journal) -> None:
    one = event(1)
    first, second = await put(journal, [one]), await put(journal, [one])
    assert first < second
    assert [each.data for each in everything(journal)] == [one.data, one.data]


async def test_an_event_twice_in_one_frame_is_written_twice(journal: Journal) -> None:
    await put(journal, [event(1), event(1)])
    assert len(everything(journal)) == 2


# Bytes


BODIES = {
    "letters of every script": '{"note":"žluťoučký 学习 مرحبا 🎓\u2028"}'.encode(),
    "escapes": b'{"note":"\\u0000\\n\\r\\"\\\\"}',
    "spaces between tokens": b'{ "a" : [ 1 , 2 ] , "b" : { } }',
    "a body as large as one may be": b'{"note":"' + b"x" * (32_768 - 11) + b'"}',
    "what looks like a commit": b'{"v":1,"commit":{"p":9,"n":1,"b":1,"f":0,"orgs":{}},"c":"00"}',
    "what looks like an event": b'{"a":{"v":1,"p":"0000000000000099","t":"","c":"","e":{}}}',
    "what looks like a header": b'{"v":1,"segment":{"first":1,"prevEnd":99},"c":"00000000"}',
}


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES)
async def test_a_record_is_exactly_what_was_appended(journal: Journal, raw: bytes) -> None:
    made = [event(1, raw=raw), event(2), event(3, raw=raw)]
    await put(journal, made)
    found = everything(journal)
    assert [each.data for each in found] == [each.data for each in made]
    assert [(each.id, each.digest) for each in found] == [(each.id, each.digest) for each in made]


async def test_a_record_says_when_it_was_received(journal: Journal, clock: ManualClock) -> None:
    clock.advance(1.5)
    await put(journal, [event(1)])
    assert everything(journal)[0].received_at == rfc3339(clock.now_s())


async def test_a_clock_that_jumps_back_changes_no_order(journal: Journal, clock: ManualClock) -> None:
    await put(journal, events(0, 2))
    clock.advance(-3600.0)
    await put(journal, events(2, 2))
    found = everything(journal)
    assert [each.id for each in found] == [each.id for each in events(0, 4)]
    assert parse_rfc3339(found[2].received_at) < parse_rfc3339(found[1].received_at)


# Reading


async def filled(journal: Journal, number: int = 60) -> list[Event]:
    """Events of all lanes and two orgs, in frames of several sizes."""
    made = [event(at, lane=LANES[at % 3], org=("tidewater", "highland")[at % 2]) for at in range(number)]
    at, size = 0, 1
    while at < number:
        await put(journal, made[at : at + size])
        at, size = at + size, size % 5 + 1
    return made


async def test_read_gives_at_most_as_many_as_asked_for(journal: Journal) -> None:
    made = await filled(journal)
    for limit in (1, 2, 7, 59, 60, 61, 1000):
        assert [each.id for each in journal.read(0, limit).records] == [each.id for each in made[:limit]]


async def test_read_begins_after_a_position_wherever_that_lies(journal: Journal) -> None:
    made = await filled(journal)
    every = everything(journal)
    for at, record in enumerate(every):
        found = journal.read(record.position, 3)
        assert [each.id for each in found.records] == [each.id for each in made[at + 1 : at + 4]]


async def test_reading_on_from_through_finds_each_record_once(journal: Journal) -> None:
    made = await filled(journal)
    for lane in (None, *LANES):
        for limit in (1, 3, 8):
            found: list[str] = []
            after = 0
            while (part := journal.read(after, limit, lane)).through > after:
                found += [each.id for each in part.records]
                after = part.through
            assert found == [each.id for each in made if lane in (None, each.lane)]


async def test_through_is_the_head_when_nothing_more_is_there(journal: Journal) -> None:
    await filled(journal)
    head = journal.stats().head
    assert journal.read(0, 1000).through == head
    assert journal.read(0, 1000, "admin").through == head
    assert journal.read(0, 1000, "nobody's") == Slice([], head)


async def test_reading_beyond_the_head_finds_nothing_and_stays(journal: Journal) -> None:
    await filled(journal)
    beyond = journal.stats().head + 100
    assert journal.read(beyond, 10) == Slice([], beyond)


async def test_a_reader_who_waited_finds_what_was_appended_since(journal: Journal) -> None:
    await filled(journal)
    head = journal.read(0, 1000).through
    await put(journal, [event(100, lane="admin")])
    for lane in (None, "admin"):
        found = journal.read(head, 10, lane)
        assert [each.id for each in found.records] == [event(100).id]


async def test_reading_while_others_write_sees_a_prefix_in_order(journal: Journal) -> None:
    made = events(0, 400)
    seen: list[list[str]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append([each.id for each in everything(journal)])

    readers = [threading.Thread(target=look) for _ in range(3)]
    for each in readers:
        each.start()
    try:
        for at in range(0, 400, 8):
            await put(journal, made[at : at + 8])
    finally:
        done.set()
        for each in readers:
            each.join()
    ids = [each.id for each in made]
    assert len(seen) > 3
    assert all(found == ids[: len(found)] for found in seen)
    assert [each.id for each in everything(journal)] == ids


# Counts


async def test_counts_are_per_org_and_lane(journal: Journal) -> None:
    await put(journal, [event(1), event(2, lane="analytics"), event(3, org="highland"), event(4)])
    assert journal.counts() == {
        "tidewater": {"progress": 2, "analytics": 1},
        "highland": {"progress": 1},
    }


async def test_counts_up_to_a_position_are_those_of_the_records_up_to_it(journal: Journal) -> None:
    await filled(journal)
    every = everything(journal)
    for at, record in enumerate(every, 1):
        found = journal.counts(record.position)
        assert sum(sum(lanes.values()) for lanes in found.values()) == at
    assert journal.counts(every[-1].position) == journal.counts() == journal.counts(10**15)
    assert journal.counts(0) == {}


async def test_what_is_done_to_counts_stays_with_who_asked(journal: Journal) -> None:
    await put(journal, [event(1)])
    journal.counts()["tidewater"]["progress"] = 99
    journal.counts(1)["tidewater"]["progress"] = 99
    assert journal.counts() == journal.counts(1) == {"tidewater": {"progress": 1}}


async def test_the_head_is_the_last_position(journal: Journal) -> None:
    first = await put(journal, events(0, 4))
    assert journal.stats().head == first + 3
    assert journal.stats().bytes > 0
    assert journal.stats().waiting_bytes == 0


# Going on


async def test_after_a_seal_all_is_read_as_before(journal: Journal) -> None:
    for at in range(5):
        await put(journal, [event(at)])
        journal.seal()
    await put(journal, [event(5)])
    assert [each.id for each in everything(journal)] == [each.id for each in events(0, 6)]
    assert list(journal.verify()) == []


async def test_a_sender_that_goes_away_leaves_its_frame_written(journal: Journal) -> None:
    done = journal.append(events(0, 2))
    waiting = asyncio.create_task(_wait(done))
    await asyncio.sleep(0)
    waiting.cancel()
    await put(journal, [event(2)])
    assert [each.id for each in everything(journal)] == [each.id for each in events(0, 3)]


async def _wait(done: asyncio.Future[int]) -> int:
    return await asyncio.shield(done)


async def test_a_whole_frame_can_be_awaited_by_many(journal: Journal) -> None:
    done = journal.append(events(0, 2))
    assert len({*await asyncio.gather(*(asyncio.shield(done) for _ in range(5)))}) == 1


async def test_positions_lie_beyond_the_one_named_at_start(
    journals: JournalEngine, tmp_path: Path, clock: ManualClock
) -> None:
    """A journal put back from an older copy must not give out positions that cursors have passed."""
    journal = journals.open(tmp_path, clock, 5000)
    try:
        assert await put(journal, [event(1)]) > 5000
        assert [each.id for each in journal.read(5000, 10).records] == [event(1).id]
    finally:
        journal.close()


# Closing


async def test_after_close_nothing_is_taken(
    journals: JournalEngine, tmp_path: Path, clock: ManualClock
) -> None:
    journal = journals.open(tmp_path, clock, 0)
    journal.close()
    with pytest.raises(Unavailable) as refused:
        journal.append([event(1)])
    assert refused.value.code == "draining"


async def test_close_makes_durable_what_was_taken_in(
    journals: JournalEngine, tmp_path: Path, clock: ManualClock
) -> None:
    journal = journals.open(tmp_path, clock, 0)
    taken = [journal.append(events(at, 3)) for at in range(0, 60, 3)]
    await asyncio.to_thread(journal.close)
    firsts = await asyncio.gather(*taken)
    assert len(set(firsts)) == 20
    if journals.survives:
        again = journals.open(tmp_path, clock, 0)
        assert [each.id for each in everything(again)] == [each.id for each in events(0, 60)]
        again.close()


async def test_what_was_answered_for_is_there_after_a_start(
    journals: JournalEngine, tmp_path: Path, clock: ManualClock
) -> None:
    if not journals.survives:
        pytest.skip(f"{journals.name} promises nothing beyond its own life")
    made: list[Event] = []
    for life in range(4):
        journal = journals.open(tmp_path, clock, 0)
        assert [each.data for each in everything(journal)] == [each.data for each in made]
        assert sum(sum(lanes.values()) for lanes in journal.counts().values()) == len(made)
        made += await filled_again(journal, life)
        assert list(journal.verify()) == []
        journal.close()


async def filled_again(journal: Journal, life: int) -> list[Event]:
    made = events(life * 100, 20, lane=LANES[life % 3])
    for at in range(0, 20, 4):
        await put(journal, made[at : at + 4])
    return made


async def test_a_damaged_line_is_skipped_kept_and_counted_and_verify_names_it(
    journals: JournalEngine, tmp_path: Path, clock: ManualClock
) -> None:
    journal = journals.open(tmp_path, clock, 0)
    made = await filled(journal, 12)
    journal.close()
    files = journals.lines(tmp_path)
    if not files:
        pytest.skip(f"{journals.name} keeps no lines that could be damaged")
    text = files[-1].read_bytes()
    lines = text.split(b"\n")
    number, damaged = next((at, line) for at, line in enumerate(lines, 1) if b'"e":{' in line)
    at = text.index(damaged) + 200
    files[-1].write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
    again = journals.open(tmp_path, clock, 0)
    lost = next(each for each in made if each.data in damaged)
    assert [each.id for each in everything(again)] == [each.id for each in made if each is not lost]
    assert again.stats().scars == 1
    assert any(found.line == number and found.segment == files[-1].name for found in again.verify())
    again.close()
