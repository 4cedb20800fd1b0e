"""The portal, hollow: its own app and door, behind which nothing happens to what it reads.

Guard, session, CSRF token, rate limit and the reading of each event (`Judge.judge`) are the portal's
own. Its intake answers `accepted` with a made-up position: no window of ids, no journal, no sync, no
device book, no applier. It is served as the portal is.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Final

import uvloop

from holdfast.core.clock import Clock, SystemClock, rfc3339
from holdfast.events.devices import DeviceState
from holdfast.events.envelope import Batch, Judge, Sender, Stamp
from holdfast.events.intake import Counters, Receipt, Receipts
from holdfast.journal.memory import MemoryJournal
from holdfast.settings import load
from holdfast.web.server import listen, server, settle_memory
from holdfast.wiring import assemble, make_app, make_keys, make_store

POSITION: Final = f"{1:016d}"
SEEN: Final = DeviceState(1, [])


class HollowIntake:
    """Takes events in and lets them go: each is judged and answered for."""

    def __init__(self, judge: Judge, clock: Clock) -> None:
        """The portal's own judge and clock."""
        self._judge = judge
        self._clock = clock
        self.counters = Counters()

    async def batch(self, sender: Sender, batch: Batch, door: str) -> Receipts:
        """A receipt for every event. Raises Rejected for one that is not good: the bench sends none."""
        stamp = Stamp(sender, batch, door, rfc3339(self._clock.now_s()))
        judge = self._judge.judge
        events = [judge(raw, stamp) for raw in batch.events]
        answers = [Receipt(event.id, "accepted", POSITION, "fsync") for event in events]
        return Receipts(answers, SEEN if batch.device_id else None, 0)


async def serve(data: Path) -> None:
    """Serve until SIGTERM, on a port of the system's choice. `data`: a folder with the portal's people."""
    listening = listen("127.0.0.1", 0)
    settings = load(data_dir=data)
    store = make_store(settings)
    clock = SystemClock()
    portal = assemble(settings, MemoryJournal(), store, clock, make_keys(settings))
    portal.intake = HollowIntake(portal.judge, clock)  # type: ignore[assignment]
    web = server(
        make_app(portal),
        head_timeout_s=settings.head_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
    )
    settle_memory()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: setattr(web, "should_exit", True))
    try:
        await web.serve(sockets=[listening])
    finally:
        store.close()


def main() -> None:
    """`python -m bench.hollow --data DIR`."""
    ask = argparse.ArgumentParser(prog="python -m bench.hollow")
    ask.add_argument("--data", type=Path, required=True)
    uvloop.run(serve(ask.parse_args().data))


if __name__ == "__main__":
    main()
