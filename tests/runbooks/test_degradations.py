"""The runbook of each degradation, typed as it stands beside a portal that is broken in just that way."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.live.test_losses import can_freeze
from tests.runbooks.site import Site, opened
from tests.served import completed, until

pytestmark = pytest.mark.timeout(300)

STREAMS = 20
HOLD = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, warm: Path) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("site"), warm, {"HOLDFAST_MOST_STREAMS": str(STREAMS)}) as one:
        yield one


@pytest.fixture
def at(site: Site) -> Site:
    site.own()
    return site


@contextmanager
def locked(at: Site) -> Iterator[Callable[[], object]]:
    """Another program writes to the store, until it is ended by what this gives."""
    command = [sys.executable, "-c", HOLD, str(at.portal.data / "store.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield lambda: other.communicate("")
        finally:
            other.kill()


def test_what_health_says_is_read_as_the_index_shows(at: Site) -> None:
    at.shell.type("index.md")


def test_nearly_as_many_streams_as_there_may_be(at: Site) -> None:
    with ExitStack() as streams:
        for _ in range(STREAMS):
            one = streams.enter_context(socket.create_connection(("127.0.0.1", int(at.shell.port))))
            one.sendall(b"GET /api/health/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert one.recv(15) == b"HTTP/1.1 200 OK"
        with at.reading("feed-limited.md", "feed_limited") as page:
            page.through("sort")
            streams.close()
            page.over()


def test_the_clock_is_set_ahead(at: Site) -> None:
    at.pull("clock", "60")
    with at.reading("clock-jumped.md", "clock_jumped") as page:
        page.through("timedatectl")
        at.later(301)
        page.over()


def test_letters_are_explained_mended_corrected_and_discarded(at: Site) -> None:
    to_come, misspelt, trial = (
        completed("a-course-to-come", "01-knots"),
        completed(at.course, "why-the-sea-moves"),
        completed("a-trial", "01-of-mine"),
    )
    for each in (to_come, misspelt, trial):
        assert at.send(each) == 202
        at.applied()
    with at.reading("dead-letters-waiting.md", "dead_letters_waiting") as page:
        page.through("show")
        course = at.folder / "a-course-to-come"
        course.mkdir()
        (course / "course.yaml").write_text("id: a-course-to-come\ntitle: Knots\n")
        (course / "01-knots.md").write_text("# Knots\n\nA rope and a hand.\n")
        done = at.shell.run(f"holdfast import-course {course} --org tidewater --data /srv/holdfast")
        assert "Course a-course-to-come: 1 lessons" in done.out
        page.rest()
    at.applied()


def test_the_store_is_locked_by_another_program(at: Site) -> None:
    with locked(at) as end:
        at.work()
        with at.reading("store-read-only.md", "store_read_only") as page:
            page.through("xargs ps")
            until(lambda: "applying_behind" in at.named(), 30)
            end()
            at.applied()
            page.over()


def test_the_store_is_damaged_and_its_copy_put_back(at: Site) -> None:
    at.applied()
    at.copied()
    at.work()
    at.applied()
    store = at.portal.data / "store.sqlite3"
    store.rename(at.folder / "aside")
    store.write_bytes(b"rubbish " * 10_000)
    with at.reading("store-out.md", "store_out") as page:
        page.through("reason")
        at.work()
        page.through("start")
        at.applied()
        page.over()


def test_the_applier_is_stuck(at: Site) -> None:
    at.applied()
    at.pull("stuck")
    at.work(3)
    with at.reading("applying-behind.md", "applying_behind") as page:
        page.through("restart")
        at.applied()
        page.over()


def test_keys_prove_nothing(at: Site) -> None:
    at.pull("keys")
    with at.reading("keys-unusable.md", "keys_unusable") as page:
        page.through("restart")
        page.over()


def test_the_folder_takes_no_new_file(at: Site) -> None:
    if not can_freeze(at.portal.data):
        pytest.skip("folders can't be made unchangeable here: root on ext4, xfs or btrfs can")
    at.applied()
    subprocess.run(["chattr", "+i", at.portal.data], check=True)
    try:
        with at.reading("disk-unwritable.md", "disk_unwritable") as page:
            page.through("chattr")
            page.over()
    finally:
        subprocess.run(["chattr", "-i", at.portal.data], check=True)


def test_the_journals_disk_fails_and_another_takes_its_place(at: Site) -> None:
    at.work()
    at.applied()
    at.pull("disk")
    assert at.send(completed(at.course, at.lesson)) == 503
    with at.reading("journal-unwritable.md", "journal_unwritable") as page:
        page.through("start")
        page.over()


def test_slow_syncs_are_said_for_a_minute(at: Site) -> None:
    at.pull("slow")
    for _ in range(3):
        at.work(1)
    said = until(lambda: at.named().get("journal_at_risk"), 30)
    assert said["runbook"] == "docs/runbooks/journal-at-risk.md"
    at.let_go("slow")
    at.later(61)
    until(lambda: "journal_at_risk" not in at.named(), 30)


def test_a_damaged_line_is_found_and_its_segment_put_back(at: Site) -> None:
    at.work()
    at.applied()
    at.portal.stop()
    shutil.rmtree(at.folder / "copies" / "last-night", ignore_errors=True)
    at.copied()
    segment = at.portal.data / "logs" / "offline-sync.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if b"lesson.completed" in line)
    lines[number] = lines[number].replace(b"lesson", b"lessOn", 1)
    segment.write_bytes(b"".join(lines))
    at.portal.start()
    with at.reading("journal-at-risk.md", "journal_at_risk") as page:
        page.through("start")
        page.over()
