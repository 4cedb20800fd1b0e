"""`holdfast serve` and `holdfast seed demo`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import anyio.to_thread
import msgspec
import structlog
from rich.text import Text

from holdfast.access.passwords import hash_password
from holdfast.access.policy import TABLE as POLICY
from holdfast.cli import say
from holdfast.cli.address import RunningAt, noted
from holdfast.cli.ground import note_start, require_start
from holdfast.core.errors import Corrupt, Misconfigured, Unavailable
from holdfast.events.envelope import Sender
from holdfast.learning import demo
from holdfast.learning.importing import demo_course
from holdfast.settings import Settings
from holdfast.web.portal import Portal
from holdfast.web.server import listen, server, settle_memory
from holdfast.web.streams import PATH as STREAM_PATH
from holdfast.wiring import make_app, opened, running, streaming

log = structlog.get_logger(__name__)


async def seed_demo(settings: Settings) -> int:
    """Seed the demonstration into a data directory; how many people were new."""
    async with opened(settings) as portal:
        note_start(settings)
        return await seed(portal)


async def seed(portal: Portal) -> int:
    """Seed the demonstration: people, courses, and one assigning event per org, applied."""
    if await portal.store.read(None, demo.is_seeded):
        return 0
    now = portal.now()
    hashed = await anyio.to_thread.run_sync(hash_password, demo.PASSWORD)
    new = await portal.store.run(None, lambda tx: demo.put_people(tx, hashed, now))
    source = demo_course()
    for each in demo.assignments():
        course = await portal.store.run(each.org, lambda tx: demo.put_courses(tx, source, now))
        body = msgspec.json.encode({"courseId": course, "userIds": [each.learner]})
        sender = Sender(each.admin, [each.org], lambda action, _: action in POLICY, on_behalf=False)
        receipt = await portal.intake.one(
            sender, kind="course.assigned", event_id=each.event_id, org=each.org, body=body, door="admin"
        )
        if receipt.status not in ("accepted", "duplicate"):
            raise Unavailable(f"the demo course could not be assigned: {receipt.reason}")
    await portal.applier.drain()
    return new


async def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Run a portal until SIGTERM or SIGINT; `ready` is called with its address once it answers."""
    require_start(settings)
    try:
        listening = listen(host, port)
    except OSError as fault:
        raise Misconfigured(
            f"can't listen on {host}:{port}: {fault.strerror}",
            hint="Another program listens there: choose another --port.",
        ) from fault
    url = f"http://{host}:{listening.getsockname()[1]}"
    async with opened(settings) as portal:
        note_start(settings)
        if settings.demo:
            with contextlib.suppress(Unavailable, Corrupt):  # a store that is out is no reason not to start
                await seed(portal)
        app = make_app(portal)
        web = server(
            app,
            head_timeout_s=settings.head_timeout_s,
            drain_timeout_s=settings.drain_timeout_s,
            taken={STREAM_PATH.encode(): streaming(portal)},
        )
        async with running(portal):
            notes = contextlib.ExitStack()
            await portal.monitor.look()
            settle_memory()
            serving = asyncio.create_task(web.serve(sockets=[listening]))
            begun = asyncio.create_task(web.opened.wait())
            await asyncio.wait([serving, begun], return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
            if not serving.done():
                notes.enter_context(noted(settings.folder, RunningAt(url, os.getpid())))
                ready(url)
            stop = asyncio.create_task(_stopped())
            await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
            portal.draining = True
            stop.cancel()
            await portal.streams.drain()
            web.should_exit = True
            await serving
            notes.close()
    log.info("portal stopped")


async def _stopped() -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()


def welcome(settings: Settings, url: str) -> None:
    """Say what to open and how to sign in."""
    say.screen.print(Text.assemble(("Holdfast", "bold"), " is open at ", (url, "bold")))
    if settings.demo:
        say.screen.print("This is a demonstration (DEV_FALLBACK is on): its data is for trying things out.")
        say.screen.print(Text.assemble("Sign in with the password ", (demo.PASSWORD, "bold"), " as"))
        for person in demo.PEOPLE:
            what = f"{person.role} of {person.org}" if person.org else "operator of the platform"
            say.screen.print(f"  {person.email:<26} {what}")
    say.screen.print(f"Work that is saved: {settings.folder / 'logs' / 'offline-sync.jsonl'}")
    say.screen.print("Stop it with Ctrl-C.")
