"""`holdfast verify` and `holdfast token`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from holdfast.access.tokens import Tokens
from holdfast.cli.desk import desk, org_id
from holdfast.core.clock import SystemClock
from holdfast.journal.port import Finding
from holdfast.journal.reader import Reader
from holdfast.journal.recovery import look
from holdfast.settings import Settings
from holdfast.wiring import make_keys


class Report(msgspec.Struct, rename="camel"):
    """What a proof came to."""

    good: bool
    segments: int
    events: int
    findings: list[Finding]
    ledger: list[dict[str, Any]]


async def verify(settings: Settings, data: Path | None, url: str | None, token: str | None) -> Report:
    """Prove the journal's files as they lie, and take the ledger from the portal."""
    reader = Reader(settings.folder / "logs", await asyncio.to_thread(look, settings.folder / "logs"))
    try:
        findings = await asyncio.to_thread(lambda: list(reader.verify()))
        events = sum(sum(lanes.values()) for place in reader.places for lanes in place.counts.values())
        async with desk(data=data, url=url, token=token) as at:
            said = await at.call("GET", "/api/admin/offline/ledger")
        good = not findings and bool(said["balanced"])
        return Report(good, reader.number, events, findings, said["items"])
    finally:
        reader.close()


async def make_token(settings: Settings, data: Path | None, role: str, slug: str | None, days: int) -> str:
    """A token of a role, for an org named by its slug."""
    tokens = Tokens(make_keys(settings), SystemClock())
    org = None
    if slug is not None:
        async with desk(data=data) as at:
            org = await org_id(at, slug)
    return tokens.mint("service" if role == "service" else "operator", org, ttl_s=days * 86_400)
