"""How commands speak: for people by default, JSON with --json; errors with their hint, exit 1."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.core.errors import HoldfastError

P = ParamSpec("P")
R = TypeVar("R")

# Neither marks nor names of pictures mean anything in what is printed: most of it others wrote.
screen = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def as_json(value: Any) -> None:  # noqa: ANN401 - whatever a call answered
    """Print a value as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows for people."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(cell) for cell in row))
    screen.print(shown)


def _cell(value: Any) -> Text:  # noqa: ANN401
    return value if isinstance(value, Text) else Text("" if value is None else plain(str(value)))


def plain(text: str) -> str:
    """A text in which nothing commands the terminal: control characters are written out."""
    return "".join(
        each if each in "\n\t" or unicodedata.category(each) != "Cc" else f"\\x{ord(each):02x}"
        for each in text
    )


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
                errors.print(Text.assemble((error.code, "bold red"), f": {plain(error.message)}"))
                if error.hint:
                    errors.print(plain(error.hint))
            sys.exit(1)

    return wrapped
