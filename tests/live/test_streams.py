"""Many streams: who hears what, restarts, stopping, readers who do not read, sessions that end."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.listening import PATH, Listener, listening, proof
from tests.served import NO_LIMITS, PEOPLE, SMALL_DISK, Served, completed, lesson_of, served

MANY = {**NO_LIMITS, **SMALL_DISK, "HOLDFAST_USER_STREAMS": "2000", "HOLDFAST_HEALTH_DWELL_S": "1"}
PATIENT_S = 60
PATIENT = {**MANY, "HOLDFAST_DRAIN_TIMEOUT_S": str(PATIENT_S)}
"""A portal that would wait a minute for who does not end: what stops well within it waited for nobody."""
HEARD_S = 60.0
"""What a thousand readers on a busy machine may take to hear the same."""
ORGS = {"ada": "tidewater", "ben": "tidewater", "cleo": "highland", "dan": "highland"}
STRANGERS_FIELDS = {"status", "epoch", "seq"}


async def opened(portal: Served, number: int, headers: dict[str, str] | None = None) -> list[Listener]:
    streams = [Listener(portal.url, headers) for _ in range(number)]
    for start in range(0, number, 50):
        await asyncio.gather(*(each.open() for each in streams[start : start + 50]))
    await asyncio.gather(*(each.until(bool, HEARD_S) for each in streams))
    return streams


async def closed(streams: list[Listener]) -> None:
    await asyncio.gather(*(each.close() for each in streams))


async def told(portal: Served, who: str, change: int) -> None:
    """Make an org's document change: its devices say that so many events wait on them."""
    with portal.client(who) as client:
        headers = {"X-Client-Queue-Backlog": str(change)}
        sent = await asyncio.to_thread(
            client.post, "/api/client/progress/batch", json={"deviceId": who, "events": []}, headers=headers
        )
        assert sent.status_code == 202, sent.text


async def test_nobody_ever_hears_a_byte_about_another_org(quick_path: Path) -> None:
    """Seeded random work in two orgs; every listener's bytes are looked through for the other's."""
    draw = random.Random(4)
    with served(quick_path, MANY) as portal:
        clients = {who: portal.client(who) for who in PEOPLE}
        everybody = {who: proof(client) for who, client in clients.items()}
        foreign = {**everybody["ada"], "X-Org-Id": "highland"}
        streams = {who: (await opened(portal, 1, headers))[0] for who, headers in everybody.items()}
        streams["nobody"], streams["ada abroad"] = await opened(portal, 1), await opened(portal, 1, foreign)  # type: ignore[assignment]
        streams = {who: each[0] if isinstance(each, list) else each for who, each in streams.items()}
        quiet_from = {who: len(each.events) for who, each in streams.items()}
        course, lesson = lesson_of(clients["cleo"])
        for _ in range(60):
            who = draw.choice(["cleo", "dan"])
            events = [completed(course, lesson, "highland") for _ in range(draw.randrange(4))]
            events += [completed("nowhere", "nothing", "highland")] * (draw.random() < 0.2)
            headers = {"X-Client-Queue-Backlog": str(draw.randrange(900)), "X-Client-Queue-Lag": "77000"}
            body = {"deviceId": f"{who}-{draw.randrange(3)}", "events": events}
            sent = clients[who].post("/api/client/progress/batch", json=body, headers=headers)
            assert sent.status_code == 202
            await asyncio.sleep(0.02)
        await streams["cleo"].until(lambda document: document["org"]["deadLetters"] > 0)
        await streams["olu"].until(lambda document: document["status"] == "degraded")
        await asyncio.sleep(2.5)
        for who in ("ada", "ben", "nobody", "ada abroad"):
            stream = streams[who]
            assert b"highland" not in stream.raw, who
            patches = [each for each in stream.events[quiet_from[who] :] if each.event == "patch"]
            assert patches == [], f"{who} heard that something happened in Highland"
            assert stream.document["status"] == "ok"
        assert set(streams["nobody"].document) == STRANGERS_FIELDS
        assert set(streams["ada abroad"].document) == STRANGERS_FIELDS, "not theirs, not told"
        for who, org in ORGS.items():
            assert streams[who].document["org"]["orgId"] == org
            assert "components" not in streams[who].document
        assert "components" in streams["olu"].document
        for client in clients.values():
            polled = client.get("/api/health").json()
            assert ("components" in polled) == ("olu" in client.headers["Cookie"] or client is clients["olu"])
            client.close()
        await closed(list(streams.values()))


async def test_after_a_restart_all_come_back_within_the_spread_none_lost_and_none_twice(
    quick_path: Path,
) -> None:
    number = 200
    with served(quick_path, PATIENT) as portal, portal.client("ada") as ada:
        portal.port = int(portal.url.rpartition(":")[2])
        streams = await opened(portal, number, proof(ada))
        epoch = streams[0].document["epoch"]
        began_s = time.monotonic()
        assert await asyncio.to_thread(portal.stop) == 0
        assert time.monotonic() - began_s < PATIENT_S / 2
        await asyncio.gather(*(asyncio.wait_for(each.ended.wait(), 30.0) for each in streams))
        slots = []
        for each in streams:
            assert each.events[-1].event == "bye"
            assert each.events[-1].data["reason"] == "restart"
            slots.append(each.events[-1].data["retryMs"])
        assert len(set(slots)) > number / 2, "each has a time of its own"
        assert max(slots) - min(slots) >= 900
        await asyncio.to_thread(portal.start)
        back_s: list[float] = []

        async def come_back(stream: Listener, wait_ms: int) -> None:
            await asyncio.sleep(wait_ms / 1000)
            await stream.open()
            await stream.until(lambda document: document["epoch"] != epoch, HEARD_S)
            back_s.append(time.monotonic())

        await asyncio.gather(*(come_back(*each) for each in zip(streams, slots, strict=True)))
        assert len(back_s) == number
        await told(portal, "ada", 7)
        await asyncio.gather(
            *(
                each.until(lambda document: document["org"]["devicesBacklog"] == 7, HEARD_S)
                for each in streams
            )
        )
        with portal.client("olu") as olu:
            assert olu.get("/api/health").json()["streams"]["open"] == number, "none is there twice"
        await closed(streams)


async def test_what_was_missed_is_given_to_who_comes_back(quick_path: Path) -> None:
    with served(quick_path, MANY) as portal, portal.client("ada") as ada:
        (stream,) = await opened(portal, 1, proof(ada))
        async with listening(portal.url, proof(ada)) as other:
            await stream.close()
            for number in (3, 5):
                await told(portal, "ada", number)
                await other.until(lambda document, n=number: document["org"]["devicesBacklog"] == n)  # type: ignore[misc]
            await stream.open()
            await stream.until(lambda document: document["org"]["devicesBacklog"] == 5)
            assert len(stream.names("snapshot")) == 1, "patches were enough"
            assert stream.document == other.document
        await stream.close()


async def test_a_portal_that_is_stopped_ends_a_thousand_streams_and_then_itself(quick_path: Path) -> None:
    with served(quick_path, PATIENT) as portal, portal.client("ada") as ada:
        streams = await opened(portal, 1_000, proof(ada))
        began_s = time.monotonic()
        status = await asyncio.to_thread(portal.stop)
        assert status == 0
        assert time.monotonic() - began_s < PATIENT_S / 2
        await asyncio.gather(*(asyncio.wait_for(each.ended.wait(), 30.0) for each in streams))
        assert all(each.events[-1].event == "bye" for each in streams)


async def test_a_stream_ends_with_its_session(quick_path: Path) -> None:
    with served(quick_path, MANY) as portal, portal.client("ada") as ada:
        async with listening(portal.url, proof(ada)) as stream, listening(portal.url) as stranger:
            assert ada.post("/api/auth/logout").status_code == 204
            await asyncio.wait_for(stream.ended.wait(), 30.0)
            assert stream.events[-1].data["reason"] == "session"
            await stream.close()
            await stream.open()
            await stream.until(lambda document: set(document) == STRANGERS_FIELDS)
            assert not stranger.ended.is_set()


async def test_over_the_cap_the_answer_is_200_a_snapshot_and_when_to_come_again(quick_path: Path) -> None:
    limits = {**MANY, "HOLDFAST_USER_STREAMS": "2", "HOLDFAST_MOST_STREAMS": "4"}
    with served(quick_path, limits) as portal, portal.client("ada") as ada, portal.client("ben") as ben:
        kept = await opened(portal, 2, proof(ada))
        (third,) = await opened(portal, 1, proof(ada))
        await asyncio.wait_for(third.ended.wait(), 30.0)
        assert third.status_line == "HTTP/1.1 200 OK"
        assert third.document == kept[0].document
        assert third.retry_ms is not None
        assert third.retry_ms >= 15_000
        kept += await opened(portal, 2, proof(ben))
        (fifth,) = await opened(portal, 1)
        await asyncio.wait_for(fifth.ended.wait(), 30.0)
        assert set(fifth.document) == STRANGERS_FIELDS
        await kept[0].close()

        async def has_room() -> bool:
            (again,) = await opened(portal, 1, proof(ada))
            await asyncio.sleep(0.1)
            kept.append(again)
            return not again.ended.is_set()

        end_s = time.monotonic() + 30.0
        while not await has_room():
            assert time.monotonic() < end_s, "a place that was left is given again"
        await closed(kept)


async def test_a_stream_beats_grows_old_and_says_goodbye(quick_path: Path) -> None:
    with served(quick_path, {**MANY, "HOLDFAST_STREAM_AGE_S": "1"}) as portal:
        async with listening(portal.url) as stream:
            await asyncio.wait_for(stream.ended.wait(), 60.0)
            assert [each.event for each in stream.events] == ["snapshot", "bye"]
            assert stream.events[-1].data["reason"] == "age"


async def test_a_stream_that_is_left_alone_beats(quick_path: Path) -> None:
    with served(quick_path, MANY) as portal:
        async with listening(portal.url) as stream:
            end_s = time.monotonic() + 60.0
            while not stream.names("beat"):
                assert time.monotonic() < end_s
                await asyncio.sleep(0.2)
            assert stream.names("beat")[0].data["seq"] == stream.document["seq"]


@pytest.mark.parametrize(
    "head",
    [
        "GET /api/health/stream?from=here HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/health/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /api/health/stream HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/health/stream HTTP/1.0\r\n\r\n",
    ],
)
async def test_however_it_is_asked_a_snapshot_comes(quick_path: Path, head: str) -> None:
    with served(quick_path, MANY) as portal:
        host, port = portal.url.rpartition("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        got = b""
        while b"event: snapshot" not in got:
            more = await asyncio.wait_for(reader.read(65_536), 30.0)
            assert more, got
            got += more
        writer.close()
        assert await asyncio.to_thread(portal.stop) == 0


async def test_other_methods_are_refused_as_everywhere(quick_path: Path) -> None:
    with served(quick_path, MANY) as portal, portal.client() as anybody:
        said: Any = anybody.post(PATH)
        assert (said.status_code, said.json()["code"]) == (405, "method_not_allowed")
