"""Builds a portal from settings: picks engines, lists probes, starts and stops in order.

The only place that names engines.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from holdfast.access import endings
from holdfast.access.audit import note_for
from holdfast.access.csrf import Csrf
from holdfast.access.endings import Endings
from holdfast.access.flags import Flags, Rollouts
from holdfast.access.keys import Keys, load_or_create_secret
from holdfast.access.members import Members
from holdfast.access.owed import Owed
from holdfast.access.rate import RateLimit
from holdfast.access.sessions import Sessions
from holdfast.access.token_list import Uses
from holdfast.access.tokens import Tokens
from holdfast.core.clock import Clock, SystemClock
from holdfast.core.errors import HoldfastError, Misconfigured
from holdfast.core.tasks import end
from holdfast.events import marks
from holdfast.events.applier import Applier
from holdfast.events.backlog import Backlog
from holdfast.events.device_loader import device_loader
from holdfast.events.devices import DeviceBook
from holdfast.events.envelope import Judge
from holdfast.events.erasing import Eraser, Person
from holdfast.events.intake import Intake
from holdfast.events.replayer import Replayer
from holdfast.events.reported import ReportedQueues
from holdfast.events.retention import Retention
from holdfast.events.room import marks_on_room
from holdfast.events.window import Window, remember
from holdfast.feed.hub import Hub
from holdfast.health.alarm_book import AlarmBook
from holdfast.health.alarms import Alarms
from holdfast.health.metrics import Metrics
from holdfast.health.monitor import Monitor
from holdfast.health.pagers import pagers_for
from holdfast.health.probes.applier import ApplierProbe, Reading
from holdfast.health.probes.clock import ClockProbe
from holdfast.health.probes.deadletters import DeadLetterProbe
from holdfast.health.probes.disk import DiskProbe
from holdfast.health.probes.feed import FeedProbe
from holdfast.health.probes.journal import JournalProbe
from holdfast.health.probes.keys import KeysProbe
from holdfast.health.probes.store import StoreProbe
from holdfast.journal.disk import Disk, OsDisk, make_folder
from holdfast.journal.file import FileJournal
from holdfast.journal.port import Journal
from holdfast.journal.recovery import LEAP
from holdfast.learning.catalog import every_kind
from holdfast.learning.forgetting import close_membership, forget, is_known
from holdfast.learning.scrub import Scrubber
from holdfast.settings import Settings
from holdfast.store import sqlite_reading
from holdfast.store.port import Store, Tx
from holdfast.store.sqlite import SqliteStore
from holdfast.web import page
from holdfast.web.app import App
from holdfast.web.condition import Condition
from holdfast.web.guard import prove, prove_now
from holdfast.web.measures import definitions
from holdfast.web.openapi import call_for
from holdfast.web.portal import Portal
from holdfast.web.routes.health import demo
from holdfast.web.server import Take
from holdfast.web.streams import Limits, Streams, headers_of
from holdfast.web.table import CALLS
from holdfast.web.telling import Audiences, Telling

log = structlog.get_logger(__name__)

LOGIN_PER_S: Final = 0.2
LOGIN_BURST: Final = 10
HEAR_ALL_S: Final = 300.0
"""How often every ending is read anew, and not only the latest."""
CROWD: Final = 8
"""From how many requests under way the applier paces itself behind intake."""


def make_keys(settings: Settings) -> Keys:
    """The portal's keys, from the setting or (DEV_FALLBACK) from a file made once."""
    if settings.secret_key is not None:
        return Keys.from_secret(settings.secret_key.encode())
    return Keys.from_secret(load_or_create_secret(settings.folder / "secret.key"))


def make_store(settings: Settings) -> Store:
    """The store's engine. Raises Conflict `store_in_use`."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    return SqliteStore(settings.folder / "store.sqlite3")


def make_journal(
    settings: Settings, clock: Clock, after: int | None = 0, disk: Disk | None = None
) -> FileJournal:
    """The journal's engine, recovered. Raises Conflict `store_in_use`.

    `after`: the store's furthest cursor, None while that is not known.
    """
    return FileJournal(
        settings.folder / "logs",
        segment_bytes=settings.segment_bytes,
        waiting_bytes=settings.waiting_bytes,
        disk=disk,
        clock=clock,
        after=after or 0,
        leap=LEAP if after is None else 0,
    )


def file_store(path: Path) -> Store:
    """A store of its own in a file, for what is folded anew."""
    return SqliteStore(path)


def read_store(settings: Settings) -> AbstractContextManager[Tx]:
    """One snapshot of the store as it lies, beside a running portal or without one."""
    return sqlite_reading.reading(settings.folder / "store.sqlite3")


def copy_store(settings: Settings, to: Path) -> None:
    """Copy the store as it is at one moment, beside a running portal or without one."""
    sqlite_reading.copy(settings.folder / "store.sqlite3", to)


def sound(settings: Settings) -> list[str]:
    """What the engine itself finds wrong with the store's file."""
    return sqlite_reading.integrity(settings.folder / "store.sqlite3")


async def stored_cursors(store: Store) -> dict[str, int] | None:
    """The lanes' cursors; None while the store can't tell."""
    try:
        return await store.read(None, marks.cursors)
    except HoldfastError as out:
        log.warning("store is out at start", reason=out.message)
        return None


def assemble(settings: Settings, journal: Journal, store: Store, clock: Clock, keys: Keys) -> Portal:
    """The parts, joined; nothing runs yet. Call it on the event loop."""
    catalog = every_kind(Scrubber(keys.scrub))
    waiting = Backlog(journal, clock)
    window = Window(settings.window_ids)
    remember(window, journal, settings.window_ids)
    ended = Endings(clock, settings.folder / endings.NAME)
    sessions, members = Sessions(keys, clock, ended), Members(store, clock)
    applier = Applier(
        journal, store, catalog, waiting, clock=clock, busy=lambda: portal.requests_under_way > CROWD
    )

    def close(tx: Tx, org: str, user: str) -> None:
        close_membership(tx, org, user)
        sessions.end_membership(tx, org, user)
        members.learn(tx, user)

    eraser = Eraser(
        journal,
        store,
        catalog,
        applier,
        Person(is_known, close, forget),
        clock=clock,
        note=note_for,
        salt=keys.scrub,
        key=keys.receipt,
    )
    judge = Judge(
        catalog, enforce_org=settings.force_org_enforcement, left=members.left, erased=eraser.is_erased
    )
    devices = DeviceBook(device_loader(store, waiting, lambda: portal.applier.caught_up))
    intake = Intake(
        journal,
        judge,
        clock=clock,
        window=window,
        devices=devices,
        slow_down_ms=waiting.slow_down_ms,
        room=marks_on_room(settings, journal, clock),
    )

    pagers = pagers_for(settings)
    period_s = settings.probe_period_s
    letters = DeadLetterProbe(store, period_s)
    feed = Hub()

    def free() -> int | None:
        return journal.stats().free_bytes

    monitor = Monitor(
        (
            JournalProbe(journal, settings.disk_hard_bytes, lambda: portal.applier.ahead_of_journal),
            StoreProbe(store, period_s),
            ApplierProbe(lambda: _reading(portal), clock),
            letters,
            DiskProbe(
                settings.folder, lambda: journal.stats().free_bytes, settings.disk_soft_bytes, 5 * period_s
            ),
            FeedProbe(feed, lambda: (portal.streams.open, settings.most_streams), period_s),
            ClockProbe(clock),
            KeysProbe(partial(_prove_keys, keys, clock), period_s),
        ),
        clock,
        settings.health_dwell_s,
    )
    portal = Portal(
        settings=settings,
        clock=clock,
        store=store,
        journal=journal,
        kinds=catalog,
        judge=judge,
        intake=intake,
        applier=applier,
        replayer=Replayer(journal, store, catalog, applier, waiting, clock=clock, note=note_for),
        eraser=eraser,
        file_store=file_store,
        waiting=waiting,
        ended=ended,
        owed=Owed(clock),
        sessions=sessions,
        csrf=Csrf(keys),
        tokens=Tokens(keys, clock, ended=ended),
        members=members,
        reported=ReportedQueues(clock),
        login_rate=RateLimit(LOGIN_PER_S, LOGIN_BURST, clock),
        batch_rate=RateLimit(settings.batches_per_s, settings.batches_burst, clock),
        monitor=monitor,
        feed=feed,
        metrics=Metrics(()),
        alarm_book=AlarmBook(settings.folder, [pager.name for pager in pagers]),
        # Another provider of OpenFeature's takes the place of `Rollouts` here.
        flags=Flags(Rollouts(settings.flag_percents)),
        open_letters=lambda: letters.letters,
    )
    condition = Condition(portal)
    portal.audiences = Audiences(portal.flags.for_principal, clock)
    portal.telling = Telling(feed, clock, condition.facts, condition.document)
    portal.streams = Streams(
        feed,
        portal.telling,
        clock,
        Limits(settings.most_streams, settings.user_streams, settings.stream_age_s),
        audience=portal.audiences.of,
        prove=lambda proof: prove_now(portal, headers_of(proof)),
        refresh=lambda proof: prove(portal, headers_of(proof)),
    )
    monitor.listen(lambda _: portal.telling.changed())
    portal.metrics = Metrics(definitions(portal))
    portal.alarms = Alarms(
        portal.metrics,
        portal.alarm_book,
        pagers,
        clock,
        known=monitor.knows,
    )
    return portal


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock | None = None, disk: Disk | None = None
) -> AsyncIterator[Portal]:
    """A portal on its data directory, not running yet; closed in order when the block ends.

    `disk`: what the journal is written to, where it is not the machine's own.
    """
    clock = clock or SystemClock()
    try:
        make_folder(settings.folder, disk or OsDisk())
    except OSError as fault:
        raise Misconfigured(
            f"the data directory {settings.folder} can't be made: {fault.strerror}",
            hint="Name another in HOLDFAST_DATA_DIR or --data, or make it writable.",
        ) from fault
    keys = make_keys(settings)
    store = make_store(settings)
    try:
        cursors = await stored_cursors(store)
        after = None if cursors is None else max(cursors.values(), default=0)
        journal = await asyncio.to_thread(make_journal, settings, clock, after, disk)
        try:
            portal = assemble(settings, journal, store, clock, keys)
            if cursors is not None:
                portal.waiting.begin(cursors)
            yield portal
        finally:
            await asyncio.to_thread(journal.close)
    finally:
        await asyncio.to_thread(store.close)


@asynccontextmanager
async def running(portal: Portal) -> AsyncIterator[None]:
    """Let the applier, the monitor and the small chores run while the block lasts."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closing
            loop.call_soon_threadsafe(portal.applier.wake)

    listen: Callable[[Callable[[], None]], None] | None = getattr(portal.journal, "listen", None)
    if listen is not None:
        listen(heard)
    days = portal.settings.replay_window_days
    keeps = Retention(portal.journal, portal.store, portal.applier, clock=portal.clock, days=days)
    tasks = [
        asyncio.create_task(portal.applier.run(), name="applier"),
        asyncio.create_task(portal.replayer.run(), name="replayer"),
        asyncio.create_task(portal.eraser.run(), name="eraser"),
        asyncio.create_task(keeps.run(), name="retention"),
        asyncio.create_task(portal.monitor.run(), name="monitor"),
        asyncio.create_task(portal.alarms.run(), name="alarms"),
        asyncio.create_task(portal.telling.run(), name="telling"),
        asyncio.create_task(portal.streams.run(), name="streams"),
        asyncio.create_task(_chores(portal), name="chores"),
    ]
    try:
        yield
    finally:
        await end(tasks)
        with contextlib.suppress(HoldfastError):
            await _write_owed(portal)
            await Uses(portal.tokens, portal.clock).flush(portal.store, now=True)


def make_app(portal: Portal) -> App:
    """The portal's ASGI app: every call, its OpenAPI document, and the page."""
    return App(
        portal,
        (*CALLS, call_for(CALLS, [kind for kind in portal.kinds if kind.door != "none"])),
        *page.routes(portal.settings.client_dir or page.CLIENT),
    )


def streaming(portal: Portal) -> Take:
    """Takes connections for the portal's streams."""
    more = f"x-holdfast-demo: {demo(portal.settings.demo)}\r\n"
    return lambda transport, headers: portal.streams.take(transport, headers, more)


async def _chores(portal: Portal) -> None:
    """Hear of what was ended; write what the store missed while it was out."""
    uses = Uses(portal.tokens, portal.clock)
    heard_all_s = float("-inf")
    while True:
        now_s, ticks_s = portal.clock.now_s(), portal.clock.ticks_s()
        try:
            # All of them now and then: another process may have been late to write an old one.
            everything = ticks_s - heard_all_s >= HEAR_ALL_S
            since_s = 0.0 if everything else now_s - 2 * HEAR_ALL_S
            ask = partial(endings.read, now_s=now_s, since_s=since_s)
            portal.ended.load(await portal.store.read(None, ask))
            heard_all_s = ticks_s if everything else heard_all_s
            portal.streams.recheck()
            await _write_owed(portal)
            await uses.flush(portal.store)
        except HoldfastError as out:
            log.debug("chores wait for the store", reason=out.message)
        await asyncio.sleep(5.0)


async def _write_owed(portal: Portal) -> None:
    await portal.ended.flush(portal.store)
    await portal.owed.flush(portal.store)


def _prove_keys(keys: Keys, clock: Clock) -> None:
    """Sign a token and verify it, with a verifier that remembers nothing."""
    tokens = Tokens(keys, clock)
    tokens.verify(tokens.mint("operator", None, ttl_s=60.0))


def _reading(portal: Portal) -> Reading:
    applier = portal.applier
    return Reading(
        backlog=portal.waiting.total() if portal.waiting.known else 0,
        lag_ms=portal.waiting.lag_ms(),
        moved_at_s=applier.moved_at_s,
        outage=applier.outage,
        stopped=dict(applier.stopped),
    )
