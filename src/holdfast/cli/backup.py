"""`holdfast backup` and `holdfast restore`."""

from __future__ import annotations

from pathlib import Path

import click

from holdfast.cli import say
from holdfast.cli.copying import Backup, back_up, put_back
from holdfast.settings import load

_FOLDER = click.Path(file_okay=False, path_type=Path)
_DATA = click.option("--data", type=_FOLDER, help="The portal's data directory.")
_JSON = click.option("--json", "json_", is_flag=True, help="Answer in JSON.")


@click.command("backup")
@click.option("--to", type=_FOLDER, required=True, help="A folder that is not there yet.")
@_DATA
@_JSON
@say.clear_errors
def backup(to: Path, data: Path | None, *, json_: bool) -> None:
    """Copy a data directory whole, beside a running portal or without one."""
    _told(back_up(load(data_dir=data), to), f"Copied to {to}", json_=json_)


@click.command("restore")
@click.option("--from", "copy", type=_FOLDER, required=True, help="A copy that `backup` made.")
@_DATA
@_JSON
@say.clear_errors
def restore(copy: Path, data: Path | None, *, json_: bool) -> None:
    """Check a copy and lay it into a folder that holds no portal yet."""
    settings = load(data_dir=data)
    _told(put_back(copy, settings.folder), f"Put back into {settings.folder}", json_=json_)


def _told(made: Backup, what: str, *, json_: bool) -> None:
    if json_:
        say.as_json(made)
        return
    size = sum(each.bytes for each in made.files)
    say.screen.print(
        f"{what}: {len(made.files)} files, {size / 2**20:,.1f} MiB, up to position {made.head}, "
        f"made at {made.made_at}",
    )
    if made.away:
        names = f"{len(made.away)} archived segments, such as {made.away[0]}"
        say.screen.print(f"Not in the copy, for they are not in the archive: {names}")
