"""How the portal is, told to each caller as far as it is theirs to know."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.web.portal import BACKLOG_LIMIT
from tests.unit.web.portals import House, completed, house, problem


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
    assert set(said["components"]) == {"journal", "store", "applier", "deadLetters"}
    for component in said["components"].values():
        assert set(component) == {"status", "breaker", "latencyMs", "observedAt", "ttlMs", "reason"}
        assert set(component["latencyMs"]) == {"p50", "p95"}
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
    assert set(said["degradations"][0]) == {"name", "lost", "works", "runbook"}
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


async def test_the_number_rises_when_the_verdict_changes_and_only_then(portal: House) -> None:
    first = (await portal.anybody.get("/api/health")).json()["seq"]
    assert (await portal.anybody.get("/api/health")).json()["seq"] == first
    await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
    await portal.settle()
    await portal.portal.monitor.look()
    assert (await portal.anybody.get("/api/health")).json()["seq"] == first + 1


async def test_a_stopping_portal_lives_but_is_not_ready(portal: House) -> None:
    for path in ("/livez", "/readyz", "/startupz"):
        assert (await portal.anybody.get(path)).json() == {"status": "ok"}
    portal.portal.draining = True
    assert (await portal.anybody.get("/livez")).status_code == 200
    assert problem(await portal.anybody.get("/readyz")) == (503, "draining")


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


async def test_no_header_makes_a_stranger_this_machine(portal: House) -> None:
    for name in ("X_Forwarded_For", "X_Real_Ip", "Forwarded"):
        answer = await portal.anybody.get(METRICS, **{name: "for=127.0.0.1"})
        assert answer.status_code == 401
