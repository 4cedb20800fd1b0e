"""The portal as it is, with somebody who tells its strangers ten things a second: `--data DIR`.

`POST /…` is nobody's here: what is told is told inside, at the feed, with the time it was told at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Final

import uvloop

from holdfast.settings import load
from holdfast.web.server import listen, server, settle_memory
from holdfast.web.streams import PATH
from holdfast.web.telling import STRANGERS
from holdfast.wiring import make_app, opened, running, streaming

PER_S: Final = 10
FILL: Final = "x" * 200
"""With the frame about as long as the peer's messages."""


async def serve(data: Path) -> None:
    """Serve until SIGTERM; SIGUSR1 begins to tell, SIGUSR2 ends it."""
    listening = listen("127.0.0.1", 0)
    async with opened(load({"HOLDFAST_MOST_STREAMS": "20000"}, data_dir=data)) as portal:
        web = server(
            make_app(portal),
            head_timeout_s=15.0,
            drain_timeout_s=2.0,
            taken={PATH.encode(): streaming(portal)},
        )
        stop, telling = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, telling.set)
        loop.add_signal_handler(signal.SIGUSR2, telling.clear)

        async def nothing() -> None:
            """What the portal would tell by itself would come between."""

        portal.telling.tell = nothing  # type: ignore[method-assign]
        portal.telling.fresh_s = float("inf")

        async def tell() -> None:
            number = 0
            next_s = 0.0
            while True:
                await telling.wait()
                number += 1
                next_s = max(next_s + 1 / PER_S, time.monotonic())
                said = {"status": "ok", "n": number, "at": time.monotonic_ns(), "fill": FILL}
                portal.feed.publish(STRANGERS.topic, said)
                await asyncio.sleep(next_s + 1 / PER_S - time.monotonic())

        async with running(portal):
            await portal.monitor.look()
            settle_memory()
            serving = asyncio.create_task(web.serve(sockets=[listening]))
            await web.opened.wait()
            print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
            teller = asyncio.create_task(tell())
            await stop.wait()
            teller.cancel()
            portal.draining = True
            await portal.streams.drain()
            web.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await serving


def main() -> None:
    """`python -m bench.telling --data DIR`."""
    ask = argparse.ArgumentParser(prog="python -m bench.telling")
    ask.add_argument("--data", type=Path, required=True)
    uvloop.run(serve(ask.parse_args().data))


if __name__ == "__main__":
    main()
