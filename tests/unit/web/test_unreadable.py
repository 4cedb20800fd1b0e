"""What not everybody can read: refused at the door, and in nobody's way where a journal holds it already."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.store import schema
from tests.records import event
from tests.unit.web.portals import House, completed, house, problem, recorded
from tests.unit.web.test_replay import balanced, replayed, rows

BATCH = "/api/analytics/events/batch"
LETTERS = "/api/admin/offline/deadletters"
EXPORT = "/api/admin/offline/export?orgId=tidewater&userId=demo-ada"
BROKEN = b'{"name":"page.opened","data":{"a":"\xff"}}'


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


def of(body: bytes, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return recorded(body=msgspec.Raw(body), **more)


async def journalled(portal: House, *bodies: bytes, kind: str = "analytics.recorded") -> list[str]:
    """Events as a journal may hold them from before they were refused; their ids."""
    made = [
        event(number, lane="analytics", kind=kind, user="demo-ada", raw=body)
        for number, body in enumerate(bodies)
    ]
    await portal.portal.journal.append(made)
    await portal.settle()
    return [each.id for each in made]


@pytest.mark.parametrize(
    "data",
    [b'{"a":"\xff"}', b'{"\xed\xa0\x80":1}', b'{"a":1e999}', b'{"a":18446744073709551616}',
     b'{"email":18446744073709551616}', b'{"a":' + b"[" * 80 + b"]" * 80 + b"}"],
)  # fmt: skip
async def test_what_nobody_could_read_again_is_refused_and_its_neighbours_go_on(
    portal: House, data: bytes
) -> None:
    bad = of(b'{"name":"page.opened","data":' + data + b"}")
    answer = await portal.person("ada").post(BATCH, {"events": [recorded(), bad, recorded()]})
    assert answer.status_code == 202, answer.text
    receipts = answer.json()["receipts"]
    assert [each["status"] for each in receipts] == ["accepted", "invalid", "accepted"]
    assert receipts[1]["id"] == bad["id"]
    await portal.settle()
    assert not portal.portal.applier.stopped
    assert (await portal.service().get(LETTERS)).json()["items"] == []


@pytest.mark.parametrize("data", [b'{"a":"\\ud800"}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"])
async def test_half_a_pair_or_no_end_of_brackets_leaves_the_whole_request_unread_for_its_sender_to_part(
    portal: House, data: bytes
) -> None:
    bad = of(b'{"name":"page.opened","data":' + data + b"}")
    answer = await portal.person("ada").post(BATCH, {"events": [recorded(), bad]})
    assert problem(answer) == (400, "malformed")


@pytest.mark.parametrize(
    "kind, body",
    [
        ("lesson.progressed", b'{"courseId":"c","lessonId":"l","percent":1e999}'),
        ("lesson.completed", b'{"courseId":"c","lessonId":"\xff"}'),
        ("quiz.answered", b'{"courseId":"c","lessonId":"l","questionId":"q","choiceIds":["\xff"]}'),
    ],
)
async def test_so_is_what_any_other_kind_holds_of_that_sort(portal: House, kind: str, body: bytes) -> None:
    bad = completed(kind=kind, body=msgspec.Raw(body))
    answer = await portal.person("ada").post("/api/client/progress/batch", {"events": [bad, completed()]})
    assert [each["status"] for each in answer.json()["receipts"]] == ["invalid", "accepted"]


async def test_a_journal_that_holds_it_goes_on_and_each_becomes_a_letter(portal: House) -> None:
    ids = await journalled(portal, *[BROKEN] * 100, b'{"name":"page.opened"}')
    assert not portal.portal.applier.stopped
    assert [row[1] for row in await rows(portal, schema.analytics_events)] == ids[100:]
    items = (await portal.service().get(f"{LETTERS}?limit=200")).json()["items"]
    assert [(each["code"], each["reason"]) for each in items] == [("invalid", "data is not UTF-8")] * 100
    assert await balanced(portal)


async def test_such_a_letter_is_shown_as_text_redriven_mended_and_discarded(portal: House) -> None:
    ids = await journalled(portal, BROKEN, BROKEN, BROKEN)
    service = portal.service()
    shown = (await service.get(f"{LETTERS}/{ids[0]}")).json()
    assert '"data":{"a":"\ufffd"}' in shown["record"]
    assert shown["hint"].startswith("Not everybody could read the record as JSON: it is shown as text")
    tried = (await service.post(f"{LETTERS}/{ids[0]}/redrive")).json()
    assert (tried["status"], tried["redrives"], tried["code"]) == ("parked", 1, "invalid")
    mended = {"body": {"name": "page.opened", "data": {"a": "y"}}, "reason": "it was cut"}
    assert (await service.post(f"{LETTERS}/{ids[1]}/redrive", mended)).json()["status"] == "redriven"
    gone = await service.post(f"{LETTERS}/{ids[2]}/discard", {"reason": "nobody needs it"})
    assert gone.json()["status"] == "discarded"
    assert await balanced(portal)


async def test_a_replay_of_such_letters_is_done_and_says_why_they_still_fail(portal: House) -> None:
    await journalled(portal, BROKEN)
    job = await replayed(portal.service(), portal, source="deadLetters")
    assert (job["status"], job["counts"]["refused"]) == ("done", 1), job
    assert [each["code"] for each in job["problems"]] == ["invalid"]


async def test_an_export_gives_what_cannot_be_read_as_text(portal: House) -> None:
    await journalled(portal, BROKEN, b'{"name":"page.opened","data":{"a":1e999}}')
    answer = await portal.service().get(EXPORT)
    events = json.loads(answer.content.decode())["events"]
    assert [type(each) for each in events] == [str, str]
    assert '"a":"\ufffd"' in events[0]
    assert '"a":1e999' in events[1]
    msgspec.json.encode(msgspec.json.decode(answer.content))
