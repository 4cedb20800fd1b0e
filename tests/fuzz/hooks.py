"""What schemathesis is taught about our media types: how to make a zip and some CSV."""

from __future__ import annotations

import io
import os
import zipfile
from typing import Any

import schemathesis
from hypothesis import strategies as st


def _zipped(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            # A fixed time: the same files are the same bytes in every run.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text.encode("utf-8", "replace"))
    return packed.getvalue()


_NAMES = st.sampled_from(
    ["course.yaml", "01-first.md", "02-second.md", "figures/a.svg", "../out.md", "/abs.md", "a/b/c.md"]
)
_TEXTS = st.one_of(
    st.sampled_from(["# One\n\nA line.", "title: A course\nlessons:\n  - 01-first.md\n", "<svg/>", ""]),
    st.text(max_size=60),
)
_ZIPS = st.one_of(st.dictionaries(_NAMES, _TEXTS, max_size=4).map(_zipped), st.binary(max_size=80))
_CSV = st.one_of(
    st.lists(
        st.sampled_from(
            ["email,name,role", "eve@tidewater.example,Eve,learner", ",,", '"', "x@y.example,X,owner"]
        ),
        max_size=4,
    ).map("\n".join),
    st.text(max_size=60),
).map(lambda text: text.encode("utf-8", "replace"))

schemathesis.openapi.media_type("application/zip", _ZIPS)
schemathesis.openapi.media_type("text/csv", _CSV)


@schemathesis.serializer("application/zip")
def zip_bytes(_: schemathesis.SerializationContext, value: Any) -> bytes:  # noqa: ANN401 - theirs
    """Bytes go as they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


_REAL = {
    "course_id": os.environ.get("HOLDFAST_FUZZ_COURSE"),
    "lesson_id": os.environ.get("HOLDFAST_FUZZ_LESSON"),
    "user_id": "demo-ada",
}


@schemathesis.hook
def map_path_parameters(_: schemathesis.HookContext, path_parameters: Any) -> Any:  # noqa: ANN401 - theirs
    """Name what is there in half of the cases, or nearly all answers would be 404."""
    for name, real in _REAL.items():
        value = (path_parameters or {}).get(name)
        if real and isinstance(value, str) and len(value) % 2:
            path_parameters[name] = real
    return path_parameters
