"""`holdfast deadletters`: list, show, redrive, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

from holdfast.cli import say
from holdfast.cli.desk import Desk, desk, org_id
from holdfast.core.errors import Rejected

_OPTIONS = (
    click.option(
        "--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory."
    ),
    click.option("--url", help="The address of a running portal, instead of --data."),
    click.option("--token", envvar="HOLDFAST_TOKEN", help="A bearer token to ask with."),
    click.option("--org", help="The org's slug; all orgs if left out."),
    click.option("--json", "json_", is_flag=True, help="Answer in JSON."),
)
_PATH = "/api/admin/offline/deadletters"


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _ask(at: dict[str, Any], work: Callable[[Desk, str | None], Awaitable[Any]]) -> Any:  # noqa: ANN401
    async def asked() -> Any:  # noqa: ANN401
        async with desk(data=at["data"], url=at["url"], token=at["token"]) as here:
            org = await org_id(here, at["org"]) if at["org"] else None
            return await work(here, org)

    return uvloop.run(asked())


@click.group("deadletters")
def deadletters() -> None:
    """Records the applier gave up on, each with its reason."""


@deadletters.command("list")
@click.option(
    "--status",
    type=click.Choice(["parked", "redriven", "discarded", "exhausted"]),
    help="Only letters that are so.",
)
@click.option("--code", help="Only letters parked for this code.")
@click.option("--kind", help="Only letters of this kind of event.")
@click.option("--user", help="Only letters of this user's id.")
@click.option("--from", "from_", help="Only records received from then on: 2026-11-23T08:00:00+01:00.")
@click.option("--to", help="Only records received before then.")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 500), help="How many at most."
)
@_common
@say.clear_errors
def listing(**at: Any) -> None:  # noqa: ANN401
    """List letters, the oldest first."""
    chosen = {name: at[name] for name in ("status", "code", "kind", "to")}
    chosen |= {"userId": at["user"], "from": at["from_"], "limit": str(at["limit"])}
    params = {name: value for name, value in chosen.items() if value is not None}
    page = _ask(at, lambda here, org: here.call("GET", _PATH, org=org, params=params))
    if at["json_"]:
        say.as_json(page)
        return
    columns = ["id", "orgId", "kind", "code", "reason", "status", "redrives", "parkedAt"]
    say.table(
        f"{len(page['items'])} dead letters", columns, [[each[c] for c in columns] for each in page["items"]]
    )


@deadletters.command()
@click.argument("letter_id")
@_common
@say.clear_errors
def show(letter_id: str, **at: Any) -> None:  # noqa: ANN401
    """Explain one letter: its reason and its record."""
    _told(_ask(at, lambda here, org: here.call("GET", f"{_PATH}/{letter_id}", org=org)), at)


@deadletters.command()
@click.argument("letter_id")
@click.option(
    "--body",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a corrected body, applied in the place of the record's own.",
)
@click.option("--reason", help="Why the body is another; with --body, and only then.")
@_common
@say.clear_errors
def redrive(letter_id: str, body: Path | None, reason: str | None, **at: Any) -> None:  # noqa: ANN401
    """Send one letter through again, with its old id."""
    said: dict[str, Any] = {} if reason is None else {"reason": reason}
    if body is not None:
        try:
            said["body"] = msgspec.json.decode(body.read_bytes(), type=msgspec.Raw)
        except msgspec.DecodeError as fault:
            raise Rejected(f"{body} is not JSON: {fault}", code="malformed") from fault
    path = f"{_PATH}/{letter_id}/redrive"
    letter = _ask(at, lambda here, org: here.call("POST", path, org=org, json=said))
    _told(letter, at)
    if letter["status"] != "redriven":
        raise SystemExit(1)


@deadletters.command()
@click.argument("letter_id")
@click.option("--reason", required=True, help="Why it needs no effect.")
@_common
@say.clear_errors
def discard(letter_id: str, reason: str, **at: Any) -> None:  # noqa: ANN401
    """Settle one letter without applying it; the letter and the reason stay."""
    body = {"reason": reason}
    path = f"{_PATH}/{letter_id}/discard"
    _told(_ask(at, lambda here, org: here.call("POST", path, org=org, json=body)), at)


def _told(letter: dict[str, Any], at: dict[str, Any]) -> None:
    if at["json_"]:
        say.as_json(letter)
    else:
        say.table(f"Dead letter {letter['id']}", ["what", "is"], [[k, v] for k, v in letter.items()])
