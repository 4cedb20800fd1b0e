"""The devices' sequence numbers in the store: what `devices` answers from after a start.

The applier remembers the rows it wrote, so that a device that goes on sending costs no look into the
store. The lease makes that safe: what is remembered was committed under it, and is forgotten whenever
it is taken anew. Whoever else changes `devices` takes the lease in the same transaction
(`marks.take_lease`): the applier's next batch is then refused, and it begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final, cast

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


class Heard(msgspec.Struct):
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


_Row = tuple[Ranges, str]
"""(ranges, when it was heard last)"""


class Remembered:
    """Rows of `devices` as they were last committed under the lease; at most `size` of them."""

    def __init__(self, size: int = 20_000) -> None:
        """`size`: about 400 bytes each."""
        self._size = size
        self._rows: dict[Device, _Row] = {}

    def get(self, device: Device) -> _Row | None:
        """What is remembered of a device."""
        return self._rows.get(device)

    def committed(self, rows: Mapping[Device, _Row]) -> None:
        """These rows are in the store now."""
        if len(self._rows) + len(rows) > self._size:
            self._rows = {}
        self._rows.update(rows)

    def forget(self) -> None:
        """The lease is another, or may be."""
        self._rows = {}


def note(tx: Tx, heard: Mapping[Device, Heard], remembered: Remembered) -> None:
    """Fold numbers into what the store knows, in an unbound transaction."""
    if not heard:
        return
    known = {key: row for key in heard if (row := remembered.get(key)) is not None}
    if len(known) < len(heard):
        known |= _stored(tx, [key for key in heard if key not in known])
    now: dict[Device, _Row] = {}
    for key, each in heard.items():
        ranges, before_at = known.get(key) or ([], each.seen_at)
        now[key] = (_folded(ranges, each.seqs), max(before_at, each.seen_at))
    rows = [(*key, msgspec.json.encode(ranges).decode(), seen_at) for key, (ranges, seen_at) in now.items()]
    tx.many(_upsert(cast("_EngineInsert", type(tx.insert(devices)))), rows)
    tx.on_commit(lambda: remembered.committed(now))


def _folded(ranges: Ranges, seqs: list[int]) -> Ranges:
    """The ranges with more numbers in, as a list of its own: the transaction may yet fail."""
    if ranges:
        low, upto = ranges[-1]
        if seqs == list(range(upto + 1, upto + 1 + len(seqs))):
            # What a device sends nearly always: the numbers that follow on.
            return [*ranges[:-1], [low, upto + len(seqs)]]
    return union([[low, high] for low, high in ranges], merge([], seqs))


def _stored(tx: Tx, wanted: Iterable[Device]) -> dict[Device, _Row]:
    users: dict[str, dict[str, None]] = {}
    for org, user, _, _ in wanted:
        users.setdefault(org, {})[user] = None
    stored: dict[Device, _Row] = {}
    for org, named in users.items():
        listed = list(named)
        for at in range(0, len(listed), IN_LIST):
            for row in tx.rows(_STORED, {"org": org, "users": listed[at : at + IN_LIST]}):
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


class Hearing:
    """Notes which numbers of which devices a batch holds."""

    __slots__ = ("_device", "_generation", "_known", "_org", "_user", "devices")

    def __init__(self) -> None:
        """Nothing heard yet."""
        self.devices: dict[Device, Heard] = {}
        self._known = Heard([], "")
        self._org = self._user = self._device = ""
        self._generation = -1

    def hear(self, envelope: Envelope, received_at: str) -> None:
        """Note an event's number, where a device gave it one, and when it was received."""
        seq, device = envelope.seq, envelope.device_id
        if seq is None or device is None:
            return
        # A device's events stand together: comparing costs half of looking up by four things.
        if (
            device != self._device
            or envelope.actor_id != self._user
            or envelope.generation != self._generation
            or envelope.org_id != self._org
        ):
            self._org, self._user, self._device, self._generation = key = (
                envelope.org_id, envelope.actor_id, device, envelope.generation,
            )  # fmt: skip
            self._known = self.devices.setdefault(key, Heard([], received_at))
        known = self._known
        known.seqs.append(seq)
        if received_at > known.seen_at:  # noqa: PLR1730 - a call costs more than the comparison
            known.seen_at = received_at
