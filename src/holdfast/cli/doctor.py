"""`holdfast doctor`: look at a portal's ground before anything happens, and say what must be mended."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from holdfast.cli import say
from holdfast.cli.examine import Look, examine
from holdfast.core.errors import Misconfigured
from holdfast.settings import load

_SIGNS = {"good": "green", "look": "yellow", "mend": "bold red"}


class Examined(msgspec.Struct, rename="camel"):
    """Everything that was looked at; `good` where nothing must be mended."""

    good: bool
    looks: list[Look]


@click.command("doctor")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory.")
@click.option("--json", "json_", is_flag=True, help="Answer in JSON.")
@say.clear_errors
def doctor(data: Path | None, *, json_: bool) -> None:
    """Look at storage, settings, keys, clock and versions; beside a running portal too."""
    looks = list(_looks(data))
    found = Examined(all(each.verdict != "mend" for each in looks), looks)
    if json_:
        say.as_json(found)
    else:
        rows: list[list[Any]] = [
            [Text(each.verdict, _SIGNS[each.verdict]), each.what, each.found, each.mend]
            for each in found.looks
        ]
        say.table("What was looked at", ["", "what", "found", "what to do"], rows)
        say.screen.print("Nothing must be mended." if found.good else "Something must be mended.")
    sys.exit(0 if found.good else 1)


def _looks(data: Path | None) -> Iterator[Look]:
    try:
        settings = load(data_dir=data)
    except Misconfigured as fault:
        yield Look("settings", "mend", fault.message, fault.hint)
        return
    yield Look("settings", "good", f"they can be read; the data directory is {settings.folder}")
    yield from examine(settings, os.getuid())
