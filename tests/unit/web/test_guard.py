"""No route escapes the guard, and the guard does what the policy's table says: cell by cell, over HTTP."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.routing import Mount, Route

import holdfast
from holdfast.access.policy import TABLE
from holdfast.core.errors import Rejected
from holdfast.web import app as web_app
from holdfast.web.app import App, Door
from holdfast.web.calls import Call
from holdfast.web.openapi import call_for
from holdfast.web.table import CALLS
from holdfast.wiring import make_app
from tests.unit.web.portals import Asker, House, house

EVERY_CALL = (*CALLS, call_for(CALLS, ()))
REFUSALS = {"not_signed_in", "forbidden", "org_forbidden", "csrf_refused"}


class Who(NamedTuple):
    """One kind of asker in one org: their roles there by the demo's own list, not by the portal's word."""

    name: str
    named_org: str | None
    roles: frozenset[str]
    own: bool
    """Whether the org the request names, or none, is theirs to name."""


ASKERS = [
    Who("anybody", None, frozenset(), own=True),
    Who("anybody", "tidewater", frozenset(), own=True),
    Who("ada", None, frozenset({"learner"}), own=True),
    Who("ada", "tidewater", frozenset({"learner"}), own=True),
    Who("ada", "highland", frozenset({"learner"}), own=False),
    Who("ben", None, frozenset({"admin"}), own=True),
    Who("ben", "highland", frozenset({"admin"}), own=False),
    Who("ben", "no-such-org", frozenset({"admin"}), own=False),
    Who("olu", None, frozenset({"operator"}), own=True),
    Who("olu", "highland", frozenset({"operator"}), own=True),
    Who("service", None, frozenset({"service"}), own=True),
    Who("service", "tidewater", frozenset({"service"}), own=True),
    Who("service", "highland", frozenset({"service"}), own=False),
]


def expected(call: Call, who: Who) -> str | None:
    """The refusal that the table's row asks for; None for let in. Written apart from the portal's own."""
    rule = TABLE[call.action]
    if rule.scope == "public":
        return None
    if who.name == "anybody":
        return "not_signed_in"
    if not who.own:
        return "org_forbidden"
    if rule.scope == "signed in" or who.roles & rule.roles:
        return None
    return "forbidden"


def asker(portal: House, who: Who) -> Asker:
    if who.name == "anybody":
        return portal.anybody
    return portal.service() if who.name == "service" else portal.person(who.name)


async def ask(portal: House, call: Call, who: Who, **more: str) -> str | None:
    """What the guard said: a refusal's code, or None when the request got past it."""
    path = call.path.replace("{path:path}", "a.png").replace("{", "").replace("}", "")
    named = {**more, **({"X_Org_Id": who.named_org} if who.named_org else {})}
    # A body that every handler refuses at once: who gets past the guard changes nothing.
    body = None if call.body is None else b"[]"
    media = call.reads if call.body is bytes else "application/json"
    answer = await asker(portal, who).ask(call.method, path, body, content_type=media, **named)
    code = answer.json().get("code") if "problem" in answer.headers.get("content-type", "") else None
    assert answer.status_code not in (405, 500), (call.method, call.path, answer.text)
    return code if code in REFUSALS else None


async def test_every_call_lets_in_whom_its_row_of_the_policy_lets_in_and_nobody_else(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        wrong = []
        for call in EVERY_CALL:
            for who in ASKERS:
                said = await ask(portal, call, who)
                if said != expected(call, who):
                    where = f"{call.method} {call.path} by {who.name} in {who.named_org}"
                    wrong.append(f"{where}: {said}, the table says {expected(call, who)}")
        assert wrong == []


async def test_every_write_with_a_cookie_needs_its_csrf_token(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        for call in CALLS:
            if call.method == "GET" or call.action == "public":
                continue
            roles = TABLE[call.action].roles
            name = "ada" if "learner" in roles else "ben" if "admin" in roles else "olu"
            person = portal.person(name)
            path = call.path.replace("{", "").replace("}", "")
            media = call.reads if call.body is bytes else "application/json"
            body = None if call.body is None else _harmless(call)
            for token in (None, "nonsense", portal.person(name).headers["X-CSRF-Token"]):
                headers = {"Cookie": person.headers["Cookie"]}
                if token is not None:
                    headers["X-CSRF-Token"] = token
                stranger = Asker(portal.portal, portal.client, headers)
                answer = await stranger.ask(call.method, path, body, content_type=media)
                assert answer.json()["code"] == "csrf_refused", (call.method, call.path, token)


def _harmless(call: Call) -> bytes:
    """A body that decodes where the token in it is what is missing (beacons)."""
    bodies = {
        "/api/client/progress/batch": b'{"events":[]}',
        "/api/analytics/events/batch": b'{"events":[]}',
        "/api/client/loss": b'{"deviceId":"a","generation":1,"missing":[],"cause":"none"}',
    }
    single = b'{"id":"01890000-0000-7000-8000-000000000000","kind":"a","body":{}}'
    return bodies.get(call.path, single if call.beacon else b"{}")


async def test_no_route_of_the_app_goes_past_the_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(*_: object) -> None:
        raise Rejected("the guard was asked", code="demo_only")

    monkeypatch.setattr(web_app, "admit", nobody)
    async with house(tmp_path) as portal:
        for call in EVERY_CALL:
            path = call.path.replace("{path:path}", "a.png").replace("{", "").replace("}", "")
            answer = await portal.anybody.ask(call.method, path, b"{}" if call.body else None)
            assert answer.json()["code"] == "demo_only", (call.method, call.path)


async def test_the_apps_routes_are_the_tables_calls_and_the_page_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        app: App = make_app(portal.portal)
        doors: list[Route] = []
        others: list[Any] = []
        for route in app.router.routes:
            if isinstance(route, Route) and isinstance(route.app, Door):
                doors.append(route)
            else:
                others.append(route)
        assert [(route.path, set(route.methods or ()) - {"HEAD"}) for route in doors] == [
            (call.path, {call.method}) for call in EVERY_CALL
        ]
        calls_paths = {call.path for call in EVERY_CALL}
        beside = [r for r in others if not (isinstance(r, Route) and r.path in calls_paths)]
        assert [(type(route), route.path) for route in beside] == [
            (Mount, "/assets"),
            (Route, "/{rest:path}"),
        ]
        assert app.router.user_middleware == []


def test_every_call_names_a_row_of_the_policy_and_every_address_is_named_once() -> None:
    assert {call.action for call in EVERY_CALL} <= set(TABLE)
    addresses = [(call.method, call.path) for call in EVERY_CALL]
    assert len(addresses) == len(set(addresses))


def names_in_code() -> Iterator[tuple[Path, str]]:
    for path in Path(holdfast.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for field in ("name", "attr", "id"):
                if isinstance(named := getattr(node, field, None), str):
                    yield path, named


def test_nothing_uses_the_middleware_that_costs_five_sixths_of_the_throughput() -> None:
    assert [str(path) for path, name in names_in_code() if "BaseHTTPMiddleware" in name] == []
