"""The results as pictures: SVG, by matplotlib where it is installed (requirements-bench.lock)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.figure import Figure, number
from bench.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS: Final = "#0b6e75"
OTHER: Final = "#c2571a"
MISSED: Final = "#a4262c"
GREY: Final = "#6b7280"
_STYLE: Final = {
    # Text stays text, and two runs with the same figures give the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "holdfast",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(folder: Path, results: Sequence[Result]) -> list[str]:
    """Draw what there is to draw; the names of the files. Call it only where `can_draw`."""
    figures = [figure for result in results for figure in result.figures]
    wanted: tuple[tuple[str, Callable[[Axes, list[Figure]], None], list[Figure]], ...] = (
        ("ratios.svg", _ratios, [each for each in figures if each.peer]),
        ("growth.svg", _growth, [each for each in figures if each.bench == "growth"][:1]),
        ("soak.svg", _soak, [each for each in figures if each.bench == "soak"][:1]),
    )
    drawn = []
    for name, picture, found in wanted:
        if found:
            _save(folder / name, picture, found)
            drawn.append(name)
    return drawn


def _save(path: Path, picture: Callable[[Axes, list[Figure]], None], figures: list[Figure]) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - not every machine that measures has it

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with plt.rc_context(_STYLE):
        canvas, axes = plt.subplots(figsize=(8, 0.42 * len(figures) + 1.6 if len(figures) > 1 else 4))
        picture(axes, figures)
        canvas.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
        plt.close(canvas)
    # Whoever edits text is asked to leave no blanks at the ends of lines.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _ratios(axes: Axes, figures: list[Figure]) -> None:
    """A bar for each figure that has a peer, with the mark it must reach."""
    shown = figures[::-1]
    ratios = [figure.ratio or 0.0 for figure in shown]
    colours = [{True: OURS, False: MISSED, None: GREY}[figure.passed] for figure in shown]
    axes.barh(range(len(shown)), ratios, height=0.6, color=colours)
    for at, figure in enumerate(shown):
        text = f"{number(figure.ratio)}: {number(figure.value)} {figure.unit}"
        axes.text(max(ratios[at], figure.least_ratio or 0.0) + 0.02, at, text, va="center", fontsize=8)
        if figure.least_ratio is not None:
            axes.plot([figure.least_ratio] * 2, [at - 0.4, at + 0.4], color="black", linewidth=2)
    axes.set_yticks(range(len(shown)), [f"{figure.bench}: {figure.name}" for figure in shown], fontsize=8)
    axes.set_xlim(0, max([1.0, *ratios]) * 1.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the peer's throughput; black: the bar (grey: without one)")


def _growth(axes: Axes, figures: list[Figure]) -> None:
    points: list[dict[str, Any]] = figures[0].facts["points"]
    events = [point["events"] for point in points]
    for name, label, colour in (("intakeUs", "intake", OURS), ("applyUs", "apply", OTHER)):
        axes.plot(events, [point[name] for point in points], marker="o", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xticks(events, [f"{each:,}" for each in events], rotation=30, fontsize=8)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("events in journal and store")
    axes.set_ylabel("µs an event")
    axes.legend()


def _soak(axes: Axes, figures: list[Figure]) -> None:
    samples: list[list[float]] = figures[0].facts["samples"]
    axes.plot([each[0] / 60 for each in samples], [each[1] for each in samples], color=OURS)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes of light load")
    axes.set_ylabel("RSS, MB")
