"""Where Chromium is, and what its absence means for the tests that need it."""

import os
import shutil
from collections.abc import Mapping
from enum import Enum


class Gate(Enum):
    """What happens to a test marked `browser`."""

    RUN = "run"
    SKIP = "skip"
    FAIL = "fail"


def find_chromium(environ: Mapping[str, str] = os.environ) -> str | None:
    """Name the program, or None. HOLDFAST_CHROMIUM names another one than Debian's."""
    return shutil.which(environ.get("HOLDFAST_CHROMIUM", "chromium"))


def gate(chromium: str | None, environ: Mapping[str, str] = os.environ) -> Gate:
    """A missing browser is a skip on a person's machine and a failure wherever it was promised."""
    if chromium is not None:
        return Gate.RUN
    promised = environ.get("HOLDFAST_REQUIRE_BROWSER") == "1" or environ.get("CI") == "true"
    return Gate.FAIL if promised else Gate.SKIP
