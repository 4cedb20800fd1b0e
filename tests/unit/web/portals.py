"""A whole portal without sockets: the app itself, asked through ASGI, on a folder of the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from holdfast.access.passwords import hash_password
from holdfast.access.principal import Membership, Principal
from holdfast.cli.serving import seed
from holdfast.core.clock import Clock
from holdfast.core.ids import uuid7
from holdfast.learning import demo
from holdfast.settings import Settings
from holdfast.web.portal import Portal
from holdfast.wiring import make_app, opened

ORGS = {"ada": "tidewater", "ben": "tidewater", "cleo": "highland", "dan": "highland", "olu": None}
ROLES = {"ada": "learner", "ben": "admin", "cleo": "learner", "dan": "admin", "olu": "operator"}


class Asker:
    """Somebody who asks the app: their proof goes with each request."""

    def __init__(self, portal: Portal, client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        self.portal = portal
        self.headers = headers
        self._client = client

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:  # noqa: ANN401
        """Send one request; a header's name is written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else None if body is None else msgspec.json.encode(body)
        if content is not None:
            named.setdefault("content-type", "application/json")
        return await self._client.request(method, path, content=content, headers={**self.headers, **named})

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """Read."""
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:  # noqa: ANN401
        """Write."""
        return await self.ask("POST", path, body, **headers)


class House:
    """A portal with the demonstration in it, and its people at the door."""

    def __init__(self, portal: Portal, client: httpx2.AsyncClient) -> None:
        self.portal = portal
        self.client = client
        self.anybody = Asker(portal, client, {})

    def person(self, name: str) -> Asker:
        """One of the demo's people, with a session and its CSRF token."""
        demo_id = f"demo-{name}"
        org = ORGS[name]
        who = Principal(
            user_id=demo_id,
            name=name,
            email=f"{name}@school.example",
            orgs=() if org is None else (Membership(org, org, (ROLES[name],)),),  # type: ignore[arg-type]
            operator=org is None,
            org=org,
        )
        token = self.portal.sessions.issue(who)
        session_id = self.portal.sessions.verify(token).session_id
        headers = {"Cookie": f"holdfast_session={token}", "X-CSRF-Token": self.portal.csrf.issue(session_id)}
        return Asker(self.portal, self.client, headers)

    def service(self, org: str = "tidewater") -> Asker:
        """A service of an org."""
        token = self.portal.tokens.mint("service", org, ttl_s=3600)
        return Asker(self.portal, self.client, {"Authorization": f"Bearer {token}"})

    async def settle(self) -> None:
        """Let the applier do everything there is to do."""
        await self.portal.applier.drain()


@asynccontextmanager
async def house(
    folder: Path,
    *,
    peer: str = "203.0.113.9",
    clock: Clock | None = None,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[House]:
    """A portal, not running: the test lets its applier work by `settle`. `peer` is who connects."""
    # What is better is better at once here; the dwell has tests of its own.
    settings = {"health_dwell_s": 1e-9, **settings}
    async with opened(Settings(data_dir=folder, **settings), clock) as portal:
        portal.telling.fresh_s = 0.0
        await _seed(portal)
        await portal.monitor.look()
        transport = httpx2.ASGITransport(app=make_app(portal), client=(peer, 40_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal.example") as client:
            yield House(portal, client)


async def _seed(portal: Portal) -> None:
    if portal.settings.demo:
        await seed(portal)
        return
    hashed, now = hash_password(demo.PASSWORD), portal.now()
    await portal.store.run(None, lambda tx: demo.put_people(tx, hashed, now))


def completed(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A `lesson.completed` of Tidewater's, of a course that need not be there."""
    body = {"courseId": "tides", "lessonId": "ebb"}
    return {"id": uuid7(), "kind": "lesson.completed", "orgId": "tidewater", "body": body, **more}


def recorded(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    """An `analytics.recorded` of Tidewater's."""
    body = {"name": "page.opened"}
    return {"id": uuid7(), "kind": "analytics.recorded", "orgId": "tidewater", "body": body, **more}


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a problem document; fails where it is none."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["title"]
    assert said["type"].endswith(said["code"])
    return answer.status_code, said["code"]
