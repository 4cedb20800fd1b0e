"""The commands of the guides for running it: on one's own machine, and in earnest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.runbooks.shell import Shell
from tests.served import Served, until


@pytest.fixture
def shell(tmp_path: Path, warm: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path, Served(tmp_path), warm)
    yield opened
    opened.close()


def served(shell: Shell, data: Path) -> None:
    """Wait for the portal that a guide has started, so that it is stopped in the end."""
    note = data / "run" / "portal.json"
    text = until(lambda: note.exists() and note.read_bytes(), 60)  # it is empty for a moment
    (shell.folder / "unit.log.pid").write_text(str(msgspec.json.decode(text)["pid"]))


def test_ones_own_machine(shell: Shell, tmp_path: Path) -> None:
    with shell.reading("LOCAL_DEV_RUNBOOK.md") as page:
        page.through("serve")
        served(shell, tmp_path / "var" / "development")
        page.rest()


def test_a_machine_in_earnest(shell: Shell, tmp_path: Path) -> None:
    shell.run("export HOLDFAST_ENV=production HOLDFAST_SECURE_COOKIES=on HOLDFAST_LOG_FORMAT=json")
    shell.run(f"export HOLDFAST_DATA_DIR={tmp_path / 'volume'} PORT=0 HOLDFAST_SECRET_KEY={'s' * 48}")
    shell.run("export HOLDFAST_DISK_SOFT_BYTES=3 HOLDFAST_DISK_HIGH_BYTES=2 HOLDFAST_DISK_HARD_BYTES=1")
    with shell.reading("RAILWAY_ENV_SETUP.md") as page:
        page.through("serve")
        served(shell, tmp_path / "volume")
        page.through("verify")
        # On a server of one's own the settings are the unit's, and a shell has none of them.
        shell.places["/srv/holdfast"] = str(tmp_path / "volume")
        secret = f"HOLDFAST_ENV=production\nHOLDFAST_SECRET_KEY={'s' * 48}\n"
        (shell.folder / "etc" / "secret").write_text(secret)
        shell.run("unset HOLDFAST_ENV HOLDFAST_SECRET_KEY")
        unset = shell.run("holdfast token list --data /srv/holdfast")
        assert unset.status == 1
        assert "setting_missing" in unset.out
        page.rest()
