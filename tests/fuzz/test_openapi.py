"""Schemathesis against our own OpenAPI document: what it allows is sent, what it promises is checked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import NO_LIMITS, Served, lesson_of, served

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EVERYTHING = ".*"
OWN_PATHS = {
    "ada": "^/(api/(client|analytics|auth|health|openapi)|livez|readyz|startupz)",
    "ben": "^/api/admin/(courses|users|assignments|analytics)",
    "olu": "^/api/(admin/(offline|orgs|tokens)|diagnostics)",
    "service": "^/api/(admin/(offline|assignments|analytics)|client)",
}
"""Who may do something at which paths; the soak sends everybody everywhere."""


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Served]:
    """One for each run: an admin may close the account that the next run wants to sign in with."""
    with served(tmp_path / "portal", NO_LIMITS) as running:
        yield running


def run(portal: Served, folder: Path, who: str, paths: str, seed: int, examples: int) -> None:
    """One run as one principal; fails with schemathesis' own report, which names each failing request."""
    with portal.client("ada") as ada:
        course, lesson = lesson_of(ada)
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
        "HOLDFAST_FUZZ_SESSION": "",
        "HOLDFAST_FUZZ_BEARER": "",
        "HOLDFAST_FUZZ_COURSE": course,
        "HOLDFAST_FUZZ_LESSON": lesson,
    }
    headers = []
    if who == "service":
        with portal.service() as service:
            environ["HOLDFAST_FUZZ_BEARER"] = service.headers["authorization"].removeprefix("Bearer ")
    else:
        with portal.client(who) as person:
            environ["HOLDFAST_FUZZ_SESSION"] = person.headers["cookie"].partition("=")[2]
            headers = ["--header", f"X-CSRF-Token: {person.headers['x-csrf-token']}"]
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", str(HERE / "schemathesis.toml"), "run", f"{portal.url}/api/openapi.json"]
    command += [*headers, "--include-path-regex", paths]
    command += ["--seed", str(seed), "--max-examples", str(examples), "--continue-on-failure"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:] + portal.log()[-4_000:]
    assert "Traceback" not in portal.log()


@pytest.mark.parametrize("who", OWN_PATHS)
def test_what_the_document_allows_is_answered_as_it_says(portal: Served, tmp_path: Path, who: str) -> None:
    run(portal, tmp_path, who, OWN_PATHS[who], seed=1, examples=8)


@pytest.mark.soak
@pytest.mark.parametrize("who", OWN_PATHS)
def test_everybody_everywhere(portal: Served, tmp_path: Path, who: str) -> None:
    seed = int(os.environ.get("HOLDFAST_FIRST_SEED", "1"))
    run(portal, tmp_path, who, EVERYTHING, seed=seed, examples=50)
