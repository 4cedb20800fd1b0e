"""How a command reaches its portal: the running one over HTTP, or one opened in this process.

Two processes must not write one SQLite file, so when a portal runs on the data directory a command
goes through its door like everybody else; when none runs, the same calls are answered in-process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from holdfast.access.tokens import Tokens
from holdfast.cli.address import RunningAt, address_file
from holdfast.cli.ground import keys_of, require_portal
from holdfast.core.clock import SystemClock
from holdfast.core.errors import CODES, HoldfastError, Rejected, Unavailable
from holdfast.learning.demo import PASSWORD, PEOPLE
from holdfast.settings import Settings, load
from holdfast.wiring import make_app, opened, running

TIMEOUT_S = 60.0


class Desk:
    """Calls on a portal, as one principal."""

    def __init__(self, client: httpx2.AsyncClient, headers: Mapping[str, str]) -> None:
        """`headers` prove who asks."""
        self._client = client
        self._headers = dict(headers)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,  # noqa: ANN401
        content: bytes | None = None,
        media: str = "application/json",
        org: str | None = None,
        params: Mapping[str, str] | None = None,
        timeout_s: float | None = TIMEOUT_S,
    ) -> Any:  # noqa: ANN401
        """A call's answer, decoded. Raises the error the portal answered with."""
        headers = dict(self._headers)
        if org is not None:
            headers["x-org-id"] = org
        if json is not None:
            content = msgspec.json.encode(json)
        if content is not None:
            headers["content-type"] = media
        try:
            answer = await self._client.request(
                method, path, content=content, headers=headers, params=params, timeout=timeout_s
            )
        except httpx2.HTTPError as fault:
            raise Unavailable(
                f"no answer from the portal at {self._client.base_url}: {str(fault) or type(fault).__name__}",
                hint="Is it running, and is the address right?",
            ) from fault
        if answer.is_error:
            raise refused(answer)
        kind = answer.headers.get("content-type", "")
        return msgspec.json.decode(answer.content) if "json" in kind and answer.content else answer.content

    async def is_service(self) -> bool:
        """Whether who asks is a service, which has one org and sees no other."""
        said = await self.call("GET", "/api/auth/session")
        return "service" in said["principal"]["roles"]

    async def as_service(self, org: str) -> Desk:
        """The same portal, as a service of an org: an operator keeps the platform, and acts in no org."""
        if await self.is_service():
            return self
        made = await self.call(
            "POST", "/api/admin/tokens", json={"role": "service", "orgId": org, "ttlDays": 1}
        )
        return Desk(self._client, {"authorization": f"Bearer {made['token']}"})


def refused(answer: httpx2.Response) -> HoldfastError:
    """The error a problem document speaks of."""
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        said = {}
    code = said.get("code", "internal")
    message = said.get("detail") or said.get("title") or f"the portal answered {answer.status_code}"
    wait = said.get("retryAfterS")
    family = Unavailable if wait is not None else Rejected
    error = family(message, code=code if code in CODES else "internal", hint=said.get("hint", ""))
    error.retry_s = wait
    return error


@asynccontextmanager
async def desk(
    *, data: Path | None = None, url: str | None = None, token: str | None = None
) -> AsyncIterator[Desk]:
    """A desk at the portal of a data directory, or at an address.

    Who asks: the token given; else an operator by the data directory's key; else, at an address
    alone, the demonstration's operator. Raises Unavailable when the portal does not answer, and what
    `keys_of` raises: a command begins no portal, and makes up no key.
    """
    if url is None:
        settings = load(data_dir=data)
        require_portal(settings)
        if not is_held(settings.folder):
            keys_of(settings)
            proof = {"authorization": f"Bearer {token or operator_token(settings)}"}
            async with (
                opened(settings) as portal,
                # What a command sends must be applied, too, before it can report what came of it.
                running(portal),
                httpx2.AsyncClient(
                    transport=httpx2.ASGITransport(make_app(portal)),
                    base_url="http://holdfast",
                    timeout=TIMEOUT_S,
                ) as client,
            ):
                yield Desk(client, proof)
            return
        url = running_at(settings.folder).url
        token = token or operator_token(settings)
    async with httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
        if token is None and data is not None:
            token = operator_token(load(data_dir=data))
        if token is not None:
            yield Desk(client, {"authorization": f"Bearer {token}"})
        else:
            yield await _demo_operator(client)


def operator_token(settings: Settings) -> str:
    """A short-lived operator token, by the key in a data directory or in the settings."""
    return Tokens(keys_of(settings), SystemClock()).mint("operator", None, "operator:command-line", 3600)


async def _demo_operator(client: httpx2.AsyncClient) -> Desk:
    email = next(person.email for person in PEOPLE if person.org is None)
    anonymous = Desk(client, {})
    try:
        said = await anonymous.call("POST", "/api/auth/login", json={"email": email, "password": PASSWORD})
    except Rejected as no:
        raise Rejected(
            "nobody is named to ask as, and this portal has no demonstration operator",
            code="not_signed_in",
            hint="Give --token (see `holdfast token`) or --data with the portal's data directory.",
        ) from no
    return Desk(client, {"x-csrf-token": said["csrfToken"]})


def is_held(folder: Path) -> bool:
    """Whether a running portal holds the data directory."""
    path = folder / "store.lock"
    if not path.exists():
        return False
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def running_at(folder: Path) -> RunningAt:
    """Where the portal that holds a data directory listens. Raises Unavailable when it left no note."""
    try:
        return msgspec.json.decode(address_file(folder).read_bytes(), type=RunningAt)
    except (OSError, msgspec.DecodeError):
        raise Unavailable(
            f"a process holds {folder} and left no address",
            hint="Another command may be at work: try again when it has finished, or give --url.",
        ) from None


async def org_id(at: Desk, slug: str) -> str:
    """The id of the org with a slug. Raises Rejected `not_found`; to a service, `org_forbidden`."""
    found = await at.call("GET", "/api/admin/orgs", params={"slug": slug})
    if not found["items"]:
        if await at.is_service():
            raise Rejected(
                f"the org with the slug {slug!r} is not the one that the token is of",
                code="org_forbidden",
                hint="Leave --org out where that is allowed, or give another --token.",
            )
        raise Rejected(
            f"no org has the slug {slug!r}", code="not_found", hint="`holdfast seed demo` makes two orgs."
        )
    return str(found["items"][0]["id"])
