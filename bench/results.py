"""The results as they are kept: a JSON file a bench, and a page made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.figure import ROUNDS, Figure, number
from bench.machine import Machine

PAGE: Final = "README.md"
HIDDEN: Final = ("points", "samples")
"""Facts that are drawn, or too long to read."""
_HEAD: Final = f"""# What Holdfast costs

Written by `make bench`; nothing in this folder is written by hand. What each bench measures, and how the
bars are read, stands in `docs/reference/speed.md`. Where there is a peer, ours and the peer's rounds took
turns, {ROUNDS} of each; the figures are medians, and a ratio is the median of the rounds' ratios. The files
beside this one hold every round. A figure without a bar is there to orient.
"""


class Result(msgspec.Struct, kw_only=True, rename="camel"):
    """One bench's figures, with the machine they were found on."""

    bench: str
    quick: bool
    """Whether it was a small run, which says little."""
    took_s: float
    machine: Machine
    figures: list[Figure]

    @property
    def missed(self) -> list[Figure]:
        """The figures that missed their bar."""
        return [figure for figure in self.figures if figure.passed is False]


def write(folder: Path, result: Result) -> None:
    """Keep a bench's result, instead of its last one."""
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(_derived(result)), indent=1)
    (folder / f"{result.bench}.json").write_bytes(text + b"\n")


def read(folder: Path) -> list[Result]:
    """Every result that is kept, in the order of their names."""
    decode = msgspec.json.Decoder(Result).decode
    return [decode(file.read_bytes()) for file in sorted(folder.glob("*.json"))]


def write_page(folder: Path, results: Sequence[Result], plots: Iterable[str]) -> None:
    """Write the page that shows the results."""
    parts = [_HEAD]
    missed = [figure for result in results for figure in result.missed]
    if missed:
        parts.append("**Bars that were missed:**\n")
        parts.append("".join(f"- {missing(figure)}\n" for figure in missed))
    elif results:
        parts.append("Every bar was met.\n")
    if any(result.quick for result in results):
        quick = ", ".join(result.bench for result in results if result.quick)
        parts.append(f"**Small runs, which say little:** {quick}.\n")
    parts += [f"![{plot.removesuffix('.svg')}]({plot})\n" for plot in plots]
    parts += [_section(result) for result in results]
    parts.append(_machines(results))
    (folder / PAGE).write_text("\n".join(parts))


def missing(figure: Figure) -> str:
    """A missed bar in one sentence."""
    found = f"{number(figure.ratio)} of the peer" if figure.least_ratio is not None else _value(figure)
    return f"{figure.bench}, {figure.name}: {found}; the bar is {figure.bar}"


def line(figure: Figure) -> str:
    """A figure in one line, for the terminal."""
    peer = f", peer {number(figure.peer_value)}, ratio {number(figure.ratio)}" if figure.peer else ""
    bar = {True: f" (bar {figure.bar}: met)", False: f" (bar {figure.bar}: MISSED)", None: ""}[figure.passed]
    return f"{figure.name}: {_value(figure)}{peer}{bar}"


def _derived(result: Result) -> dict[str, Any]:
    """With the medians that a reader of the file would else have to work out."""
    plain: dict[str, Any] = msgspec.to_builtins(result)
    for figure, shown in zip(result.figures, plain["figures"], strict=True):
        shown["median"] = {"ours": figure.value, "peer": figure.peer_value, "ratio": figure.ratio}
        shown["passed"] = figure.passed
    return plain


def _value(figure: Figure) -> str:
    return f"{number(figure.value)} {figure.unit}"


def _section(result: Result) -> str:
    rows = [
        "| | ours | peer | ratio | bar | |",
        "|---|--:|--:|--:|---|---|",
        *(_row(figure) for figure in result.figures),
    ]
    told = "\n".join(_told(figure) for figure in result.figures)
    return f"## {result.bench}\n\n" + "\n".join(rows) + f"\n\n{told}\n"


def _row(figure: Figure) -> str:
    outcome = {True: "met", False: "**missed**", None: ""}[figure.passed]
    peer = f"{number(figure.peer_value)} {figure.unit}" if figure.peer else ""
    ratio = number(figure.ratio) if figure.peer else ""
    return f"| {figure.name} | {_value(figure)} | {peer} | {ratio} | {figure.bar} | {outcome} |"


def _told(figure: Figure) -> str:
    peer = f" *Peer:* {figure.peer_is}" if figure.peer_is else ""
    facts = "; ".join(f"{name} {_fact(value)}" for name, value in figure.facts.items() if name not in HIDDEN)
    return f"- **{figure.name}.** {figure.how}{peer}" + (f" *Beside it:* {facts}." if facts else "")


def _fact(value: Any) -> str:  # noqa: ANN401 - whatever a bench found
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_fact(each)}" for name, each in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(_fact(each) for each in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _machines(results: Sequence[Result]) -> str:
    rows = [
        "## Where it was measured\n",
        "| | cores | processor | memory | kernel | Python | SQLite | files | load | commit | at | took |",
        "|---|--:|---|--:|---|---|---|---|--:|---|---|--:|",
    ]
    for result in results:
        at = result.machine
        rows.append(
            f"| {result.bench} | {at.cores} | {at.cpu} | {at.memory_mib:,} MiB | {at.kernel} | {at.python} "
            f"| {at.sqlite} | {at.file_system} | {at.load_average:.2f} | {at.commit} | {at.measured_at} "
            f"| {result.took_s:.0f} s |"
        )
    return "\n".join(rows) + "\n"
