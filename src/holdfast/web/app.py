"""The ASGI app: the table of calls, each behind a door that guards, validates and answers.

Doors are plain ASGI objects inside Starlette's routes; one `BaseHTTPMiddleware` was measured to cost
five sixths of the throughput, so there is none.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from holdfast.access.principal import Principal
from holdfast.core.errors import HoldfastError, Rejected, Unavailable
from holdfast.web import problems
from holdfast.web import query as query_string
from holdfast.web.calls import Answer, Ask, Call
from holdfast.web.guard import admit, require_store_well
from holdfast.web.portal import Portal

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode
Headers = list[tuple[bytes, bytes]]

_EVERY_ANSWER: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Door:
    """One call as an ASGI app."""

    def __init__(self, call: Call, portal: Portal) -> None:
        """`call`: its row in the table."""
        self._call = call
        self._portal = portal
        self._decode: Callable[[bytes], Any] | None = None
        if call.body is not None and call.body is not bytes:
            self._decode = msgspec.json.Decoder(call.body).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong becomes a problem document."""
        portal = self._portal
        portal.requests_under_way += 1
        try:
            status, headers, body = await self._answer(scope, receive)
        except HoldfastError as error:
            if error.code == "internal":
                log.exception("request failed", path=scope.get("path"), fault=type(error).__name__)
            status, headers, body = refusal(error)
        except asyncio.CancelledError:
            if not portal.draining:
                raise
            # The time for what is under way is over; the sender hears it instead of a broken line.
            status, headers, body = refusal(Unavailable("the portal is stopping", code="draining"))
        except Exception as fault:
            log.exception("request failed", path=scope.get("path"), fault=type(fault).__name__)
            status, headers, body = refusal(
                HoldfastError("the portal failed to answer this request", hint="It is in the portal's log.")
            )
        finally:
            portal.requests_under_way -= 1
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        call, portal = self._call, self._portal
        headers = _headers(scope)
        client = scope["client"][0] if scope.get("client") else ""
        who = await admit(portal, call, headers, client)
        if call.destructive:
            require_store_well(portal)
        body, waited = await self._body(headers, receive) if call.body is not None else (None, False)
        if waited:
            # Whoever was let in by the head may have been put out, or erased, before the rest came.
            who = await admit(portal, call, headers, client)
        query = query_string.read(call.query, scope["query_string"]) if call.query is not None else None
        org = who.org if who is not None else None
        ask = Ask(portal, who, org, body, query, scope.get("path_params", {}), headers, client)
        result = await call.handler(ask)
        return self._worded(result, headers, who)

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> tuple[Any, bool]:
        """The body, read, and whether it had to be waited for."""
        call = self._call
        if (
            call.may_be_empty
            and headers.get("content-length", "0") == "0"
            and "transfer-encoding" not in headers
        ):
            return None, False
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = call.reads if call.body is bytes else "application/json"
        # Beacons can't set a content type other than these without asking first.
        if media != wanted and not (call.beacon and media == "text/plain"):
            raise Rejected(
                f"this address reads {wanted}, and the body says {media or 'nothing'}",
                code="unsupported_media_type",
                hint=f"Send Content-Type: {wanted}.",
            )
        most_s = self._portal.settings.body_timeout_s
        raw, waited = await read_body(receive, headers, call.limit_bytes, most_s)
        if self._decode is None:
            return raw, waited
        try:
            return self._decode(raw), waited
        except msgspec.ValidationError as fault:
            raise Rejected(str(fault), code="invalid", hint="See /api/openapi.json for the shape.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise Rejected(f"the body is not JSON: {fault}", code="malformed") from None
        except RecursionError:
            raise Rejected("the body is nested too deeply", code="malformed") from None

    def _worded(
        self,
        result: Any,  # noqa: ANN401
        asked: Mapping[str, str],
        who: Principal | None,
    ) -> tuple[int, Headers, bytes]:
        answer = result if isinstance(result, Answer) else Answer(result)
        status = answer.status or self._call.status
        content = answer.content
        body = content if isinstance(content, bytes) else b"" if content is None else _encode(content)
        headers: Headers = []
        if content is not None:
            headers.append((b"content-type", answer.media_type.encode()))
        own = {name.lower() for name in answer.headers}
        headers += [
            (name.lower().encode(), value.encode("latin-1", "replace"))
            for name, value in answer.headers.items()
        ]
        headers += [(b"set-cookie", cookie.encode()) for cookie in answer.cookies]
        headers += [pair for pair in _EVERY_ANSWER if pair[0].decode() not in own and not self._call.etag]
        if self._call.etag:
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            headers += [
                (b"etag", tag.encode()),
                (b"cache-control", b"private, no-cache"),
                (b"vary", b"Cookie, Authorization, X-Org-Id"),
                (b"x-data-as-of", self._portal.data_as_of(who.org if who else None).encode()),
                *([(b"x-holdfast-principal", who.mark.encode())] if who else ()),
                *_EVERY_ANSWER[:2],
            ]
            if tag in asked.get("if-none-match", ""):
                return 304, headers, b""
        return status, headers, body


def refusal(error: HoldfastError) -> tuple[int, Headers, bytes]:
    """An error as status, headers and problem document."""
    headers = [(b"content-type", problems.MEDIA_TYPE.encode()), *problems.headers(error), *_EVERY_ANSWER]
    if error.code in ("body_too_large", "body_timeout", "draining"):
        # The rest of the body is unread: the connection can't be used again.
        headers.append((b"connection", b"close"))
    return error.status, headers, _encode(problems.problem(error))


async def read_body(
    receive: Receive, headers: Mapping[str, str], limit: int, timeout_s: float
) -> tuple[bytes, bool]:
    """A request's whole body, and whether it did not come with its head.

    Raises Rejected `body_too_large`, `body_timeout`, `malformed`.
    """
    stated = headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(limit)
    message, waited = await _received(receive, timeout_s)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        waited = True
        parts = [body]
        size = len(body)
        try:
            async with asyncio.timeout(timeout_s):
                while message.get("more_body"):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Rejected("the body ended early", code="malformed")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise _too_late(timeout_s) from None
        body = b"".join(parts)
    if len(body) > limit:
        raise _too_large(limit)
    return body, waited


class _Promptly:
    """Awaits `receive` and gives None when it had to wait: most bodies came with their head."""

    def __init__(self, receive: Receive) -> None:
        self._step = receive().__await__()
        self._waiting: Any = None

    def at_once(self) -> Any:  # noqa: ANN401 - an ASGI message
        try:
            self._waiting = next(self._step)
        except StopIteration as came:
            return came.value
        return None

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield self._waiting
        except BaseException:
            self._step.close()
            raise
        return (yield from self._step)


async def _received(receive: Receive, timeout_s: float) -> tuple[Any, bool]:
    """An ASGI message, and whether it had to be waited for."""
    prompt = _Promptly(receive)
    message = prompt.at_once()
    waited = message is None
    if waited:
        try:
            async with asyncio.timeout(timeout_s):
                message = await prompt
        except TimeoutError:
            raise _too_late(timeout_s) from None
    if message["type"] == "http.disconnect":
        raise Rejected("the body ended early", code="malformed")
    return message, waited


def _too_large(limit: int) -> Rejected:
    return Rejected(
        f"the body has more than {limit} bytes",
        code="body_too_large",
        hint="Send it in several requests.",
    )


def _too_late(timeout_s: float) -> Rejected:
    return Rejected(f"the body did not arrive within {timeout_s:g} s", code="body_timeout", retry_s=1.0)


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        text = value.decode("latin-1")
        if key in found:
            text = f"{found[key]}; {text}" if key == "cookie" else f"{found[key]}, {text}"
        found[key] = text
    return found


class _OtherMethod:
    """What answers at a call's address for methods no call has there: 405 and what is allowed."""

    def __init__(self, doors: list[Route]) -> None:
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        there = [door for door in self._doors if door.matches(scope)[0] is not Match.NONE]
        allowed = sorted({method for door in there for method in door.methods or ()})
        error = Rejected(f"{scope['method']} is not answered here", code="method_not_allowed")
        response = refused(error, {"allow": ", ".join(allowed)})
        await response(scope, receive, send)


def refused(error: HoldfastError, more: Mapping[str, str] | None = None) -> Response:
    """An error as a response, with further headers."""
    status, headers, body = refusal(error)
    response = Response(body, status)
    response.raw_headers = [*headers, *((k.lower().encode(), v.encode()) for k, v in (more or {}).items())]
    response.raw_headers.append((b"content-length", str(len(body)).encode()))
    return response


async def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "malformed")
    return refused(
        Rejected(str(getattr(error, "detail", "")) or "not here", code=code), getattr(error, "headers", None)
    )


async def _fault(_: Request, __: Exception) -> Response:
    # A fault outside of every door; the server logs it.
    error = HoldfastError("the portal failed to answer this request", hint="It is in the portal's log.")
    return refused(error)


class App:
    """A portal's ASGI app. Plain addresses are looked up; those with parameters go through Starlette."""

    def __init__(self, portal: Portal, calls: tuple[Call, ...], *others: BaseRoute) -> None:
        """`others`: whatever else answers, such as the page."""
        pairs = [(call, Door(call, portal)) for call in calls]
        self._plain = {(call.method, call.path): door for call, door in pairs if "{" not in call.path}
        doors = [Route(call.path, door, methods=[call.method]) for call, door in pairs]
        other_method = _OtherMethod(doors)
        closed = [Route(path, other_method) for path in dict.fromkeys(call.path for call in calls)]
        self.router = Starlette(
            routes=[*doors, *closed, *others],
            exception_handlers={HTTPException: _http_error, Exception: _fault},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            door = self._plain.get((scope["method"], scope["path"]))
            if door is not None:
                await door(scope, receive, send)
                return
        await self.router(scope, receive, send)
