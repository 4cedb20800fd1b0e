"""The sign-in routes through the whole app: guard, doors and all."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from holdfast.access.sessions import COOKIE
from holdfast.settings import Settings
from holdfast.wiring import make_app, opened
from tests.unit.access import school
from tests.unit.access.school import PASSWORD

ADA = {"email": "ada@tidewater.example", "password": PASSWORD}
OLU = {"email": "olu@tidewater.example", "password": PASSWORD}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with opened(Settings(data_dir=tmp_path)) as portal:
        await portal.store.run(None, school.fill)
        transport = httpx2.ASGITransport(app=make_app(portal))
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal.example") as client:
            yield client


async def sign_in(client: httpx2.AsyncClient, who: dict[str, str]) -> str:
    answer = await client.post("/api/auth/login", json=who)
    assert answer.status_code == 200
    token: str = answer.json()["csrfToken"]
    return token


def code(answer: Any) -> tuple[int, str]:  # noqa: ANN401
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_in_and_about_and_out(client: httpx2.AsyncClient) -> None:
    assert code(await client.get("/api/auth/session")) == (401, "not_signed_in")
    csrf = await sign_in(client, ADA)
    about = (await client.get("/api/auth/session")).json()
    assert about["principal"]["orgId"] == "o-tidewater"
    elsewhere = await client.get("/api/auth/session", headers={"X-Org-Id": "o-highland"})
    assert elsewhere.json()["principal"]["roles"] == ["admin", "learner"]
    kept = client.cookies.get(COOKIE)
    out = await client.post("/api/auth/logout", headers={"X-CSRF-Token": csrf})
    assert (out.status_code, out.content) == (204, b"")
    assert client.cookies.get(COOKIE) is None
    replayed = await client.get("/api/auth/session", headers={"Cookie": f"{COOKIE}={kept}"})
    assert code(replayed) == (401, "not_signed_in")
    assert "ended" in replayed.json()["detail"]


async def test_signing_out_takes_the_csrf_token_of_this_session(client: httpx2.AsyncClient) -> None:
    other = await sign_in(client, OLU)
    await sign_in(client, ADA)
    assert code(await client.post("/api/auth/logout")) == (403, "csrf_refused")
    assert code(await client.post("/api/auth/logout", headers={"X-CSRF-Token": other})) == (
        403,
        "csrf_refused",
    )
    assert (await client.get("/api/auth/session")).status_code == 200


async def test_a_stale_cookie_keeps_nobody_from_signing_in(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/auth/login", json=ADA, headers={"Cookie": f"{COOKIE}=stale.cookie"})
    assert answer.status_code == 200


async def test_a_foreign_page_and_a_wrong_password_hear_why(client: httpx2.AsyncClient) -> None:
    foreign = await client.post("/api/auth/login", json=ADA, headers={"Origin": "https://evil.example"})
    assert code(foreign) == (403, "csrf_refused")
    for _ in range(10):
        wrong = await client.post("/api/auth/login", json={**ADA, "password": "wrong password"})
        assert code(wrong) == (401, "wrong_credentials")
    slowed = await client.post("/api/auth/login", json=ADA)
    assert code(slowed) == (429, "rate_limited")
    assert 1 <= int(slowed.headers["retry-after"]) <= 10


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b.example"}, {**ADA, "remember": True}, {**ADA, "password": "x" * 1025}]
)
async def test_a_body_of_another_shape_is_named(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    assert code(await client.post("/api/auth/login", json=body)) == (422, "invalid")


async def test_tokens_are_the_operators_to_mint_and_the_services_to_use(client: httpx2.AsyncClient) -> None:
    wanted = {"role": "service", "orgId": "o-tidewater"}
    csrf = await sign_in(client, ADA)
    refused = await client.post("/api/admin/tokens", json=wanted, headers={"X-CSRF-Token": csrf})
    assert code(refused) == (403, "forbidden")
    csrf = await sign_in(client, OLU)
    made = await client.post("/api/admin/tokens", json=wanted, headers={"X-CSRF-Token": csrf})
    assert made.status_code == 201
    assert made.json()["expiresAt"].endswith("Z")
    client.cookies.clear()
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    about = (await client.get("/api/auth/session", headers=bearer)).json()
    assert about["principal"]["roles"] == ["service"]
    assert about["csrfToken"] is None
    again = await client.post("/api/admin/tokens", json=wanted, headers=bearer)
    assert code(again) == (403, "forbidden")
    forged = await client.get("/api/auth/session", headers={"Authorization": bearer["Authorization"] + "x"})
    assert code(forged) == (401, "not_signed_in")
