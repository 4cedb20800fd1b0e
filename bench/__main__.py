"""`python -m bench [NAME…] [--quick] [--list] [--soak]`: measure, keep the results, say what was missed."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import results
from bench.figure import Figure, Scale, say
from bench.folder import RESULTS, WORK
from bench.machine import machine
from bench.plots import can_draw, draw
from bench.results import Result

QUICK_RESULTS: Final = WORK / "quick"
"""Small runs say little: they don't replace results."""


class Bench(NamedTuple):
    """One bench: where it stands, and what it asks."""

    module: str
    summary: str
    work: str = "run"

    def find(self) -> Callable[[Scale], list[Figure]]:
        """Its function: each bench loads what it needs and no more."""
        found: Callable[[Scale], list[Figure]] = getattr(importlib.import_module(self.module), self.work)
        return found


BENCHES: Final = {
    "receipts": Bench("bench.receipts", "receipts over HTTP, against servers that leave the work out"),
    "journal": Bench("bench.journalling", "the journal alone, against a raw write of the same bytes"),
    "recovery": Bench("bench.recovering", "scanning a journal, and a start with much to apply"),
    "apply": Bench("bench.applying", "batches into SQLite, against a bare executemany of the same rows"),
    "replay": Bench("bench.replaying", "replaying, against applying the same events the first time"),
    "memory": Bench("bench.memory", "what a served portal holds, idle and after traffic"),
    "growth": Bench("bench.growth", "the cost of one event, from ten thousand to five million"),
    "outbox": Bench("bench.outbox", "the browser's outbox, against four others in the same Chromium"),
    "health": Bench("bench.health", "the stream of health, against nginx with nchan"),
    "soak": Bench("bench.memory", "ten minutes of light load; only with --soak, or by name", "soak"),
}
ONLY_ASKED: Final = ("soak",)


def chosen(names: Sequence[str], *, soak: bool) -> list[str]:
    """The benches to run, in their own order."""
    wanted = set(names) or set(BENCHES) - set(ONLY_ASKED)
    return [name for name in BENCHES if name in wanted or (soak and name in ONLY_ASKED)]


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when a bar was missed or a bench broke off."""
    asked = _asked(words)
    if asked.list:
        for name, bench in BENCHES.items():
            print(f"{name:<10} {bench.summary}")
        return 0
    folder = QUICK_RESULTS if asked.quick else RESULTS
    WORK.mkdir(parents=True, exist_ok=True)
    broken = []
    missed: list[Figure] = []
    for name in chosen(asked.names, soak=asked.soak):
        say(f"{name}: {BENCHES[name].summary}")
        try:
            result = _measured(name, Scale(quick=asked.quick))
        except (RuntimeError, OSError) as fault:
            # The other benches can still be run; what broke off leaves its last result.
            say(f"  broke off: {fault}")
            broken.append(name)
            continue
        results.write(folder, result)
        missed += result.missed
        for figure in result.figures:
            say(f"  {results.line(figure)}")
    _write_page(folder)
    for figure in missed:
        say(f"MISSED: {results.missing(figure)}")
    for name in broken:
        say(f"BROKE OFF: {name}")
    return 1 if missed or broken else 0


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    ask = argparse.ArgumentParser(prog="python -m bench", description="Measure what Holdfast costs.")
    ask.add_argument("names", nargs="*", metavar="NAME", help="which benches; without one, all but the soak")
    ask.add_argument("--quick", action="store_true", help="small runs: they show that the benches work")
    ask.add_argument("--list", action="store_true", help="say which benches there are")
    ask.add_argument("--soak", action="store_true", help="the long one too")
    asked = ask.parse_args(words)
    for name in asked.names:
        if name not in BENCHES:
            ask.error(f"there is no bench {name!r}; there are: {', '.join(BENCHES)}")
    return asked


def _measured(name: str, scale: Scale) -> Result:
    at = machine(WORK)
    began = time.perf_counter()
    figures = BENCHES[name].find()(scale)
    took_s = round(time.perf_counter() - began, 1)
    return Result(bench=name, quick=scale.quick, took_s=took_s, machine=at, figures=figures)


def _write_page(folder: Path) -> None:
    kept = results.read(folder)
    plots: list[str] = []
    if can_draw():
        plots = draw(folder, kept)
    else:
        say("matplotlib is not here, so nothing was drawn: make bench installs it")
        plots = sorted(each.name for each in folder.glob("*.svg"))
    results.write_page(folder, kept, plots)
    say(f"Results: {folder / results.PAGE}")


if __name__ == "__main__":
    sys.exit(main())
