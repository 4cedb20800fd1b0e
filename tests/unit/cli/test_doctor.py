"""`doctor`: what it says of a folder that is well, and of one in which something must be mended."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from holdfast.cli import examine
from holdfast.cli.examine import Look, bytes_a_day, file_system
from holdfast.core.clock import rfc3339
from holdfast.journal.reader import Place
from holdfast.journal.segment import Header, header_line
from holdfast.settings import Settings
from tests.unit.web.portals import house

SECRET = "s" * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def make() -> None:
        async with house(tmp_path):
            pass

    asyncio.run(make())
    return tmp_path


def looked(folder: Path, **more: object) -> dict[str, Look]:
    settings = Settings(data_dir=folder, **more)  # type: ignore[arg-type]
    return {each.what: each for each in examine.examine(settings, os.getuid())}


def test_a_folder_that_is_well_needs_no_mending(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "file_system", lambda _: "ext4")
    found = looked(folder)
    assert [each for each in found.values() if each.verdict == "mend"] == []
    assert {"rights", "file system", "keys", "sync", "space", "clock", "versions", "store"} <= set(found)
    assert "ms in the middle" in found["sync"].found
    assert "MiB are free" in found["space"].found
    assert list((folder / "logs").glob(".doctor*")) == [], "what it measured with is gone"


def test_a_folder_that_is_not_there_is_made_by_the_first_start_or_cannot_be(tmp_path: Path) -> None:
    assert looked(tmp_path / "new")["data directory"].verdict == "look"
    assert looked(Path("/proc/none"))["data directory"].verdict in ("look", "mend")


def test_a_key_that_others_can_read_must_be_mended(folder: Path) -> None:
    (folder / "secret.key").chmod(0o644)
    found = looked(folder)["keys"]
    assert (found.verdict, found.mend) == ("mend", f"chmod 600 {folder / 'secret.key'}")


def test_a_key_that_was_cut_short_must_be_mended(folder: Path) -> None:
    (folder / "secret.key").write_text("short")
    assert looked(folder)["keys"].verdict == "mend"


def test_a_key_in_the_settings_is_good(folder: Path) -> None:
    assert looked(folder, secret_key=SECRET)["keys"].verdict == "good"


def test_production_without_secure_cookies_is_looked_at(folder: Path) -> None:
    found = looked(folder, env="production", dev_fallback=False, secret_key=SECRET)
    assert found["cookies"].verdict == "look"
    assert found["mode"].verdict == "good"


def test_too_little_room_must_be_mended(folder: Path) -> None:
    found = looked(folder, disk_high_bytes=1 << 62, disk_soft_bytes=1 << 62)["space"]
    assert found.verdict == "mend"
    assert "disk-filling" in found.mend


def place(folder: Path, name: str, begun_s: float, size: int) -> Place:
    path = folder / name
    path.write_bytes(header_line(Header(first=1, created_at=rfc3339(begun_s), prev="0" * 64, prev_end=0)))
    return Place(path, 1, 2, size, {}, "0" * 64, None)


def test_the_time_until_the_disk_is_full_is_told_at_the_present_rate(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    one = place(folder, "one", now - 4 * 86_400, 1 << 40)
    two = place(folder, "two", now - 2 * 86_400, 1 << 20)
    three = place(folder, "three", now - 60, 1 << 20)
    assert bytes_a_day([one, two, three], now) == pytest.approx(1 << 20, rel=0.01)
    assert bytes_a_day([three], now) == 0.0, "too short a time to tell"
    monkeypatch.setattr(examine, "look", lambda _: [one])
    found = looked(folder)["space"]
    assert found.verdict == "mend"
    assert "within the week" in found.mend


def test_a_clock_before_the_journals_beginning_must_be_mended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "look", lambda _: [place(folder, "one", time.time() + 3600, 1)])
    assert looked(folder)["clock"].verdict == "mend"


@pytest.mark.parametrize("kind, verdict", [("tmpfs", "mend"), ("nfs4", "mend"), ("ext4", "good")])
def test_a_file_system_that_does_not_keep_or_does_not_sync_must_be_mended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str
) -> None:
    monkeypatch.setattr(examine, "file_system", lambda _: kind)
    assert looked(folder)["file system"].verdict == verdict


def test_the_file_system_is_the_kernels_word() -> None:
    assert file_system(Path("/proc/self")) == "proc"


def test_a_store_that_is_no_store_must_be_mended(folder: Path) -> None:
    (folder / "store.sqlite3").write_bytes(b"not a database, whatever it is called" * 400)
    assert looked(folder)["store"].verdict == "mend"


def test_a_sync_that_the_disk_refuses_must_be_mended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuses)
    found = looked(folder)["sync"]
    assert (found.verdict, "Input/output error" in found.found) == ("mend", True)
    assert list((folder / "logs").glob(".doctor*")) == []
