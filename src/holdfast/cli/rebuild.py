"""`holdfast rebuild`: an org's tables, made from the journal once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import uvloop

from holdfast.cli import say
from holdfast.cli.desk import desk, org_id


@click.command("rebuild")
@click.option("--org", required=True, help="The org's slug.")
@click.option("--dry-run", is_flag=True, help="Compare, and change nothing.")
@click.option("--reason", default="asked for at the command line", show_default=True, help="For the audit.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory.")
@click.option("--url", help="The address of a running portal, instead of --data.")
@click.option("--token", envvar="HOLDFAST_TOKEN", help="A bearer token to ask with.")
@click.option("--json", "json_", is_flag=True, help="Answer in JSON.")
@say.clear_errors
def rebuild(**asked: Any) -> None:  # noqa: ANN401
    """Build an org's tables from the journal, compare, and swap what differs in one transaction."""

    async def work() -> Any:  # noqa: ANN401
        async with desk(data=asked["data"], url=asked["url"], token=asked["token"]) as at:
            org = await org_id(at, asked["org"])
            body = {"orgId": org, "reason": asked["reason"], "dryRun": asked["dry_run"]}
            return await at.call("POST", "/api/admin/offline/rebuild", json=body, org=org, timeout_s=None)

    done = uvloop.run(work())
    if asked["json_"]:
        say.as_json(done)
    else:
        rows = [
            [each["table"], each["rows"], each["rowsFolded"], "same" if _same(each) else "differs"]
            for each in done["tables"]
        ]
        say.table("The org's tables", ["table", "rows", "rows the journal makes", "which are"], rows)
        say.screen.print(_words(done))
    good = done["same"] or done["swapped"] or (done["dryRun"] and not done["refused"])
    raise SystemExit(0 if good else 1)


def _same(table: dict[str, Any]) -> bool:
    return bool(table["digest"] == table["digestFolded"])


def _words(done: dict[str, Any]) -> str:
    if done["same"]:
        return "Every table holds what the journal makes: nothing was changed."
    if done["refused"]:
        return f"Nothing was changed: {done['refused']}."
    if done["dryRun"]:
        return "Nothing was changed yet: without --dry-run, what differs is swapped."
    return "What differed was swapped, in one transaction."
