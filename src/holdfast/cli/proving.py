"""`holdfast token`."""

from __future__ import annotations

from pathlib import Path

from holdfast.access.tokens import Tokens
from holdfast.cli.desk import desk, org_id
from holdfast.core.clock import SystemClock
from holdfast.settings import Settings
from holdfast.wiring import make_keys


async def make_token(settings: Settings, data: Path | None, role: str, slug: str | None, days: int) -> str:
    """A token of a role, for an org named by its slug."""
    tokens = Tokens(make_keys(settings), SystemClock())
    org = None
    if slug is not None:
        async with desk(data=data) as at:
            org = await org_id(at, slug)
    return tokens.mint("service" if role == "service" else "operator", org, ttl_s=days * 86_400)
