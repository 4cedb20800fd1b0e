"""The commands, as `wire.md` of the design names them."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from holdfast import __version__
from holdfast.cli import logs, say
from holdfast.core.errors import Rejected
from holdfast.settings import load

T = TypeVar("T")

_DATA = click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory."
)
_URL = click.option("--url", help="The address of a running portal, instead of --data.")
_TOKEN = click.option("--token", envvar="HOLDFAST_TOKEN", help="A bearer token to ask with.")
_JSON = click.option("--json", "json_", is_flag=True, help="Answer in JSON.")


_LATER: Final = {
    "backup": "holdfast.cli.backup:backup",
    "deadletters": "holdfast.cli.deadletters:deadletters",
    "doctor": "holdfast.cli.doctor:doctor",
    "erase": "holdfast.cli.erase:erase",
    "export": "holdfast.cli.erase:export",
    "rebuild": "holdfast.cli.rebuild:rebuild",
    "replay": "holdfast.cli.replay:replay",
    "restore": "holdfast.cli.backup:restore",
    "token": "holdfast.cli.tokens:token",
    "verify": "holdfast.cli.verify:verify",
}
"""Commands in modules of their own."""


class _Commands(click.Group):
    """Loads a command of another module when it is asked for: `serve` needs no HTTP client."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LATER:
            module, _, name = _LATER[cmd_name].partition(":")
            command: click.Command = getattr(import_module(module), name)
            return command
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATER])


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="holdfast")
def main() -> None:
    """Holdfast: a course portal that keeps every learner's work."""
    logs.to_standard_error()


@main.command()
@_DATA
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that answer; embedded, it is one.",
)
@_JSON
@say.clear_errors
def serve(data: Path | None, host: str, port: int, workers: int, *, json_: bool) -> None:
    """Run the portal until it is told to stop."""
    from holdfast.cli import serving  # noqa: PLC0415 - each command loads what it needs and no more

    settings = load(data_dir=data)

    def ready(url: str) -> None:
        if json_:
            say.as_json({"url": url, "demo": settings.demo})
        else:
            serving.welcome(settings, url)

    if workers > 1:
        say.errors.print(
            "The embedded store and journal have one writer: one process answers, whatever --workers says."
        )
    _run(lambda: serving.serve(settings, host, port, ready))


@main.group()
def seed() -> None:
    """Put data into a portal that has none."""


@seed.command("demo")
@_DATA
@_JSON
@say.clear_errors
def seed_demo(data: Path | None, *, json_: bool) -> None:
    """The demonstration: two orgs, five people, one course each. Safe to run twice."""
    from holdfast.cli import desk, ground, serving  # noqa: PLC0415

    settings = load(data_dir=data)
    if not settings.demo:
        raise Rejected(
            "demo data is for demo mode only",
            code="demo_only",
            hint="Turn DEV_FALLBACK on, outside production.",
        )
    # A portal in demo mode seeds itself when it starts; two writers are never right.
    new = 0
    ground.require_start(settings)
    if not desk.is_held(settings.folder):
        new = _run(lambda: serving.seed_demo(settings))
    if json_:
        say.as_json({"people": new, "data": str(settings.folder)})
    else:
        say.screen.print("The demonstration is seeded." if new else "The demonstration was there already.")


@main.command("import-course")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--org", required=True, help="The org's slug.")
@_DATA
@_URL
@_TOKEN
@_JSON
@say.clear_errors
def import_course(
    path: Path, org: str, data: Path | None, url: str | None, token: str | None, *, json_: bool
) -> None:
    """Import a course: a folder as authors keep it, or a zip of one."""
    from holdfast.cli.desk import desk, org_id  # noqa: PLC0415

    content = path.read_bytes() if path.is_file() else _zipped(path)

    async def work() -> Any:  # noqa: ANN401
        async with desk(data=data, url=url, token=token) as at:
            here = await at.as_service(await org_id(at, org))
            return await here.call(
                "POST", "/api/admin/courses/import", content=content, media="application/zip"
            )

    report = _run(work)
    if json_:
        say.as_json(report)
        return
    say.screen.print(
        f"Course {report['courseId']}: {report['lessons']} lessons, {report['figures']} figures"
        + (" (an earlier version was replaced)" if report.get("replaced") else "")
    )
    if report.get("dangling"):
        rows = [[each["file"], each["target"], each["why"]] for each in report["dangling"]]
        say.table("Links that lead nowhere", ["in", "to", "why"], rows)


@main.command("load-oulad")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_DATA
@_URL
@_TOKEN
@_JSON
@say.clear_errors
def load_oulad(path: Path, data: Path | None, url: str | None, token: str | None, *, json_: bool) -> None:
    """Load the Open University dataset as one org, through the HTTP door."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from holdfast.cli import oulad  # noqa: PLC0415
    from holdfast.cli.desk import desk  # noqa: PLC0415

    bar = Progress(
        TextColumn("events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=say.errors, disable=json_,
    )  # fmt: skip

    async def work() -> oulad.Loaded:
        async with desk(data=data, url=url, token=token) as at:
            task = bar.add_task("events", total=None)
            return await oulad.load(at, path, lambda done, all_: bar.update(task, completed=done, total=all_))

    with bar:
        loaded = _run(work)
    row = loaded.ledger
    if json_:
        say.as_json(loaded)
    else:
        words = ", ".join(f"{number:,} {status}" for status, number in sorted(loaded.receipts.items()))
        say.screen.print(
            f"{loaded.learners} learners, {loaded.lessons} lessons, {loaded.sent:,} events: {words}"
        )
        _ledger([row])
    if row["pending"] or row["accepted"] != row["applied"] + row["duplicate"] + row["dead"]:
        sys.exit(1)


def _ledger(rows: list[dict[str, Any]]) -> None:
    columns = ["orgId", "accepted", "applied", "duplicate", "dead", "pending"]
    say.table("Ledger", columns, [[row[column] for column in columns] for row in rows])


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    # A zip's times begin in 1980 and end in 2107; a course's files may be of another, and nobody looks.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
                archive.write(path, path.relative_to(folder))
    return packed.getvalue()


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    import uvloop  # noqa: PLC0415

    return uvloop.run(work())
