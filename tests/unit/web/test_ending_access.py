"""Who loses access loses it at once, and nobody else does: over HTTP, with the store and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert

from holdfast.access import audit, endings
from holdfast.learning.demo import PASSWORD
from holdfast.settings import Settings
from holdfast.store.schema import memberships
from holdfast.wiring import make_app, opened
from tests.unit.web.portals import Asker, House, house, problem, recorded
from tests.unit.web.test_held_back import locked
from tests.unit.web.test_store_out import set_aside

EMAILS = {"ada": "ada@tidewater.example", "cleo": "cleo@highland.example"}
NEW = "a longer password"
CLOSED = {"active": False}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


async def sign_in(portal: House, name: str, password: str = PASSWORD) -> Asker:
    answer = await portal.anybody.post("/api/auth/login", {"email": EMAILS[name], "password": password})
    portal.client.cookies.clear()
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"].partition(";")[0]
    return Asker(portal.portal, portal.client, {"Cookie": cookie, "X-CSRF-Token": answer.json()["csrfToken"]})


async def out(asker: Asker) -> bool:
    answer = await asker.get("/api/auth/session")
    if answer.status_code == 200:
        return False
    assert problem(answer) == (401, "not_signed_in")
    return True


async def also_in_highland(portal: House, name: str) -> None:
    """Somebody of Tidewater learns in Highland too."""
    row = {"org_id": "highland", "user_id": f"demo-{name}", "role": "learner", "active": True}
    at = portal.portal.now()
    await portal.portal.store.run(None, lambda tx: tx.run(insert(memberships).values(**row, created_at=at)))


async def notes(portal: House, org: str | None) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The org's audit, or None: the platform's own, the oldest first."""
    await portal.portal.owed.flush(portal.portal.store)
    found = await portal.portal.store.read(None, lambda tx: audit.recent(tx, 100))
    return [(each.actor, each.act, each.subject, each.details) for each in reversed(found) if each.org == org]


async def sign_ins(portal: House, org: str | None) -> list[tuple[str, str, str, dict[str, Any]]]:
    return [each for each in await notes(portal, org) if each[1].startswith("session.")]


# One's own password


async def test_a_changed_password_ends_all_other_sessions_and_this_one_goes_on(portal: House) -> None:
    phone, desk, cleo = (
        await sign_in(portal, "ada"),
        await sign_in(portal, "ada"),
        await sign_in(portal, "cleo"),
    )
    changed = await desk.post("/api/auth/password", {"current": PASSWORD, "new": NEW})
    assert changed.status_code == 204
    assert await out(phone)
    assert not await out(desk)
    assert not await out(cleo)
    sent = await desk.post("/api/client/progress/batch", {"events": [recorded(kind="lesson.completed")]})
    assert sent.status_code == 202
    old = await portal.anybody.post("/api/auth/login", {"email": EMAILS["ada"], "password": PASSWORD})
    assert problem(old) == (401, "wrong_credentials")
    assert not await out(await sign_in(portal, "ada", NEW))
    assert ("demo-ada", "password.changed", "demo-ada", {}) in await notes(portal, "tidewater")


async def test_an_open_screen_does_not_give_the_password_away(portal: House) -> None:
    ada = await sign_in(portal, "ada")
    for _ in range(10):
        wrong = await ada.post("/api/auth/password", {"current": "guess", "new": NEW})
        assert problem(wrong) == (422, "invalid")
    slowed = await ada.post("/api/auth/password", {"current": PASSWORD, "new": NEW})
    assert problem(slowed) == (429, "rate_limited")
    assert not await out(ada)


@pytest.mark.parametrize("new", ["short", "x" * 1025])
async def test_a_password_that_may_not_be_one_changes_nothing(portal: House, new: str) -> None:
    ada, other = await sign_in(portal, "ada"), await sign_in(portal, "ada")
    assert problem(await ada.post("/api/auth/password", {"current": PASSWORD, "new": new}))[0] == 422
    assert not await out(other)


async def test_a_token_has_no_password_to_change(portal: House) -> None:
    asked = await portal.service().post("/api/auth/password", {"current": PASSWORD, "new": NEW})
    assert problem(asked) == (403, "forbidden")


# What an admin does


async def test_who_is_closed_is_out_at_once_and_in_again_once_opened(portal: House, tmp_path: Path) -> None:
    ben, ada = portal.person("ben"), await sign_in(portal, "ada")
    assert not await out(ada)  # their facts are remembered now, and must not stand
    closed = await ben.ask("PATCH", "/api/admin/users/demo-ada", CLOSED)
    assert closed.status_code == 200
    assert await out(ada)
    with locked(tmp_path):
        assert await out(ada)
    await ben.ask("PATCH", "/api/admin/users/demo-ada", {"active": True})
    assert not await out(await sign_in(portal, "ada"))


async def test_closed_in_one_org_a_person_works_on_in_the_other(portal: House) -> None:
    await also_in_highland(portal, "ada")
    ada = await sign_in(portal, "ada")
    assert (await portal.person("ben").ask("PATCH", "/api/admin/users/demo-ada", CLOSED)).is_success
    said = (await ada.get("/api/auth/session")).json()["principal"]
    assert [one["id"] for one in said["orgs"]] == ["highland"]
    assert problem(await ada.get("/api/client/courses", X_Org_Id="tidewater")) == (403, "org_forbidden")
    events = [recorded(), recorded(orgId="highland")]
    sent = await ada.post("/api/analytics/events/batch", {"events": events})
    assert [one["status"] for one in sent.json()["receipts"]] == ["forbidden", "accepted"]


async def test_who_is_added_to_another_org_is_no_stranger_there_from_then_on(portal: House) -> None:
    members = portal.portal.members
    assert not await out(await sign_in(portal, "cleo"))
    assert members.left("demo-cleo", "tidewater")
    added = {"email": EMAILS["cleo"], "name": "Cleo", "roles": ["learner"]}
    assert (await portal.person("ben").post("/api/admin/users", added)).status_code == 201
    assert not members.left("demo-cleo", "tidewater")


async def test_a_role_that_was_taken_away_is_gone_at_once(portal: House) -> None:
    ben, ada = portal.person("ben"), await sign_in(portal, "ada")
    for roles, status in ((["admin"], 200), (["learner"], 403)):
        assert (await ben.ask("PATCH", "/api/admin/users/demo-ada", {"roles": roles})).is_success
        assert (await ada.get("/api/admin/users")).status_code == status


async def test_an_admin_sets_a_forgotten_password_and_the_old_sessions_end(portal: House) -> None:
    ben, ada = portal.person("ben"), await sign_in(portal, "ada")
    body = {"password": NEW}
    assert (await ben.ask("PATCH", "/api/admin/users/demo-ada", body)).status_code == 200
    assert await out(ada)
    assert not await out(await sign_in(portal, "ada", NEW))
    assert problem(await ben.ask("PATCH", "/api/admin/users/demo-ben", body)) == (403, "forbidden")
    assert problem(await ben.ask("PATCH", "/api/admin/users/demo-cleo", body)) == (404, "not_found")
    assert NEW not in str(await notes(portal, "tidewater"))


async def test_no_orgs_admin_sets_the_password_of_a_person_of_two(portal: House) -> None:
    await also_in_highland(portal, "ada")
    ada = await sign_in(portal, "ada")
    for admin in ("ben", "dan"):
        asked = await portal.person(admin).ask("PATCH", "/api/admin/users/demo-ada", {"password": NEW})
        assert problem(asked) == (403, "forbidden")
    assert not await out(ada)


# Service tokens


async def test_one_token_is_revoked_by_its_id_and_the_list_says_so(portal: House) -> None:
    olu = portal.person("olu")
    made = [
        (await olu.post("/api/admin/tokens", {"role": "service", "orgId": org})).json()
        for org in ("tidewater", "tidewater", "highland")
    ]
    leaked, other, _ = (
        Asker(portal.portal, portal.client, {"Authorization": f"Bearer {one['token']}"}) for one in made
    )
    for asker in (leaked, other):
        assert (await asker.get("/api/admin/offline/ledger")).status_code == 200
    gone = await olu.ask("DELETE", f"/api/admin/tokens/{made[0]['id']}")
    assert gone.json() == {"id": made[0]["id"], "listed": True}
    assert problem(await leaked.get("/api/admin/offline/ledger")) == (401, "not_signed_in")
    assert (await other.get("/api/admin/offline/ledger")).status_code == 200

    rows = {one["id"]: one for one in (await olu.get("/api/admin/tokens")).json()["items"]}
    assert {one["id"] for one in made} == set(rows)
    first, second, third = (rows[one["id"]] for one in made)
    assert (first["orgId"], first["madeBy"]) == ("tidewater", "demo-olu")
    assert first["revokedAt"]
    assert first["lastUsedAt"]
    assert second["lastUsedAt"]
    assert second["revokedAt"] is third["revokedAt"] is third["lastUsedAt"] is None
    assert not any(one["token"] in str(rows) for one in made)
    few = (await olu.get("/api/admin/tokens?orgId=highland")).json()["items"]
    assert [one["id"] for one in few] == [made[2]["id"]]
    assert ("demo-olu", "token.revoked", made[0]["id"], {}) in await notes(portal, "tidewater")


async def test_what_was_not_listed_is_revoked_all_the_same(portal: House) -> None:
    token = portal.portal.tokens.mint("operator", None, token_id="by-hand", ttl_s=60)
    asker = Asker(portal.portal, portal.client, {"Authorization": f"Bearer {token}"})
    assert (await asker.get("/api/admin/tokens")).status_code == 200
    gone = await portal.person("olu").ask("DELETE", "/api/admin/tokens/by-hand")
    assert gone.json() == {"id": "by-hand", "listed": False}
    assert problem(await asker.get("/api/admin/tokens")) == (401, "not_signed_in")


async def test_an_admin_neither_lists_nor_revokes(portal: House) -> None:
    ben = portal.person("ben")
    assert problem(await ben.get("/api/admin/tokens")) == (403, "forbidden")
    assert problem(await ben.ask("DELETE", "/api/admin/tokens/any")) == (403, "forbidden")


# Signing in is noted


async def test_sign_ins_are_in_the_audit_of_each_org_and_of_no_other(portal: House) -> None:
    await also_in_highland(portal, "ada")
    await sign_in(portal, "ada")
    for password in ("my other password", "and another"):
        refused = await portal.anybody.post("/api/auth/login", {"email": EMAILS["ada"], "password": password})
        assert refused.status_code == 401
    unknown = await portal.anybody.post(
        "/api/auth/login", {"email": "no@body.example", "password": "hunter22"}
    )
    assert unknown.status_code == 401
    for org in ("tidewater", "highland"):
        begun, refused_note = await sign_ins(portal, org)
        assert begun == ("demo-ada", "session.begun", "demo-ada", {})
        assert refused_note[:3] == ("", "session.refused", "demo-ada")
        assert refused_note[3]["times"] == 2
    (platform,) = await sign_ins(portal, None)
    assert (platform[:3], platform[3]["times"]) == (("", "session.refused", ""), 1)
    everything = str([await notes(portal, org) for org in ("tidewater", "highland", None)])
    assert not any(word in everything for word in ("my other password", "hunter22", "no@body.example"))


async def test_a_store_that_can_only_be_read_still_lets_people_in_and_the_note_follows(
    portal: House, tmp_path: Path
) -> None:
    with locked(tmp_path):
        await sign_in(portal, "ada")
    assert [act for _, act, _, _ in await sign_ins(portal, "tidewater")] == ["session.begun"]


# Without the store, and over a restart


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[House]:
    """A portal on what is there, as after a kill: nothing is seeded, and nothing written at the end."""
    async with opened(Settings(data_dir=folder)) as portal:
        transport = httpx2.ASGITransport(app=make_app(portal), client=("203.0.113.9", 40_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal.example") as client:
            yield House(portal, client)


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda path: path.mkdir(), id="does not answer"),
        pytest.param(lambda path: path.write_bytes(b"rubbish " * 10_000), id="is damaged"),
    ],
)
async def test_what_was_ended_stays_ended_when_the_portal_starts_without_its_store(
    tmp_path: Path, put: Callable[[Path], object]
) -> None:
    async with house(tmp_path) as portal:
        ada, cleo = await sign_in(portal, "ada"), await sign_in(portal, "cleo")
        wanted = {"role": "service", "orgId": "tidewater"}
        made = (await portal.person("olu").post("/api/admin/tokens", wanted)).json()
        assert (await portal.person("ben").ask("PATCH", "/api/admin/users/demo-ada", CLOSED)).is_success
    bearer = {"Authorization": f"Bearer {made['token']}"}
    path = f"/api/admin/tokens/{made['id']}"
    with set_aside(tmp_path, put):
        async with started(tmp_path) as portal:
            gone = await portal.person("olu").ask("DELETE", path)
            assert gone.json() == {"id": made["id"], "listed": None}
        async with started(tmp_path) as portal:
            assert await out(Asker(portal.portal, portal.client, bearer))
            assert await out(Asker(portal.portal, portal.client, ada.headers))
            # Whose session nobody ended works on.
            theirs = Asker(portal.portal, portal.client, cleo.headers)
            sent = await theirs.post("/api/analytics/events/batch", {"events": [recorded(orgId="highland")]})
            assert [one["status"] for one in sent.json()["receipts"]] == ["accepted"]
    async with started(tmp_path) as portal:
        await portal.portal.ended.flush(portal.portal.store)
    (tmp_path / endings.NAME).unlink()
    async with started(tmp_path) as portal:
        now_s = portal.portal.clock.now_s()
        portal.portal.ended.load(await portal.portal.store.read(None, lambda tx: endings.read(tx, now_s)))
        assert await out(Asker(portal.portal, portal.client, bearer)), "the store knows it too by now"
