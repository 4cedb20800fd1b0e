"""How commands speak: for people by default, JSON with --json; errors with their hint, exit 1."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table

from holdfast.core.errors import HoldfastError

P = ParamSpec("P")
R = TypeVar("R")

screen = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(value: Any) -> None:  # noqa: ANN401 - whatever a call answered
    """Print a value as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows for people."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    screen.print(shown)


def clear_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn an error of ours into words, a hint and exit status 1; as JSON when --json was asked for."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except HoldfastError as error:
            if kwargs.get("json_"):
                as_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
            else:
                errors.print(f"[bold red]{error.code}[/]: {error.message}", markup=True)
                if error.hint:
                    errors.print(error.hint, markup=False)
            sys.exit(1)

    return wrapped
