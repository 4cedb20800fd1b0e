import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_client", ROOT / "tools/build_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program of the test's own in npm's place, and nothing else on PATH but the shell's tools."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "browser").mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def install(script: str) -> None:
        program = programs / "npm"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return install


def test_a_missing_client_is_built_with_npm(
    hook: ModuleType, npm: Callable[[str], None], tmp_path: Path
) -> None:
    npm(
        'echo "$1" >> calls\n[ "$1" = ci ] && exit\n'
        "mkdir -p ../src/holdfast/web/client && touch ../src/holdfast/web/client/index.html"
    )
    hook.build_client(tmp_path)
    assert (tmp_path / "src/holdfast/web/client/index.html").exists()
    assert (tmp_path / "browser/calls").read_text().split() == ["ci", "run"]


def test_a_client_that_is_there_needs_no_npm(
    hook: ModuleType, npm: Callable[[str], None], tmp_path: Path
) -> None:
    npm("exit 1")
    client = tmp_path / "src/holdfast/web/client/index.html"
    client.parent.mkdir(parents=True)
    client.touch()
    hook.build_client(tmp_path)


def test_no_npm_stops_the_wheel(hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(hook.ClientMissingError, match="npm is not installed"):
        hook.build_client(tmp_path)


def test_a_failing_build_stops_the_wheel(
    hook: ModuleType, npm: Callable[[str], None], tmp_path: Path
) -> None:
    npm('[ "$1" = ci ] || exit 3')
    with pytest.raises(hook.ClientMissingError, match="exit code 3"):
        hook.build_client(tmp_path)


def test_a_build_that_leaves_no_client_stops_the_wheel(
    hook: ModuleType, npm: Callable[[str], None], tmp_path: Path
) -> None:
    npm("exit 0")
    with pytest.raises(hook.ClientMissingError, match="left no"):
        hook.build_client(tmp_path)


def test_an_editable_install_needs_no_client(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    build = hook.ClientBuildHook(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
    build.initialize("editable", {})
    with pytest.raises(hook.ClientMissingError):
        build.initialize("standard", {})
