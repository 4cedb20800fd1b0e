"""What the page's files come with, and what a browser is told of flags and builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.web.portals import house, problem

BUILD = "0123456789ab"


@pytest.fixture
def client_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "client"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>another build</title>")
    (folder / "sw.js").write_text("self")
    (folder / "build.json").write_text(f'{{"build": "{BUILD}"}}')
    return folder


async def test_a_service_worker_is_a_script_that_no_cache_holds_back(
    tmp_path: Path, client_dir: Path
) -> None:
    async with house(tmp_path / "data", client_dir=client_dir) as opened:
        answer = await opened.anybody.get("/sw.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["service-worker-allowed"] == "/"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; connect-src 'self'"
    )


@pytest.mark.parametrize("path", ["/", "/index.html", "/courses/any"])
async def test_the_shell_has_a_pages_headers_at_each_of_its_addresses(
    tmp_path: Path, client_dir: Path, path: str
) -> None:
    async with house(tmp_path / "data", client_dir=client_dir) as opened:
        answer = await opened.anybody.get(path)
    assert "another build" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-cache"


async def test_a_worker_this_build_lacks_is_not_found_instead_of_the_shell(
    tmp_path: Path, client_dir: Path
) -> None:
    async with house(tmp_path / "data", client_dir=client_dir) as opened:
        assert problem(await opened.anybody.get("/sw-static.js")) == (404, "not_found")


async def test_the_folder_in_the_settings_is_the_page_that_is_served(
    tmp_path: Path, client_dir: Path
) -> None:
    async with house(tmp_path / "data", client_dir=client_dir) as opened:
        assert "another build" in (await opened.anybody.get("/courses/x")).text
        assert (await opened.anybody.get("/api/client/flags")).json()["build"] == BUILD


@pytest.mark.parametrize("said", [None, "", "[]", '{"build": 3}', "no json", "\xff"])
async def test_a_folder_without_a_readable_build_has_none(
    tmp_path: Path, client_dir: Path, said: str | None
) -> None:
    (client_dir / "build.json").unlink()
    if said is not None:
        (client_dir / "build.json").write_text(said, encoding="latin-1")
    async with house(tmp_path / "data", client_dir=client_dir) as opened:
        assert (await opened.anybody.get("/api/client/flags")).json()["build"] is None


async def test_a_demonstration_has_the_new_worker_and_a_real_portal_must_ask_for_it(tmp_path: Path) -> None:
    async with house(tmp_path / "demo") as opened:
        assert (await opened.anybody.get("/api/client/flags")).json()["flags"] == {"ENABLE_NEW_SW": True}
    async with house(tmp_path / "real", dev_fallback=False, secret_key="k" * 32) as opened:
        assert (await opened.person("ada").get("/api/client/flags")).json()["flags"] == {
            "ENABLE_NEW_SW": False
        }


async def test_flags_and_health_say_the_same_to_the_same_person(tmp_path: Path) -> None:
    async with house(tmp_path, new_sw_percent=50) as opened:
        seen = set()
        for name in ("ada", "ben", "cleo", "dan", "olu"):
            who = opened.person(name)
            flags = (await who.get("/api/client/flags")).json()["flags"]
            assert (await who.get("/api/health")).json()["featureFlags"] == flags
            seen.add(flags["ENABLE_NEW_SW"])
        assert seen == {True, False}


async def test_a_device_without_a_person_keeps_its_answer(tmp_path: Path) -> None:
    async with house(tmp_path, new_sw_percent=50) as opened:

        async def told(device: str) -> bool:
            answer = await opened.anybody.get("/api/client/flags", X_Holdfast_Device=device)
            return bool(answer.json()["flags"]["ENABLE_NEW_SW"])

        devices = [f"device-{number}" for number in range(20)]
        first = [await told(device) for device in devices]
        assert first == [await told(device) for device in devices]
        assert set(first) == {True, False}
        assert not (await opened.anybody.get("/api/client/flags")).json()["flags"]["ENABLE_NEW_SW"]


async def test_what_a_learner_reads_says_whose_it_is(tmp_path: Path) -> None:
    async with house(tmp_path) as opened:
        ada = opened.person("ada")
        course = (await ada.get("/api/client/courses")).json()["items"][0]["id"]
        lesson = (await ada.get(f"/api/client/courses/{course}")).json()["lessons"][0]["id"]
        for path in (
            "/api/client/courses",
            "/api/client/progress",
            f"/api/client/courses/{course}",
            f"/api/client/courses/{course}/lessons/{lesson}",
        ):
            answer = await ada.get(path)
            assert answer.headers["x-holdfast-principal"] == "tidewater/demo-ada", path
            again = await ada.get(path, If_None_Match=answer.headers["etag"])
            assert again.status_code == 304
            assert again.headers["x-holdfast-principal"] == "tidewater/demo-ada"
            assert "x-holdfast-principal" not in (await opened.anybody.get(path)).headers
