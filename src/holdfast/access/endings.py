"""What was ended before its time, and is remembered wherever it can be.

Sessions and tokens prove themselves, so ending one means knowing of it at the next request. An ending
is in memory at once, in a file beside the journal so that it holds through a restart while the store is
out, and in the store, where it stands in the same transaction as the act that caused it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterable
from functools import partial
from hmac import digest
from pathlib import Path
from typing import Final

import msgspec
import structlog
from sqlalchemy import delete, select

from holdfast.core.clock import Clock, parse_rfc3339, rfc3339
from holdfast.core.errors import Corrupt, Unavailable
from holdfast.store.port import Store, Tx
from holdfast.store.schema import endings

log = structlog.get_logger(__name__)

NAME: Final = "ended.jsonl"
SESSION_S: Final = 14 * 86_400.0 + 300.0
"""How long after its ending the last cookie of a session may still be shown: its age, and clocks apart."""
TOKEN_S: Final = 365 * 86_400.0 + 300.0
_ROUNDING_S: Final = 0.001
"""The store keeps milliseconds."""


class Ending(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was made before `at_s` counts no more; from `until_s` on it would not anyway (s since 1970)."""

    what: str
    at_s: float
    until_s: float
    kept: str = ""
    """The one session that goes on: the one in which somebody changed their password."""


def session(session_id: str) -> str:
    """The name of one session."""
    return f"session {session_id}"


def token(token_id: str) -> str:
    """The name of one bearer token."""
    return f"token {token_id}"


class Names:
    """Names of what is people's, by a hash: who is erased must not be read in a list of endings."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def person(self, user_id: str) -> str:
        """All sessions of a person."""
        return f"person {self._hash(user_id)}"

    def member(self, org: str, user_id: str) -> str:
        """What a person's sessions say of one org; their others are no business of its admins."""
        one = self._hash(f"{org}\n{user_id}")
        return f"member {one}"

    def _hash(self, text: str) -> str:
        return digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


class Endings:
    """All that a portal knows of; one for each process. Units of work may call it from their thread."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        """`path`: the file, None to do without. What stands in it is known at once."""
        self._clock = clock
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, Ending] = {}
        self._unstored: dict[str, Ending] = {}
        self._unfiled: dict[str, Ending] = {}
        self._sweep_at = 1024
        if path is not None:
            self._open(path)

    def of(self, what: str) -> Ending | None:
        """How it was ended; None when it was not."""
        return self._known.get(what)

    @property
    def unwritten(self) -> int:
        """How many the store does not know of yet."""
        return len(self._unstored)

    def end(self, what: str, *, lasts_s: float = SESSION_S, kept: str = "") -> None:
        """End it here and now; `flush` makes it last."""
        now = self._clock.now_s()
        ending = Ending(what, now, now + lasts_s, kept)
        with self._lock:
            if self._take(ending):
                self._unstored[what] = self._unfiled[what] = ending

    def end_with(self, tx: Tx, what: str, *, lasts_s: float = SESSION_S, kept: str = "") -> None:
        """End it together with a unit of work: all of both, or nothing.

        It counts from the commit on: who signed in between is out too, having been let in by what was
        before.
        """
        now = self._clock.now_s()
        write(tx, [Ending(what, now, now + lasts_s, kept)])
        tx.on_commit(lambda: self.end(what, lasts_s=lasts_s, kept=kept))

    def load(self, found: Iterable[Ending]) -> None:
        """Learn what the store knows, as `read` gives it."""
        with self._lock:
            for ending in found:
                if self._take(ending):
                    self._unfiled[ending.what] = ending
                mine = self._unstored.get(ending.what)
                if mine is not None and ending.at_s >= mine.at_s - _ROUNDING_S:
                    del self._unstored[ending.what]

    async def flush(self, store: Store) -> bool:
        """Write what file and store don't know of; False when the store can't be reached.

        What could not be written is kept for the next time; writing twice does no harm.
        """
        await self.keep()
        with self._lock:
            owed = list(self._unstored.values())
        if not owed:
            return True
        try:
            await store.run(None, partial(_write_and_forget, ended=owed, now_s=self._clock.now_s()))
        except (Unavailable, Corrupt):
            return False
        with self._lock:
            for ending in owed:
                if self._unstored.get(ending.what) is ending:
                    del self._unstored[ending.what]
        return True

    def _take(self, ending: Ending) -> bool:
        mine = self._known.get(ending.what)
        if mine is not None and mine.at_s >= ending.at_s - _ROUNDING_S:
            return False
        self._known[ending.what] = ending
        if len(self._known) >= self._sweep_at:
            now = self._clock.now_s()
            self._known = {what: one for what, one in self._known.items() if one.until_s > now}
            self._sweep_at = max(1024, 2 * len(self._known))
        return True

    # The file: a line for each, written anew at a start when half of it is past

    def _open(self, path: Path) -> None:
        decode = msgspec.json.Decoder(Ending).decode
        now = self._clock.now_s()
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for line in lines:
            with contextlib.suppress(
                msgspec.DecodeError, UnicodeDecodeError
            ):  # torn, or the first one, which is empty
                ending = decode(line)
                if ending.until_s > now:
                    self._take(ending)
        self._unstored = dict(self._known)
        if len(lines) < 2 * len(self._known) + 2:
            return
        beside = path.with_suffix(".new")
        try:
            _write(beside, os.O_TRUNC, self._known.values())
            beside.replace(path)
            _sync_folder(path.parent)
        except OSError as fault:
            # A full disk keeps no portal from starting, and the long file says the same.
            log.warning("the file of endings stays long", fault=str(fault))

    async def keep(self) -> None:
        """Write what the file does not know of, for a restart while the store is out."""
        with self._lock:
            owed = list(self._unfiled.values())
        if self._path is None or not owed:
            return
        try:
            await asyncio.to_thread(self._append, self._path, owed)
        except OSError as fault:
            log.warning("endings can't be kept beside the journal", fault=str(fault))
            return
        with self._lock:
            for ending in owed:
                if self._unfiled.get(ending.what) is ending:
                    del self._unfiled[ending.what]

    @staticmethod
    def _append(path: Path, owed: list[Ending]) -> None:
        new = not path.exists()
        _write(path, os.O_APPEND, owed)
        if new:
            _sync_folder(path.parent)


def _write(path: Path, how: int, lines: Iterable[Ending]) -> None:
    """Each line begins with a line break: a torn one before it spoils nothing but itself."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(b"".join(b"\n" + msgspec.json.encode(one) for one in lines))
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# Units of work on the table; all unbound, because most endings belong to no org


def write(tx: Tx, ended: Iterable[Ending]) -> None:
    """Note endings; of two for one thing the later stays."""
    for ending in ended:
        row = {
            "what": ending.what,
            "ended_at": rfc3339(ending.at_s),
            "expires_at": rfc3339(ending.until_s),
            "kept_session": ending.kept or None,
        }
        added = tx.insert(endings).values(**row)
        later = {name: added.excluded[name] for name in ("ended_at", "expires_at", "kept_session")}
        tx.run(
            added.on_conflict_do_update(
                index_elements=["what"], set_=later, where=endings.c.ended_at <= added.excluded.ended_at
            )
        )


def read(tx: Tx, now_s: float, since_s: float = 0.0) -> list[Ending]:
    """The endings since then (s since 1970) of what has not all expired by itself."""
    found = select(endings).where(
        endings.c.expires_at > rfc3339(now_s), endings.c.ended_at >= rfc3339(since_s)
    )
    return [
        Ending(row.what, parse_rfc3339(row.ended_at), parse_rfc3339(row.expires_at), row.kept_session or "")
        for row in tx.rows(found)
    ]


def _write_and_forget(tx: Tx, ended: Iterable[Ending], now_s: float) -> None:
    tx.run(delete(endings).where(endings.c.expires_at <= rfc3339(now_s)))
    write(tx, ended)
