"""`holdfast erase` and `holdfast export`: a person's data, taken out or given out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import uvloop

from holdfast.cli import say
from holdfast.cli.desk import Desk, desk, org_id
from holdfast.cli.replay import user_id
from holdfast.core.ids import uuid7

_DATA = click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory."
)
_URL = click.option("--url", help="The address of a running portal, instead of --data.")
_TOKEN = click.option("--token", envvar="HOLDFAST_TOKEN", help="A bearer token to ask with.")
_JSON = click.option("--json", "json_", is_flag=True, help="Answer in JSON.")
_ORG = click.option("--org", required=True, help="The org's slug.")
_USER = click.option("--user", required=True, help="The person: an id or an e-mail address.")


@click.command("erase")
@_ORG
@click.option("--user", help="The person: an id or an e-mail address. Needed to erase.")
@click.option("--reason", help="Why; it stands in the receipt and the audit. Needed to erase.")
@click.option("--id", "erasure_id", help="The erasure's own id; the same id goes on with the same erasure.")
@click.option(
    "--receipt", type=click.Path(dir_okay=False, path_type=Path), help="Write the signed receipt there."
)
@click.option("--receipts", "listed", is_flag=True, help="Show the org's receipts of erasures instead.")
@_DATA
@_URL
@_TOKEN
@_JSON
@say.clear_errors
def erase(**asked: Any) -> None:  # noqa: ANN401
    """Erase a person's data from an org: store, journal and dead letters; gives a signed receipt."""
    if asked["listed"]:
        _list(asked)
        return
    if asked["user"] is None or asked["reason"] is None:
        raise click.UsageError("An erasure needs --user and --reason.")

    async def work(at: Desk, org: str, user: str) -> Any:  # noqa: ANN401
        body = {"id": asked["erasure_id"] or uuid7(), "orgId": org, "userId": user, "reason": asked["reason"]}
        return await at.call("POST", "/api/admin/offline/erasures", json=body, org=org, timeout_s=None)

    with say.output(asked["receipt"]) as write:
        receipt = _ask(asked, work)
        try:
            write(receipt)
        except OSError:
            say.as_json(receipt)
            raise
    if asked["json_"]:
        say.as_json(receipt)
        return
    say.screen.print(
        f"Erased: {receipt['journalLines']} lines of the journal in {receipt['journalFrames']} frames, and "
        + (", ".join(f"{number} of {name}" for name, number in receipt["rows"].items()) or "no rows"),
    )
    say.screen.print(receipt["notReached"])
    for line in receipt.get("unjudged", []):
        say.screen.print(f"Damaged, and not known whose it was, so it stays: {line}")
    say.screen.print(f"Receipt {receipt['id']}, signed {receipt['signature'][:16]}…")


def _list(asked: dict[str, Any]) -> None:
    async def run() -> Any:  # noqa: ANN401
        async with desk(data=asked["data"], url=asked["url"], token=asked["token"]) as at:
            org = await org_id(at, asked["org"])
            return await at.call("GET", "/api/admin/offline/erasures", org=org)

    found = uvloop.run(run())
    if asked["json_"]:
        say.as_json(found)
        return
    columns = ["id", "subject", "erasedAt", "erasedBy", "reason"]
    rows = [[each[column] for column in columns] for each in found["items"]]
    say.table("Erasures, the latest first", columns, rows)


@click.command("export")
@_ORG
@_USER
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it; shown if left out."
)
@_DATA
@_URL
@_TOKEN
@_JSON
@say.clear_errors
def export(**asked: Any) -> None:  # noqa: ANN401
    """Everything the portal holds of a person in an org, as JSON."""

    async def work(at: Desk, org: str, user: str) -> Any:  # noqa: ANN401
        params = {"orgId": org, "userId": user}
        path = "/api/admin/offline/export"
        return await at.call("GET", path, params=params, org=org, timeout_s=None)

    with say.output(asked["out"]) as write:
        said = _ask(asked, work)
        write(said)
    if asked["out"] is None:
        say.as_json(said)
        return
    rows = sum(len(each) for each in said["rows"].values())
    say.screen.print(f"{rows} rows and {len(said['events'])} events: {asked['out']}")


def _ask(asked: dict[str, Any], work: Any) -> Any:  # noqa: ANN401
    async def run() -> Any:  # noqa: ANN401
        async with desk(data=asked["data"], url=asked["url"], token=asked["token"]) as at:
            org = await org_id(at, asked["org"])
            return await work(at, org, await user_id(at, org, asked["user"]))

    return uvloop.run(run())
