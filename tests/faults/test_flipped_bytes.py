"""One byte of a journal goes bad, at every offset there is: nothing else may be lost with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from holdfast.journal import segment
from holdfast.journal.file import FileJournal
from holdfast.journal.record import Event
from tests.faults.disks import QuickDisk
from tests.records import event, everything, put, seal

LANES = ("progress", "analytics", "admin")
FRAMES = (1, 0, 2)
"""How many events each frame of the small segments has; one without is what a journal heals by."""


async def two_segments(folder: Path) -> list[Event]:
    """A sealed segment and an active one, four frames each."""
    journal = FileJournal(folder, disk=QuickDisk())
    made: list[Event] = []
    for part in range(2):
        for size in FRAMES:
            some = [event(len(made) + at, lane=LANES[(len(made) + at) % 3]) for at in range(size)]
            await put(journal, some)
            made += some
        if part == 0:
            seal(journal)
    journal.close()
    return made


def copied(source: Path, target: Path, instead: dict[str, bytes]) -> None:
    target.mkdir()
    for each in source.iterdir():
        (target / each.name).write_bytes(instead.get(each.name, each.read_bytes()))


def touched(text: bytes, at: int) -> set[int]:
    """The positions of the event lines that hold the byte."""
    start = text.rfind(b"\n", 0, at) + 1
    record = segment.parse_event(text[start : text.index(b"\n", at)])
    return {record.position} if record else set()


def changed(text: bytes, at: int, random: Random) -> bytes:
    """The text with another byte at an offset; now and then one that means something to a reader."""
    others = [byte for byte in (*b'\n"}{0\0', random.randrange(256)) if byte != text[at]]
    return text[:at] + bytes([random.choice(others)]) + text[at + 1 :]


@pytest.mark.parametrize("name", ["sealed", "sealed without its index", "active"])
async def test_what_the_flip_did_not_touch_is_read_and_verify_names_the_line(
    quick_path: Path, name: str
) -> None:
    random = Random(name)
    whole = quick_path / "whole"
    made = await two_segments(whole)
    victim = segment.ACTIVE if name == "active" else segment.sealed_name(1)
    if name != "sealed":
        (whole / segment.sealed_name(1)).with_suffix(".index.json").unlink()
    text = (whole / victim).read_bytes()
    for at in range(len(text)):
        folder = quick_path / str(at)
        copied(whole, folder, {victim: changed(text, at, random)})
        lost = touched(text, at)
        journal = FileJournal(folder, disk=QuickDisk())
        found = everything(journal)
        expected = [each.data for position, each in enumerate(made, 1) if position not in lost]
        read = [each.data for each in found if each.position not in lost]
        assert read == expected, f"offset {at}: {text[at : at + 1]!r}"
        for lane in LANES:
            by_lane = [each.data for each in everything(journal, lane) if each.position not in lost]
            wanted = [
                each.data
                for position, each in enumerate(made, 1)
                if each.lane == lane and position not in lost
            ]
            assert by_lane == wanted, f"offset {at}, lane {lane}"
        # What was accepted stays counted: the ledger is to say what is missing, not to forget it.
        counted = sum(sum(lanes.values()) for lanes in journal.counts().values())
        assert len(expected) <= counted <= len(made), f"offset {at}"
        number = text.count(b"\n", 0, at) + 1
        named = {
            finding.line
            for finding in journal.verify()
            if finding.segment != segment.ACTIVE or name == "active"
        }
        assert named, f"offset {at}: verify found nothing"
        assert number in named, f"offset {at}: line {number}, verify named {named}"
        await put(journal, [event(99)])
        assert everything(journal)[-1].data == event(99).data, f"offset {at}"
        journal.close()
        shutil.rmtree(folder)


async def test_a_flip_in_the_first_line_of_an_empty_segment_costs_no_other_segment(quick_path: Path) -> None:
    """Its first position is read from that line; a wrong guess gave it the name of the first segment."""
    folder = quick_path / "folder"
    journal = FileJournal(folder, disk=QuickDisk())
    await put(journal, [event(1)])
    seal(journal)
    journal.close()
    active = folder / segment.ACTIVE
    header = active.read_bytes().split(b"\n")[0]
    active.write_bytes(b"x" + header[1:] + b"\n")
    journal = FileJournal(folder, disk=QuickDisk())
    await put(journal, [event(2)])
    journal.seal()
    await put(journal, [event(3)])
    assert [each.data for each in everything(journal)] == [event(at).data for at in (1, 2, 3)]
    journal.close()
    again = FileJournal(folder, disk=QuickDisk())
    assert [each.data for each in everything(again)] == [event(at).data for at in (1, 2, 3)]
    again.close()


async def test_a_torn_tail_of_every_length_is_cut_and_the_rest_stays(quick_path: Path) -> None:
    whole = quick_path / "whole"
    journal = FileJournal(whole, disk=QuickDisk())
    made = [event(at) for at in range(5)]
    await put(journal, made[:2])
    kept = journal.stats().bytes
    await put(journal, made[2:])
    journal.close()
    text = (whole / segment.ACTIVE).read_bytes()
    for end in range(len(text) + 1):
        folder = quick_path / str(end)
        folder.mkdir()
        (folder / segment.ACTIVE).write_bytes(text[:end])
        journal = FileJournal(folder, disk=QuickDisk())
        found = [each.data for each in everything(journal)]
        if end >= kept:
            assert found == [each.data for each in (made if end == len(text) else made[:2])], end
            assert list(journal.verify()) == []
        await put(journal, [event(9)])
        assert everything(journal)[-1].data == event(9).data
        journal.close()


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"{}", b"\0" * 90, b'{"first":1,"last":9,"bytes":1,"sha":"","orgs":{}}']
)
async def test_an_index_that_is_garbage_is_made_anew(quick_path: Path, garbage: bytes) -> None:
    folder = quick_path / "folder"
    made = await two_segments(folder)
    index = (folder / segment.sealed_name(1)).with_suffix(".index.json")
    good = json.loads(index.read_bytes())
    index.write_bytes(garbage)
    journal = FileJournal(folder, disk=QuickDisk())
    assert [each.data for each in everything(journal)] == [each.data for each in made]
    assert journal.counts() == journal.counts(10**9)
    journal.close()
    assert json.loads(index.read_bytes()) == good


async def test_an_index_of_another_state_of_its_segment_is_not_believed(quick_path: Path) -> None:
    folder = quick_path / "folder"
    made = await two_segments(folder)
    index = (folder / segment.sealed_name(1)).with_suffix(".index.json")
    said = json.loads(index.read_bytes())
    for wrong in ({"last": said["last"] - 1}, {"bytes": said["bytes"] - 1}, {"sha": "0" * 64}, {"first": 2}):
        index.write_text(json.dumps(said | wrong))
        journal = FileJournal(folder, disk=QuickDisk())
        assert [each.data for each in everything(journal)] == [each.data for each in made], wrong
        assert list(journal.verify()) == []
        journal.close()
