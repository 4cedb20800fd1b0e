"""The browser's types are the server's own words."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_committed_openapi_document_is_what_the_server_says() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "openapi.py"))
    assert (ROOT / "browser" / "openapi.json").read_bytes() == script["text"](), (
        "run tools/openapi.py, then `npm run types` in browser/"
    )


def test_the_types_name_every_schema_of_the_document() -> None:
    types = (ROOT / "browser" / "src" / "wire" / "schema.d.ts").read_text()
    script = runpy.run_path(str(ROOT / "tools" / "openapi.py"))
    names = script["msgspec"].json.decode(script["text"]())["components"]["schemas"]
    assert [name for name in names if not re.search(rf"\b{name}: ", types)] == []
