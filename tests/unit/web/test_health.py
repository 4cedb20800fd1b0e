"""How the portal is, told to each caller as far as it is theirs to know."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.core.clock import ManualClock, parse_rfc3339
from holdfast.health import monitor
from holdfast.web.portal import BACKLOG_LIMIT
from tests.unit.web.portals import House, completed, house, problem


@pytest.fixture(autouse=True)
def _facts_stay_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here asks anew, and a busy machine may take longer than facts are believed."""
    monkeypatch.setattr(monitor, "FACTS_TTL_S", 3_600.0)


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


async def test_a_stranger_hears_the_status_and_no_more(portal: House) -> None:
    answer = await portal.anybody.get("/api/health")
    assert answer.status_code == 200
    assert set(answer.json()) == {"status", "epoch", "seq"}
    assert answer.json()["status"] == "ok"


async def test_a_member_hears_about_their_own_org_and_no_other(portal: House) -> None:
    await portal.person("cleo").post(
        "/api/client/progress/batch", {"events": [completed(orgId="highland") for _ in range(3)]}
    )
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    said = (await portal.person("ada").get("/api/health")).json()
    assert set(said) == {
        "status", "epoch", "seq", "observedAt", "demo", "orgEnforcement", "analyticsIngestLagMs",
        "offlineQueue", "featureFlags", "degradations", "org",
    }  # fmt: skip
    assert said["offlineQueue"] == {"backlog": 1, "pendingAssignments": 0, "warnAt": BACKLOG_LIMIT}
    assert said["org"]["orgId"] == "tidewater"
    assert said["org"]["backlog"] == 1
    assert (await portal.person("cleo").get("/api/health")).json()["org"]["backlog"] == 3


async def test_an_operator_hears_all(portal: House) -> None:
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    said = (await portal.person("olu").get("/api/health")).json()
    assert set(said["components"]) == {
        "journal", "store", "applier", "deadLetters", "disk", "feed", "clock", "identityKeys",
    }  # fmt: skip
    for component in said["components"].values():
        assert set(component) == {"status", "breaker", "latencyMs", "observedAt", "ttlMs"}
    assert set(said["components"]["store"]["latencyMs"]) == {"p50", "p95"}
    assert said["streams"] == {"open": 0, "lagging": 0, "most": 10_000}
    assert said["flagRollout"] == {"ENABLE_NEW_SW": 100}
    assert said["offlineQueue"]["backlog"] == 1
    assert "org" not in said
    named = (await portal.person("olu").get("/api/health", X_Org_Id="tidewater")).json()
    assert named["org"]["orgId"] == "tidewater"


async def test_dead_letters_degrade_and_are_told_to_their_own_org(portal: House) -> None:
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    await portal.settle()
    await portal.portal.monitor.look()
    said = (await portal.person("ada").get("/api/health")).json()
    assert said["status"] == "degraded"
    assert [each["name"] for each in said["degradations"]] == ["dead_letters_waiting"]
    loss = said["degradations"][0]
    assert set(loss) == {"name", "lost", "works", "runbook", "since", "expectedEndAt"}
    assert parse_rfc3339(loss["since"]) < parse_rfc3339(loss["expectedEndAt"])
    assert said["org"]["deadLetters"] == 1
    assert (await portal.person("cleo").get("/api/health")).json()["org"]["deadLetters"] == 0


@pytest.mark.parametrize(
    "accept, media",
    [
        ("application/health+json", "application/health+json"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
async def test_the_media_type_is_the_callers_choice(portal: House, accept: str, media: str) -> None:
    assert (await portal.anybody.get("/api/health", Accept=accept)).headers["content-type"] == media


async def test_a_stale_cookie_hears_what_a_stranger_hears(portal: House) -> None:
    answer = await portal.anybody.get("/api/health", Cookie="holdfast_session=stale.cookie")
    assert set(answer.json()) == {"status", "epoch", "seq"}


async def test_the_number_rises_with_what_the_caller_may_see_and_only_then(portal: House) -> None:
    async def seqs() -> tuple[int, int, int]:
        ada, cleo = portal.person("ada"), portal.person("cleo")
        ada_s, cleo_s, strangers = [
            (await each.get("/api/health")).json()["seq"] for each in (ada, cleo, portal.anybody)
        ]
        return ada_s, cleo_s, strangers

    first = await seqs()
    assert await seqs() == first
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    await portal.settle()
    await portal.portal.monitor.look()
    then = await seqs()
    assert then[0] > first[0], "a letter of Tidewater's waits"
    assert then[1:] == first[1:], "which is nobody else's to know, not even by a number"


async def test_a_stopping_portal_lives_but_is_not_ready(portal: House) -> None:
    for path in ("/livez", "/readyz", "/startupz"):
        assert (await portal.anybody.get(path)).json() == {"status": "ok"}
    portal.portal.draining = True
    assert (await portal.anybody.get("/livez")).status_code == 200
    assert problem(await portal.anybody.get("/readyz")) == (503, "draining")


async def test_monitors_hear_it_in_their_drafts_words(portal: House) -> None:
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    await portal.settle()
    await portal.portal.monitor.look()
    plus = "application/health+json"
    said = (await portal.person("olu").get("/api/health", Accept=plus)).json()
    assert said["status"] == "warn"
    assert said["notes"][0].startswith("dead_letters_waiting since ")
    (store,) = said["checks"]["store:responseTime"]
    assert (store["status"], store["observedUnit"]) == ("pass", "ms")
    (letters,) = said["checks"]["deadLetters:responseTime"]
    assert (letters["status"], letters["output"]) == ("warn", "1 dead letters wait for a person")
    stranger = (await portal.anybody.get("/api/health", Accept=plus)).json()
    assert set(stranger) == {"status", "releaseId"}
    assert stranger["status"] == "pass"


async def test_where_no_stream_can_be_given_the_whole_document_is_and_when_to_ask_again(
    portal: House,
) -> None:
    answer = await portal.anybody.get("/api/health/stream")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    retry, snapshot = answer.text.split("\n\n")[:2]
    assert 15_000 <= int(retry.removeprefix("retry: ")) <= 45_000
    assert snapshot.startswith("event: snapshot\nid: ")
    document = json.loads(snapshot.rpartition("\ndata: ")[2])
    assert document == (await portal.anybody.get("/api/health")).json()


async def test_what_happened_is_told_to_operators_and_to_nobody_else(portal: House) -> None:
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    await portal.settle()
    await portal.portal.monitor.look()
    path = "/api/health/history"
    said = (await portal.person("olu").get(path)).json()
    assert said["changes"][-1]["begun"] == ["dead_letters_waiting"]
    assert problem(await portal.anybody.get(path)) == (401, "not_signed_in")
    for name in ("ada", "ben"):
        assert problem(await portal.person(name).get(path)) == (403, "forbidden")


METRICS = "/api/diagnostics/metrics"


async def test_metrics_are_for_operators_services_and_bearers_from_afar(portal: House) -> None:
    assert problem(await portal.anybody.get(METRICS)) == (401, "not_signed_in")
    assert problem(await portal.person("ada").get(METRICS)) == (403, "forbidden")
    assert problem(await portal.person("ben").get(METRICS)) == (403, "forbidden")
    for asker in (portal.person("olu"), portal.service()):
        answer = await asker.get(METRICS)
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'holdfast_receipts_total{status="accepted"}' in answer.text


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "127.8.9.1"])
async def test_metrics_are_for_this_machine_too(tmp_path: Path, peer: str) -> None:
    async with house(tmp_path, peer=peer) as portal:
        answer = await portal.anybody.get(METRICS)
        assert "holdfast_journal_head" in answer.text
        wrong = await portal.anybody.get(METRICS, Authorization="Bearer nonsense")
        assert problem(wrong) == (401, "not_signed_in"), "who states a proof is held to it"


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"]
)
async def test_what_a_proxy_on_this_machine_passes_on_is_not_this_machines(
    tmp_path: Path, header: str
) -> None:
    async with house(tmp_path, peer="127.0.0.1") as portal:
        passed_on = {header.replace("-", "_"): "203.0.113.9"}
        assert (await portal.anybody.get(METRICS, **passed_on)).status_code == 401
        assert (await portal.service().get(METRICS, **passed_on)).status_code == 200


async def test_no_header_makes_a_stranger_this_machine(portal: House) -> None:
    for name in ("X_Forwarded_For", "X_Real_Ip", "Forwarded"):
        answer = await portal.anybody.get(METRICS, **{name: "for=127.0.0.1"})
        assert answer.status_code == 401


async def test_the_last_hour_is_kept_in_readings_every_ten_seconds(portal: House) -> None:
    await portal.anybody.get("/api/health")
    await portal.anybody.get("/api/health")
    said = (await portal.person("olu").get("/api/health/history")).json()["readings"]
    assert len(said["at"]) == 1, "ten seconds have not passed"
    assert set(said["values"]) == {
        "backlog", "lagMs", "analyticsIngestLagMs", "deadLetters", "devicesBacklog", "streams",
    }  # fmt: skip
    assert all(len(row) == len(said["at"]) for row in said["values"].values())


async def test_readings_go_on_in_order_when_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with house(tmp_path, clock=clock) as portal:
        olu = portal.person("olu")
        await portal.anybody.get("/api/health")
        clock.advance(10.0)
        clock._now_s -= 3_000.0
        await portal.anybody.get("/api/health")
        at = (await olu.get("/api/health/history")).json()["readings"]["at"]
    # The earlier one stands where it belongs by the clock as it is now.
    assert at == [clock.now_s() - 10.0, clock.now_s()]
