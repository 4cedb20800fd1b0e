"""What became of every event that a page called saved, by the portal's journal and store."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.browser.harness import Promises
from tests.served import Served, until


def whole_lines(segment: Path) -> list[bytes]:
    """A segment's lines; what comes after the last one's end is still being written."""
    return segment.read_bytes().split(b"\n")[:-1]


def journalled(data: Path) -> Counter[str]:
    """How often each event id stands in the journal, in all of its segments."""
    found: Counter[str] = Counter()
    for segment in (data / "logs").glob("offline-sync*.jsonl"):
        for line in whole_lines(segment):
            record = json.loads(line)
            if "e" in record:
                found[record["e"]["id"]] += 1
    return found


@dataclass
class Books:
    """The store's word on events."""

    marked: set[str] = field(default_factory=set)
    recorded: Counter[str] = field(default_factory=Counter)
    """How often each analytics event stands in the table that nothing but marks keeps free of duplicates."""
    counted: int = 0
    """Analytics events by their running count, which one applied twice would raise twice."""
    dead: dict[str, str] = field(default_factory=dict)
    missing: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Numbers that devices reported lost, by generation."""


def books(data: Path, org: str) -> Books:
    """Read the store without touching it."""
    with closing(sqlite3.connect(f"file:{data / 'store.sqlite3'}?mode=ro", uri=True)) as store:

        def rows(statement: str) -> Iterable[tuple[object, ...]]:
            return store.execute(statement, {"org": org}).fetchall()

        store.execute("BEGIN")  # or a batch applied between two of these would stand in one alone
        found = Books(
            marked={str(each) for (each,) in rows("select event_id from marks where org_id = :org")},
            recorded=Counter(
                str(each) for (each,) in rows("select event_id from analytics_events where org_id = :org")
            ),
            dead={
                str(each): str(why)
                for each, why in rows("select event_id, reason from dead_letters where org_id = :org")
            },
        )
        for (count,) in rows("select coalesce(sum(count), 0) from activity where org_id = :org"):
            found.counted = int(str(count))
        for generation, missing in rows("select generation, missing from loss_receipts where org_id = :org"):
            ranges = [(int(first), int(last)) for first, last in json.loads(str(missing))]
            found.missing.setdefault(int(str(generation)), []).extend(ranges)
        return found


@dataclass(frozen=True)
class Verdict:
    """Where the saved events are."""

    applied: set[str]
    undeliverable: set[str]
    reported_lost: set[str]
    vanished: set[str]
    """Nowhere: each of them is a broken promise."""


def judge(promises: Promises, data: Path, org: str = "tidewater") -> Verdict:
    """Place every saved event; fails where one had its effect twice."""
    journal, store = journalled(data), books(data, org)
    twice = {each for each, count in store.recorded.items() if count > 1}
    assert not twice, f"applied more than once: {twice}"
    assert store.counted == len(store.recorded), "counted more or less than once"
    applied = {each for each in promises.saved if each in store.marked and journal[each] >= 1}
    analytics = {each.id for each in promises.saved.values() if each.kind == "analytics.recorded"}
    assert analytics & applied <= set(store.recorded), "marked without the effect"
    refused = {each for each in promises.saved if promises.undeliverable.get(each) or store.dead.get(each)}
    ranges: dict[int, list[tuple[int, int]]] = {g: list(found) for g, found in store.missing.items()}
    for loss in promises.losses:
        ranges.setdefault(loss["generation"], []).extend((first, last) for first, last in loss["missing"])
    lost = {
        each.id
        for each in promises.saved.values()
        if any(first <= each.seq <= last for first, last in ranges.get(each.generation, []))
    }
    return Verdict(applied, refused, lost, set(promises.saved) - applied - refused - lost)


def settled(served: Served, org: str = "tidewater") -> None:
    """Wait until everything in the journal has had its effect, and the ledger balances."""

    def done() -> bool:
        accepted = set(journalled(served.data))
        store = books(served.data, org)
        others = books(served.data, "highland" if org == "tidewater" else "tidewater")
        return accepted <= store.marked | set(store.dead) | others.marked | set(others.dead)

    until(done, 30.0)


def each_once(promises: Promises, served: Served, *, but_lost: int = 0) -> Verdict:
    """Every saved event was applied, once; `but_lost`: so many at most may be reported lost instead."""
    settled(served)
    verdict = judge(promises, served.data)
    nowhere = sorted((promises.saved[each].generation, promises.saved[each].seq) for each in verdict.vanished)
    known = [(loss["generation"], loss["missing"]) for loss in promises.losses if loss["told"]]
    assert not nowhere, (
        f"of {len(promises.saved)} saved events these are nowhere: {nowhere}; reported: {known}"
    )
    gone = verdict.reported_lost - verdict.applied
    assert len(gone) <= but_lost, f"{len(gone)} events are lost, though reported"
    if not but_lost:
        assert verdict.applied == set(promises.saved)
    return verdict
