"""How commands speak: for people by default, JSON with --json; errors with their hint, exit 1."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.core.errors import HoldfastError, Rejected

P = ParamSpec("P")
R = TypeVar("R")

# Neither marks nor names of pictures mean anything in what is printed: most of it others wrote.
screen = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


_UNBOUNDED: Final = 10_000


def as_json(value: Any) -> None:  # noqa: ANN401 - whatever a call answered
    """Print a value as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows for people."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        # An id is there to be copied into the next command.
        shown.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        shown.add_row(*(_cell(cell) for cell in row))
    if not screen.is_terminal:
        # Whatever reads it instead of a person finds each row on its line, however long.
        screen.width = _UNBOUNDED
    screen.print(shown)


def _cell(value: Any) -> Text:  # noqa: ANN401
    return value if isinstance(value, Text) else Text("" if value is None else plain(str(value)))


def plain(text: str) -> str:
    """A text in which nothing commands the terminal: control characters are written out."""
    return "".join(
        each if each in "\n\t" or unicodedata.category(each) != "Cc" else f"\\x{ord(each):02x}"
        for each in text
    )


@contextmanager
def output(path: Path | None) -> Iterator[Callable[[Any], None]]:
    """Gives what writes a value as JSON into a file, which is opened first; None: what writes nothing.

    A command that takes something away must not find out afterwards that its path was mistyped. Where
    the block fails, a file that was there is as it was, and none is left that was not.
    """
    if path is None:
        yield lambda _: None
        return
    new = not path.exists()
    with path.open("ab", buffering=0) as file:

        def write(value: Any) -> None:  # noqa: ANN401
            try:
                if path.is_file():
                    file.truncate(0)
                left = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
                while left:
                    left = left[file.write(left) :]
            except OSError as fault:
                raise OSError(fault.errno, fault.strerror, str(path)) from fault

        try:
            yield write
        except BaseException:
            if new:
                path.unlink(missing_ok=True)
            raise


def clear_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn an error of ours into words, a hint and exit status 1; as JSON when --json was asked for."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except HoldfastError as error:
            _refused(error, json_=bool(kwargs.get("json_")))
        except BrokenPipeError:
            raise  # nobody reads any more: click ends without a word
        except OSError as fault:
            where = f"{fault.filename}: " if fault.filename else ""
            no = Rejected(f"{where}{fault.strerror or fault}", hint="Is the path right, and is it yours?")
            _refused(no, json_=bool(kwargs.get("json_")))
        sys.exit(1)

    return wrapped


def _refused(error: HoldfastError, *, json_: bool) -> None:
    if json_:
        as_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
        return
    errors.print(Text.assemble((error.code, "bold red"), f": {plain(error.message)}"))
    if error.hint:
        errors.print(plain(error.hint))
