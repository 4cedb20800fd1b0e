"""Where the browsers are, and what the absence of one means for the tests that need it."""

import os
import shutil
from collections.abc import Mapping
from enum import Enum
from pathlib import Path


class Gate(Enum):
    """What happens to a test that needs a browser."""

    RUN = "run"
    SKIP = "skip"
    FAIL = "fail"


def find_chromium(environ: Mapping[str, str] = os.environ) -> str | None:
    """Name the program, or None. HOLDFAST_CHROMIUM names another one than Debian's."""
    return shutil.which(environ.get("HOLDFAST_CHROMIUM", "chromium"))


def find_firefox() -> str | None:
    """Name Firefox ESR, or None."""
    return shutil.which("firefox-esr")


def find_webkit() -> str | None:
    """Name WebKitGTK's own small browser; None without it, or without Xvfb to show it."""
    found = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"))
    return str(found[0]) if found and shutil.which("Xvfb") else None


def gate(chromium: str | None, environ: Mapping[str, str] = os.environ) -> Gate:
    """A missing browser is a skip on a person's machine and a failure wherever it was promised."""
    if chromium is not None:
        return Gate.RUN
    promised = environ.get("HOLDFAST_REQUIRE_BROWSER") == "1" or environ.get("CI") == "true"
    return Gate.FAIL if promised else Gate.SKIP
