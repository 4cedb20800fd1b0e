"""Demo mode and production: what is told, what is refused."""

from pathlib import Path

from sqlalchemy import update

from holdfast.access.passwords import hash_password
from holdfast.learning.demo import PASSWORD
from holdfast.store.schema import users
from tests.unit.web.portals import house, problem

KEY = "k" * 40
ADA = {"email": "ada@tidewater.example", "password": PASSWORD}


async def test_a_demonstration_says_so_to_everybody(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        stranger = await portal.anybody.get("/api/health")
        assert stranger.headers["x-holdfast-demo"] == "on"
        assert (await portal.person("ada").get("/api/health")).json()["demo"] is True
        signed_in = await portal.anybody.post("/api/auth/login", ADA)
        assert signed_in.status_code == 200
        assert signed_in.json()["demo"] is True


async def test_without_dev_fallback_demo_passwords_and_accounts_open_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, dev_fallback=False, secret_key=KEY) as portal:
        stranger = await portal.anybody.get("/api/health")
        assert stranger.headers["x-holdfast-demo"] == "off"
        refused = await portal.anybody.post("/api/auth/login", ADA)
        assert problem(refused) == (403, "demo_only")
        assert "set-cookie" not in refused.headers


async def test_a_demo_account_with_a_password_of_its_own_opens_nothing_either(tmp_path: Path) -> None:
    hashed = hash_password("a password of its own")
    async with house(tmp_path, dev_fallback=False, secret_key=KEY) as portal:
        await portal.portal.store.run(
            None,
            lambda tx: tx.run(update(users).where(users.c.id == "demo-ada").values(password_hash=hashed)),
        )
        body = {**ADA, "password": "a password of its own"}
        assert problem(await portal.anybody.post("/api/auth/login", body)) == (403, "demo_only")


async def test_behind_tls_the_cookie_is_bound_to_host_and_https(tmp_path: Path) -> None:
    async with house(tmp_path, secure_cookies=True) as portal:
        said = (await portal.anybody.post("/api/auth/login", ADA)).headers["set-cookie"]
        assert said.startswith("__Host-holdfast_session=")
        for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert attribute in said
        # The plain name opens nothing there: a neighbouring host could have set it.
        assert problem(await portal.person("ada").get("/api/auth/session")) == (401, "not_signed_in")
