"""Write the OpenAPI document that the browser's types are generated from.

`python tools/openapi.py` writes browser/openapi.json; `--check` says whether it is what the server
would say, and exits 1 when it isn't. `npm run types` in browser/ then writes src/wire/schema.d.ts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from holdfast.events import loss
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.web.openapi import document
from holdfast.web.table import CALLS

FILE = Path(__file__).parent.parent / "browser" / "openapi.json"


def text() -> bytes:
    """The document as it is committed: indented, keys in order, so that changes read well."""
    said = document(CALLS, (*kinds(Scrubber(b"no salt is needed to name kinds")), loss.KIND))
    return msgspec.json.format(msgspec.json.encode(said, order="sorted"), indent=2) + b"\n"


def main() -> None:
    """Write or check."""
    if "--check" in sys.argv[1:]:
        if not FILE.exists() or FILE.read_bytes() != text():
            print(f"{FILE.name} is behind the server: run tools/openapi.py, then `npm run types`")
            sys.exit(1)
    else:
        FILE.write_bytes(text())


if __name__ == "__main__":
    main()
