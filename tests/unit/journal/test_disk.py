"""Writing and syncing in one call: how much was taken, and which of the two it was that failed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.journal.disk import OsDisk, Unsynced

PARTS = [b"one line\n", b"", b"another\n", b"and its commit\n"]
WHOLE = b"".join(PARTS)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A file that holds `head` already."""
    (tmp_path / "file").write_bytes(b"head")
    opened = OsDisk().open(tmp_path / "file", create=False)
    yield opened
    os.close(opened)


@pytest.fixture(params=[True, False], ids=["in one call", "in two calls"])
def disk(request: pytest.FixtureRequest) -> OsDisk:
    """A disk that knows the one call, and one that doesn't."""
    made = OsDisk()
    if request.param and not made.at_once:
        pytest.skip("this system can't write and sync in one call")
    made.at_once = request.param
    return made


def content(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


def test_parts_are_written_one_after_another_where_they_belong(disk: OsDisk, fd: int) -> None:
    assert disk.write_synced(fd, PARTS, 4) == len(WHOLE)
    assert content(fd) == b"head" + WHOLE


def test_more_parts_than_the_system_takes_at_once_are_a_short_write(fd: int) -> None:
    disk = OsDisk()
    many = [b"%04d" % number for number in range(1500)]
    at = 4
    while many:
        wrote = disk.write_synced(fd, many, at)
        assert wrote > 0
        at += wrote
        many = [b"".join(many)[wrote:]] if wrote < sum(map(len, many)) else []
    assert content(fd) == b"head" + b"".join(b"%04d" % number for number in range(1500))


def failing(monkeypatch: pytest.MonkeyPatch, code: int, *, wrote: bool) -> list[str]:
    """Let the one call fail, before or after it wrote; the calls that are made from now on."""
    calls: list[str] = []

    def pwritev(fd: int, parts: list[bytes], offset: int, flags: int) -> int:
        calls.append("pwritev" if flags == os.RWF_DSYNC else "pwritev without its sync")
        if wrote:
            os.pwrite(fd, b"".join(parts), offset)
        raise OSError(code, os.strerror(code))

    def fdatasync(_: int) -> None:
        calls.append("fdatasync")

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return calls


one_call = pytest.mark.skipif(not OsDisk.at_once, reason="this system can't write and sync in one call")


@one_call
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_that_grew_was_not_synced_whatever_the_error_says(
    monkeypatch: pytest.MonkeyPatch, fd: int, code: int
) -> None:
    """Never tried again, in this way or the other: the second sync would succeed and lie."""
    calls = failing(monkeypatch, code, wrote=True)
    with pytest.raises(Unsynced) as failed:
        OsDisk().write_synced(fd, PARTS, 4)
    assert failed.value.errno == code
    assert calls == ["pwritev"]


@one_call
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_file_that_did_not_grow_was_not_written_to(
    monkeypatch: pytest.MonkeyPatch, fd: int, code: int
) -> None:
    calls = failing(monkeypatch, code, wrote=False)
    with pytest.raises(OSError, match=os.strerror(code)) as failed:
        OsDisk().write_synced(fd, PARTS, 4)
    assert not isinstance(failed.value, Unsynced)
    assert calls == ["pwritev"]


@one_call
def test_when_the_size_can_not_be_told_it_counts_as_not_synced(
    monkeypatch: pytest.MonkeyPatch, fd: int
) -> None:
    failing(monkeypatch, errno.EIO, wrote=False)

    def fstat(_: int) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", fstat)
        with pytest.raises(Unsynced):
            OsDisk().write_synced(fd, PARTS, 4)


@one_call
@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_system_that_does_not_know_the_one_call_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, fd: int, code: int
) -> None:
    calls = failing(monkeypatch, code, wrote=False)
    disk = OsDisk()
    assert disk.write_synced(fd, PARTS, 4) == len(WHOLE)
    assert disk.write_synced(fd, PARTS, 4 + len(WHOLE)) == len(WHOLE)
    assert calls == ["pwritev", "fdatasync", "fdatasync"]
    assert content(fd) == b"head" + WHOLE + WHOLE


def test_in_two_calls_a_sync_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, fd: int) -> None:
    disk = OsDisk()
    disk.at_once = False

    def fdatasync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(Unsynced) as failed:
        disk.write_synced(fd, PARTS, 4)
    assert failed.value.errno == errno.EIO


PROGRAM = """
import resource, signal, sys
from pathlib import Path
from holdfast.journal.disk import OsDisk, Unsynced
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
disk = OsDisk()
disk.at_once = sys.argv[2] == "one"
fd = disk.open(Path(sys.argv[1]), create=True)
print(disk.write_synced(fd, [b"x" * 60, b"y" * 60], 0))
try:
    disk.write_synced(fd, [b"z"], 100)
except Unsynced:
    print("unsynced")
except OSError as fault:
    print(fault.errno)
"""


@pytest.mark.parametrize("calls", ["one", "two"])
def test_a_real_file_that_may_grow_no_more_takes_part_then_nothing(tmp_path: Path, calls: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "file"), calls]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["100", str(errno.EFBIG)]
    assert (tmp_path / "file").read_bytes() == b"x" * 60 + b"y" * 40
