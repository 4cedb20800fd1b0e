"""Where the log goes: to standard error, whoever writes it. Standard output is a command's answer."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, Final

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback

from holdfast.settings import log_format


class _ToStandardError:
    """Writes lines to what standard error is now, and is no reason to stop working when it is gone.

    A line that can't be written, because the pipe's reader died or the log's disk is full, would
    else end whatever wanted to say it: the applier, a replay.
    """

    def msg(self, line: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = warn = error = err = critical = fatal = exception = log = msg


_OUT: Final = _ToStandardError()


def to_standard_error() -> None:
    """Send every log line there, as people or machines read it (HOLDFAST_LOG_FORMAT)."""
    last: tuple[Any, ...] = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    if log_format() == "console":
        # rich's tracebacks have the locals in them: thousands of lines, and what people wrote.
        last = (ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback),)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _OUT,
        cache_logger_on_first_use=True,
    )
