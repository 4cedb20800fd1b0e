"""The devices' sequence numbers in the store: what `devices` answers from after a start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, cast

import msgspec
from sqlalchemy import Insert, bindparam, select

from holdfast.events.devices import Ranges, merge, union
from holdfast.events.entry import Envelope
from holdfast.store.port import Tx
from holdfast.store.schema import devices

Device = tuple[str, str, str, int]
"""(org, user, device, generation)"""

IN_LIST: Final = 500
"""Most values in one IN: engines have a limit."""


class Heard(NamedTuple):
    """What a batch held of one device."""

    seqs: list[int]
    seen_at: str


_STORED = select(
    devices.c.user_id, devices.c.device_id, devices.c.generation, devices.c.seqs, devices.c.seen_at
).where(
    # By users alone, who have few devices each: a list of pairs makes SQLite read the whole table.
    devices.c.org_id == bindparam("org"),
    devices.c.user_id.in_(bindparam("users", expanding=True)),
)


def note(tx: Tx, heard: Mapping[Device, Heard]) -> None:
    """Fold numbers into what the store knows, in an unbound transaction."""
    if not heard:
        return
    stored = _stored(tx, heard)
    rows = []
    for key, (seqs, seen_at) in heard.items():
        ranges, before_at = stored.get(key) or ([], seen_at)
        rows.append((*key, msgspec.json.encode(_folded(ranges, seqs)).decode(), max(before_at, seen_at)))
    tx.many(_upsert(cast("_EngineInsert", type(tx.insert(devices)))), rows)


def _folded(ranges: Ranges, seqs: list[int]) -> Ranges:
    if ranges:
        upto = ranges[-1][1]
        if seqs == list(range(upto + 1, upto + 1 + len(seqs))):
            # What a device sends nearly always: the numbers that follow on.
            ranges[-1][1] += len(seqs)
            return ranges
    return union(ranges, merge([], seqs))


def _stored(tx: Tx, heard: Mapping[Device, Heard]) -> dict[Device, tuple[Ranges, str]]:
    users: dict[str, dict[str, None]] = {}
    for org, user, _, _ in heard:
        users.setdefault(org, {})[user] = None
    stored: dict[Device, tuple[Ranges, str]] = {}
    for org, named in users.items():
        wanted = list(named)
        for at in range(0, len(wanted), IN_LIST):
            for row in tx.rows(_STORED, {"org": org, "users": wanted[at : at + IN_LIST]}):
                user, device, generation, seqs, seen_at = tuple(row)
                stored[org, user, device, generation] = seqs, seen_at
    return stored


_EngineInsert = Callable[..., Any]


@cache
def _upsert(insert: _EngineInsert) -> Insert:
    """The one statement, once an engine."""
    statement = insert(devices).values(dict.fromkeys(devices.c.keys()))
    return cast(
        "Insert",
        statement.on_conflict_do_update(
            index_elements=list(devices.primary_key),
            set_={"seqs": statement.excluded.seqs, "seen_at": statement.excluded.seen_at},
        ),
    )


def hear(heard: dict[Device, Heard], envelope: Envelope, received_at: str) -> None:
    """Note a device's sequence number, and when it was heard last."""
    if envelope.seq is None or envelope.device_id is None:
        return
    key = (envelope.org_id, envelope.actor_id, envelope.device_id, envelope.generation)
    known = heard.get(key)
    if known is None:
        heard[key] = Heard([envelope.seq], received_at)
    else:
        known.seqs.append(envelope.seq)
        if received_at > known.seen_at:
            heard[key] = known._replace(seen_at=received_at)
