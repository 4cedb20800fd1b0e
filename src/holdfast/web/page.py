"""The page: the built client, its shell for every address of the client's own, and its files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from holdfast.core.errors import Rejected
from holdfast.web.app import refused

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

_FILE_HEADERS: Final = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_WORKER_HEADERS: Final = {
    # The browser looks for a newer one at least daily; a cached answer would hide it.
    **_FILE_HEADERS,
    "content-type": "text/javascript; charset=utf-8",
    "service-worker-allowed": "/",
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'",
}
_WORKERS: Final = ("/sw.js", "/sw-static.js")

_ROOT_FILE: Final = re.compile(r"/[A-Za-z0-9][A-Za-z0-9_-]{0,60}(?:\.[A-Za-z0-9]{1,20}){1,3}\Z")
"""Nothing that a file system could choke on, and no way out of the folder."""

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
        if path == "/api" or path.startswith("/api/"):
            response = refused(Rejected(f"nothing answers at {path[:200]!r}", code="not_found"))
        elif scope["method"] not in ("GET", "HEAD"):
            error = Rejected(f"{scope['method']} is not answered here", code="method_not_allowed")
            response = refused(error, {"allow": "GET, HEAD"})
        elif path in _WORKERS:
            response = self._worker(path)
        elif (root_file := self._root_file(path)) is not None:
            response = FileResponse(root_file, headers=_FILE_HEADERS)
        elif (self._folder / "index.html").is_file():
            response = FileResponse(self._folder / "index.html", headers=_SHELL_HEADERS)
        else:
            response = Response(_NOT_BUILT, 200, media_type="text/html; charset=utf-8")
        await response(scope, receive, send)

    def _worker(self, path: str) -> Response:
        """A service worker's script. The shell in its place would be a script that can't be read."""
        found = self._root_file(path)
        if found is None:
            return refused(Rejected(f"{path} is not part of this build", code="not_found"))
        return FileResponse(found, headers=_WORKER_HEADERS)

    def _root_file(self, path: str) -> Path | None:
        """The file beside the shell that an address names, such as /favicon.svg."""
        # The shell's own file goes out as the shell, with the headers of a page.
        if path == "/index.html" or not _ROOT_FILE.match(path):
            return None
        found = self._folder / path[1:]
        return found if found.is_file() else None


class _Hashed(StaticFiles):
    """Files whose names change with their content may be kept for good."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        response.headers["x-content-type-options"] = "nosniff"
        return response


def build_of(folder: Path) -> str | None:
    """The name of the build in a folder, which changes with any of its files; None where it has none."""
    try:
        said = json.loads((folder / "build.json").read_text())
    except (OSError, ValueError):
        return None
    build = said.get("build") if isinstance(said, dict) else None
    return build if isinstance(build, str) else None


def routes(folder: Path = CLIENT) -> list[BaseRoute]:
    """The page's routes; they come after all calls."""
    return [
        Mount("/assets", _Hashed(directory=folder / "assets", check_dir=False)),
        Route("/{rest:path}", _Shell(folder)),
    ]
