"""The runbooks of disks without room, typed on such disks: a small one for the store, one for the journal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.test_losses import small_disk
from tests.runbooks.site import Site, opened
from tests.served import completed, ledger_row, recorded, until

pytestmark = pytest.mark.timeout(300)

MIB = 1 << 20
MARKS = {
    "HOLDFAST_DISK_SOFT_BYTES": str(24 * MIB),
    "HOLDFAST_DISK_HIGH_BYTES": str(2 * MIB),
    "HOLDFAST_DISK_HARD_BYTES": str(MIB),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, warm: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with small_disk(folder / "portal" / "data"), opened(folder, warm, MARKS) as one:
        yield one


@pytest.fixture
def at(site: Site) -> Site:
    for volume in (site.portal.data, site.portal.data / "logs"):
        (volume / "old.tar").unlink(missing_ok=True)
    site.own()
    return site


def fill(volume: Path, left_bytes: int = 0) -> None:
    """Somebody laid an old archive there; so much room is left."""
    room = os.statvfs(volume)
    with (volume / "old.tar").open("wb") as archive:
        os.posix_fallocate(archive.fileno(), 0, room.f_bavail * room.f_frsize - left_bytes)


def test_the_store_breaks_off_in_the_middle_of_a_batch_for_want_of_room(at: Site) -> None:
    assert ledger_row(at.olu)["accepted"] == 1
    fill(at.portal.data)
    at.work(50)
    with at.reading("partial-write.md", "store_read_only", "applying_behind") as page:
        page.through("rm")
        at.applied()
        page.over()


def test_little_room_is_left_for_the_journal(at: Site) -> None:
    fill(at.portal.data / "logs", 12 * MIB)
    with at.reading("disk-filling.md", "disk_filling") as page:
        page.through("find")
        until(lambda: at.send(recorded()) == 429)
        at.work()
        page.through("rm")
        page.over()
    until(lambda: at.send(recorded()) == 202)


def test_no_room_is_left_for_the_journal(at: Site) -> None:
    fill(at.portal.data / "logs")
    with at.reading("disk-full.md", "journal_unwritable", "disk_filling") as page:
        page.through("find")
        assert at.olu.get("/api/health").json()["status"] == "down"
        until(lambda: at.send(completed(at.course, at.lesson)) == 507)
        page.through("rm")
        page.over()
    at.work()
    at.applied()
