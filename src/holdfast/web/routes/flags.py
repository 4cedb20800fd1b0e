"""What is switched on for whoever asks, and which build of the page this portal serves."""

from __future__ import annotations

import asyncio
from typing import Final

from holdfast.web import page
from holdfast.web.calls import Ask, Call, Said

MOST_DEVICE_CHARS: Final = 128


class Switched(Said):
    """Each feature flag, and the page's build; `build` is null where no page is built.

    Whoever has not signed in may say what their device calls itself in `X-Holdfast-Device`; a flag that
    is on for a share of people then is on for the same devices each time.
    """

    flags: dict[str, bool]
    build: str | None


async def show(ask: Ask) -> Switched:
    """The caller's flags."""
    device = ask.headers.get("x-holdfast-device", "")[:MOST_DEVICE_CHARS]
    folder = ask.portal.settings.client_dir or page.CLIENT
    return Switched(
        flags=ask.portal.flags.for_principal(ask.who, device or None),
        build=await asyncio.to_thread(page.build_of, folder),
    )


CALLS: Final = (
    Call("GET", "/api/client/flags", show, "public", Switched, "What is switched on for you, and the build"),
)
