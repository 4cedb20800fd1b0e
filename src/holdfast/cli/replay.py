"""`holdfast replay`: apply a window of time again, or show or cancel a replay."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from holdfast.cli import say
from holdfast.cli.desk import Desk, desk, org_id
from holdfast.core.errors import Rejected, Unavailable
from holdfast.core.ids import uuid7

_PATH: Final = "/api/admin/offline/replay"
_LOOK_S: Final = 0.2
_OPEN: Final = ("queued", "running")


@click.command("replay")
@click.option("--org", "orgs", multiple=True, help="The org's slug; may be given more than once.")
@click.option("--all-orgs", is_flag=True, help="Every org of the platform, one after the other.")
@click.option("--from", "from_", help="Begin of the window, with its offset: 2026-11-23T08:00:00+01:00.")
@click.option("--to", help="End of the window, not in it.")
@click.option(
    "--by",
    type=click.Choice(["received", "occurred"]),
    default="received",
    show_default=True,
    help="Whether the window is of the portal's time of receipt or of the device's word.",
)
@click.option("--user", help="Only events of this user: an id or an e-mail address.")
@click.option("--kind", "kinds", multiple=True, help="Only events of this kind; may be given more than once.")
@click.option(
    "--source",
    type=click.Choice(["journal", "deadLetters"]),
    default="journal",
    show_default=True,
    help="What is applied again.",
)
@click.option("--dry-run", is_flag=True, help="Do it, say what changed, and undo it.")
@click.option("--reason", help="Why; it goes into the audit.")
@click.option("--max-events", type=click.IntRange(1), help="Stop after so many.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Events a second at most.")
@click.option(
    "--id", "job_id", help="The replay's own id; made up if left out. The same id is the same replay."
)
@click.option("--no-wait", is_flag=True, help="Ask for it and leave; a running portal does it.")
@click.option("--show", "shown", metavar="ID", help="Show a replay instead.")
@click.option("--cancel", "cancelled", metavar="ID", help="Cancel a replay instead.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory.")
@click.option("--url", help="The address of a running portal, instead of --data.")
@click.option("--token", envvar="HOLDFAST_TOKEN", help="A bearer token to ask with.")
@click.option("--json", "json_", is_flag=True, help="Answer in JSON.")
@say.clear_errors
def replay(**asked: Any) -> None:  # noqa: ANN401
    """Apply the journal or the dead letters again for an org and a window of time."""
    jobs = uvloop.run(_asked(asked))
    if asked["json_"]:
        say.as_json(jobs[0] if len(jobs) == 1 else jobs)
    else:
        for job in jobs:
            _told(job)
    good = ("done", *_OPEN) if asked["no_wait"] or asked["shown"] else ("done",)
    if asked["cancelled"] is None and not all(job["status"] in good for job in jobs):
        raise SystemExit(1)


async def _asked(asked: dict[str, Any]) -> list[dict[str, Any]]:
    async with desk(data=asked["data"], url=asked["url"], token=asked["token"]) as here:
        orgs = await _orgs(here, asked)
        named = asked["shown"] or asked["cancelled"]
        if named:
            method = "DELETE" if asked["cancelled"] else "GET"
            return [await here.call(method, f"{_PATH}/{named}", org=orgs[0] if orgs else None)]
        missing = [
            f"--{name}" for name in ("from", "to", "reason") if not asked[name.replace("from", "from_")]
        ]
        if missing or not orgs:
            raise Rejected(
                f"a replay needs {', '.join([*missing, *([] if orgs else ['--org'])])}",
                hint="Such as: --org SLUG --from 2026-11-23T08:00:00Z --to 2026-11-23T09:00:00Z --reason …",
            )
        if asked["job_id"] and len(orgs) > 1:
            raise Rejected("--id names one replay, and several orgs are named", hint="Leave it out.")
        return [await _one(here, org, asked) for org in orgs]


async def _orgs(here: Desk, asked: dict[str, Any]) -> list[str]:
    if asked["all_orgs"]:
        return [each["id"] for each in (await here.call("GET", "/api/admin/orgs"))["items"]]
    return [await org_id(here, slug) for slug in asked["orgs"]]


async def _one(here: Desk, org: str, asked: dict[str, Any]) -> dict[str, Any]:
    body = {
        "id": asked["job_id"] or uuid7(),
        "orgId": org,
        "from": asked["from_"],
        "to": asked["to"],
        "by": asked["by"],
        "source": asked["source"],
        "dryRun": asked["dry_run"],
        "reason": asked["reason"],
        "kinds": list(asked["kinds"]),
        **({"userId": await user_id(here, org, asked["user"])} if asked["user"] else {}),
        **({"maxEvents": asked["max_events"]} if asked["max_events"] else {}),
        **({"ratePerS": asked["rate"]} if asked["rate"] else {}),
    }
    job: dict[str, Any] = await here.call("POST", _PATH, json=body, org=org)
    if asked["no_wait"]:
        return job
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=say.errors, disable=asked["json_"],
    )  # fmt: skip
    with bar:
        task = bar.add_task("dry run" if asked["dry_run"] else "replay", total=1.0)
        while job["status"] in _OPEN:
            bar.update(task, completed=job["progress"])
            await asyncio.sleep(_LOOK_S)
            try:
                job = await here.call("GET", f"{_PATH}/{job['id']}", org=org)
            except Unavailable as out:
                bar.update(task, description=f"the portal does not answer: {out.message}"[:60])
        bar.update(task, completed=job["progress"])
    return job


async def user_id(here: Desk, org: str, named: str) -> str:
    """A person's id, by it or by their address. Raises Rejected `not_found`."""
    if "@" not in named:
        return named
    service = await here.as_service(org)
    after: str | None = None
    while True:
        page = await service.call(
            "GET", "/api/admin/users", params={"limit": "500"} | ({"after": after} if after else {})
        )
        for each in page["items"]:
            if each["email"] == named.strip().lower():
                return str(each["id"])
        after = page.get("next")
        if not after:
            raise Rejected(f"nobody in this org has the address {named!r}", code="not_found")


def _told(job: dict[str, Any]) -> None:
    kind = "dry run" if job["dryRun"] else "replay"
    say.screen.print(f"{kind} {job['id']} of {job['orgId']}: {job['status']}")
    if job["why"]:
        say.screen.print(job["why"])
    words = {
        "matched": "events in the window",
        "applied": "had no effect before, and have it now",
        "repeated": "were applied again",
        "already": "are counted already, and left alone",
        "parked": "stand among the dead letters",
        "conflicts": "have the id of another event, and are left alone",
        "refused": "can't be applied as things are",
        "pending": "wait for the applier",
        "rowsAdded": "rows added",
        "rowsChanged": "rows changed",
        "rowsRemoved": "rows removed",
    }
    shown = [[f"{job['counts'][name]:,}", text] for name, text in words.items() if job["counts"][name]]
    say.table("Nothing is changed yet" if job["dryRun"] else "What it did", ["number", "what"], shown)
    if job["sample"]:
        rows = [
            [each["table"], each["act"], _short(each["before"]), _short(each["after"])]
            for each in job["sample"]
        ]
        say.table("Some of the rows", ["table", "row", "before", "after"], rows)
    if job["problems"]:
        rows = [[each["id"], each["kind"], each["code"], each["reason"]] for each in job["problems"]]
        say.table("Some that can't be applied", ["event", "kind", "code", "reason"], rows)


def _short(row: dict[str, Any] | None) -> str:
    return (
        ""
        if row is None
        else ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
    )
