"""`holdfast verify`, as people type it and read it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from holdfast.cli import say
from holdfast.cli.ground import require_portal
from holdfast.cli.verifying import Report, StoreProof
from holdfast.cli.verifying import verify as prove
from holdfast.settings import Settings, load


@click.command("verify")
@click.option("--quick", is_flag=True, help="Leave out folding the journal anew and comparing the rows.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the whole report there, as JSON."
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory.")
@click.option("--url", help="The address of a running portal, instead of --data: its ledger only.")
@click.option("--token", envvar="HOLDFAST_TOKEN", help="A bearer token to ask with.")
@click.option("--json", "json_", is_flag=True, help="Answer in JSON.")
@say.clear_errors
def verify(**asked: Any) -> None:  # noqa: ANN401
    """Prove the journal, the store against it, and the ledger. Reads only."""
    settings = load(data_dir=asked["data"])
    url = asked["url"] if asked["data"] is None else None
    if url is None:
        require_portal(settings)
    with say.output(asked["report"]) as write:
        report = _proved(settings, url, asked)
        write(report)
    if asked["json_"]:
        say.as_json(report)
    else:
        _told(report)
    sys.exit(0 if report.good else 1)


def _proved(settings: Settings, url: str | None, asked: dict[str, Any]) -> Report:
    bar = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
        console=say.errors, disable=asked["json_"], transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("journal", total=1.0)
        told = lambda what, part: bar.update(task, description=what, completed=part)  # noqa: E731
        return uvloop.run(prove(settings, url, asked["token"], quick=asked["quick"], told=told))


def _told(report: Report) -> None:
    columns = ["orgId", "accepted", "applied", "duplicate", "dead", "pending"]
    say.table("Ledger", columns, [[row[column] for column in columns] for row in report.ledger])
    for finding in report.findings:
        say.screen.print(f"{finding.segment} line {finding.line}: {finding.what}")
    if report.store is not None:
        _store(report.store)
    for gap in report.gaps:
        spans = ", ".join(f"{low}-{high}" for low, high in gap.missing)
        told = " (some of them reported as lost)" if gap.reported else ""
        say.screen.print(
            f"device {gap.device_id} of {gap.user_id} in {gap.org_id}: numbers {spans} never came{told}",
        )
    if report.ledger_only:
        balance = "balances" if report.good else "does NOT balance"
        say.screen.print(f"Only the ledger was looked at, and it {balance}.")
        say.screen.print("Journal and store are proven where they lie, with --data.")
        return
    say.screen.print(
        f"{report.segments} segments, {report.events:,} events: {'good' if report.good else 'NOT good'}"
    )


def _store(proof: StoreProof) -> None:
    for fault in proof.faults:
        say.screen.print(f"store: {fault}")
    for wrong in proof.traces.wrong:
        say.screen.print(
            f"store: {wrong.kind} {wrong.event_id} of {wrong.org_id} at {wrong.position} {wrong.what}",
        )
    if proof.traces.number_wrong > len(proof.traces.wrong):
        say.screen.print(f"store: {proof.traces.number_wrong} such events in all")
    if proof.stray_marks:
        say.screen.print(f"store: {proof.stray_marks} events were applied that the journal does not hold")
    for table in proof.tables:
        if not table.same:
            say.screen.print(
                f"store: {table.table} of {table.org_id} holds {table.rows} rows, the journal makes "
                f"{table.rows_folded}; {len(table.missing)} missing and {len(table.extra)} extra are in the "
                "report",
            )
    if proof.partial is not None:
        say.screen.print(f"store: {proof.partial}")
