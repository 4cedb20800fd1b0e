"""Beacons: a page that goes away can set no header, so the CSRF token may stand in the body."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.web.portals import Asker, House, completed, house, problem, recorded

LOSS = {"deviceId": "phone", "generation": 1, "missing": [[3, 4]], "cause": "storage was cleared"}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


def beacon(portal: House, name: str) -> tuple[Asker, str]:
    """Somebody with a cookie and no header, and the token their page holds."""
    person = portal.person(name)
    return Asker(portal.portal, portal.client, {"Cookie": person.headers["Cookie"]}), person.headers[
        "X-CSRF-Token"
    ]


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "/api/client/progress/batch": lambda: {"events": [completed()]},
    "/api/analytics/events/batch": lambda: {"events": [recorded()]},
    "/api/client/progress": completed,
    "/api/analytics/events": recorded,
    "/api/client/loss": lambda: dict(LOSS),
}


@pytest.mark.parametrize("path", CASES)
async def test_a_beacon_is_taken_with_the_token_in_its_body_and_refused_without(
    portal: House, path: str
) -> None:
    page, token = beacon(portal, "ada")
    other = portal.person("ada").headers["X-CSRF-Token"]  # of another session of the same person
    body = CASES[path]()
    for wrong in ({}, {"csrfToken": "nonsense"}, {"csrfToken": other}):
        # sendBeacon can't say application/json without asking first.
        raw = msgspec.json.encode({**body, **wrong})
        refused = await page.ask("POST", path, raw, content_type="text/plain;charset=UTF-8")
        assert problem(refused) == (403, "csrf_refused")
    raw = msgspec.json.encode({**body, "csrfToken": token})
    taken = await page.ask("POST", path, raw, content_type="text/plain;charset=UTF-8")
    assert taken.status_code == 202, taken.text
    said = taken.json()
    receipt = said["receipt"] if "receipt" in said else said["receipts"][0]
    assert receipt["status"] == "accepted"
    assert (await portal.person("olu").get("/api/admin/offline/ledger")).json()["balanced"]


async def test_a_wrong_token_in_the_header_is_not_saved_by_a_right_one_in_the_body(portal: House) -> None:
    page, token = beacon(portal, "ada")
    body = {"events": [completed()], "csrfToken": token}
    answer = await page.post("/api/client/progress/batch", body, X_CSRF_Token="nonsense")
    assert problem(answer) == (403, "csrf_refused")


async def test_only_beacons_may_be_plain_text(portal: House) -> None:
    ben = portal.person("ben")
    answer = await ben.ask("POST", "/api/admin/courses", b'{"title":"A"}', content_type="text/plain")
    assert problem(answer) == (415, "unsupported_media_type")


async def test_a_bearer_token_needs_no_csrf_token(portal: House) -> None:
    answer = await portal.service().post("/api/client/progress/batch", {"events": [completed()]})
    assert answer.status_code == 202
