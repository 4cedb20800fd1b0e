"""What answers at which address: calls, the page, and clear words for everything else."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.web import page
from holdfast.web.app import App
from holdfast.web.table import CALLS
from tests.unit.web.portals import House, house, problem


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


@pytest.fixture
async def paged(tmp_path: Path) -> AsyncIterator[House]:
    """The same with a client of the test's own making, built or not."""
    client = tmp_path / "client"
    (client / "assets").mkdir(parents=True)
    (client / "index.html").write_text("<!doctype html><title>shell</title>")
    (client / "sw.js").write_text("self")
    (client / "assets" / "index-abc.js").write_text("1")
    async with house(tmp_path / "data") as opened:
        app = App(opened.portal, CALLS, *page.routes(client))
        opened.client._transport.app = app  # type: ignore[attr-defined]
        yield opened


def fits(pattern: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"{[a-z_:]+}", "[^/]+", pattern), path) is not None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_a_method_no_call_has_at_an_address_is_405_and_says_which_are_allowed(
    portal: House, method: str
) -> None:
    for path in {call.path for call in CALLS}:
        # `/api/admin/courses/import` would be the address of a course of that id too, if there could be one.
        known = {call.method for call in CALLS if fits(call.path, path)}
        if method in known:
            continue
        at = path.replace("{path:path}", "a.png").replace("{", "").replace("}", "")
        answer = await portal.anybody.ask(method, at)
        assert problem(answer) == (405, "method_not_allowed"), path
        allowed = set(answer.headers["allow"].split(", "))
        assert known <= allowed, path
        assert method not in allowed


async def test_an_import_address_answers_its_own_methods_and_those_of_the_pattern_it_fits(
    portal: House,
) -> None:
    answer = await portal.anybody.ask("DELETE", "/api/admin/courses/import")
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, PATCH, POST"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/health/", "/api//health"])
async def test_an_address_under_api_that_is_no_calls_is_404(portal: House, path: str) -> None:
    assert problem(await portal.anybody.get(path)) == (404, "not_found")
    assert problem(await portal.anybody.post(path)) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/", "/courses/tides/ebb", "/sign-in", "/a.b/c", "/%00.js", "/..", "/%ff.x"]
)
async def test_every_other_address_is_the_pages_shell(paged: House, path: str) -> None:
    answer = await paged.anybody.get(path)
    assert (answer.status_code, answer.text) == (200, "<!doctype html><title>shell</title>")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_a_name_longer_than_any_file_can_have_is_the_shell_and_no_fault(paged: House) -> None:
    answer = await paged.anybody.get("/" + "a" * 300 + ".js")
    assert answer.text.endswith("shell</title>")


async def test_the_shell_is_read_and_never_written(paged: House) -> None:
    answer = await paged.anybody.post("/courses")
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_files_beside_the_shell_are_asked_for_anew_and_hashed_ones_kept_for_good(paged: House) -> None:
    worker = await paged.anybody.get("/sw.js")
    assert (worker.text, worker.headers["cache-control"]) == ("self", "no-cache")
    assert worker.headers["x-content-type-options"] == "nosniff"
    hashed = await paged.anybody.get("/assets/index-abc.js")
    assert "immutable" in hashed.headers["cache-control"]
    assert hashed.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/assets/gone.js", "/assets/%00", "/assets/" + "a" * 300, "/assets/..%2fsw.js"]
)
async def test_an_asset_that_is_not_there_is_404_and_not_the_shell(paged: House, path: str) -> None:
    # Else an old tab would run the shell's HTML as the script it asked for.
    assert problem(await paged.anybody.get(path)) == (404, "not_found")


async def test_without_a_built_client_the_page_says_how_to_build_it(tmp_path: Path) -> None:
    async with house(tmp_path / "data") as opened:
        app = App(opened.portal, CALLS, *page.routes(tmp_path / "none"))
        opened.client._transport.app = app  # type: ignore[attr-defined]
        answer = await opened.anybody.get("/")
        assert answer.status_code == 200
        assert "npm run build" in answer.text


async def test_head_is_answered_as_get_is(portal: House) -> None:
    answer = await portal.anybody.ask("HEAD", "/livez")
    assert answer.status_code == 200
