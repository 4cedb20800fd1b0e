"""The page: the built client, its shell for every address of the client's own, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from holdfast.core.errors import Rejected
from holdfast.web.app import refusal

CLIENT: Final = Path(__file__).parent / "client"

_SHELL_HEADERS: Final = {
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
}

_NOT_BUILT: Final = (
    b"<!doctype html><html lang=en><title>Holdfast</title><h1>The page is not built</h1>"
    b"<p>The portal runs; its page does not come with this installation. "
    b"Build it: <code>cd browser &amp;&amp; npm ci &amp;&amp; npm run build</code>."
)


class _Shell:
    """Every address that is the client's own, such as /courses/…, answers with the same page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        response: Response
        root_file = self._folder / path.lstrip("/")
        if path.startswith("/api/") or scope["method"] not in ("GET", "HEAD"):
            known = scope["method"] in ("GET", "HEAD") or path.startswith("/api/")
            code = "not_found" if known else "method_not_allowed"
            status, headers, body = refusal(Rejected(f"nothing answers at {path[:200]}", code=code))
            response = Response(body, status)
            response.raw_headers = [*headers, (b"content-length", str(len(body)).encode())]
        elif path.count("/") == 1 and "." in path[1:] and root_file.is_file():
            response = FileResponse(root_file, headers={"cache-control": "no-cache"})
        elif (self._folder / "index.html").is_file():
            response = FileResponse(self._folder / "index.html", headers=_SHELL_HEADERS)
        else:
            response = Response(_NOT_BUILT, 200, media_type="text/html; charset=utf-8")
        await response(scope, receive, send)


class _Hashed(StaticFiles):
    """Files whose names change with their content may be kept for good."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        response.headers["x-content-type-options"] = "nosniff"
        return response


def routes(folder: Path = CLIENT) -> list[BaseRoute]:
    """The page's routes; they come after all calls."""
    return [
        Mount("/assets", _Hashed(directory=folder / "assets", check_dir=False)),
        Route("/{rest:path}", _Shell(folder)),
    ]
