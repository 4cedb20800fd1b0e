"""The shape of a call: what one row of the table of calls says, and what a handler gets and gives.

Router, guard, validation and OpenAPI all come from these rows; a route that is not a row does not
exist, and a row without an action can't be written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from holdfast.access.principal import Principal
from holdfast.core.errors import Rejected

if TYPE_CHECKING:
    from holdfast.web.portal import Portal

Method = Literal["GET", "POST", "PATCH", "DELETE"]


class Wire(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What a request's body or query is made of: camelCase, unknown fields refused by name."""


class Said(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=False):
    """What an answer is made of: camelCase."""


class Ask(NamedTuple):
    """One request, checked: everything a handler may know of it."""

    portal: Portal
    who: Principal | None
    """Who asks; None only where the call's action is `public` and nobody proved anything."""
    org: str | None
    """The org the request acts in, proven; None where the principal has none or named none."""
    body: Any
    """The decoded struct of `Call.body`, or bytes where that says bytes."""
    query: Any
    """The decoded struct of `Call.query`."""
    path: Mapping[str, str]
    headers: Mapping[str, str]
    """Header names in lower case."""
    client: str
    """The peer's address."""

    @property
    def me(self) -> Principal:
        """Who asks, where the call's action demands somebody."""
        if self.who is None:
            raise Rejected("sign in first", code="not_signed_in")
        return self.who

    @property
    def my_org(self) -> str:
        """The org the request acts in, where the call can't do without."""
        if self.org is None:
            raise Rejected(
                "this call acts in an org, and none is named",
                code="org_required",
                hint="Name one in the header X-Org-Id.",
            )
        return self.org


class Answer(NamedTuple):
    """An answer that is more than a struct with the call's usual status."""

    content: Any
    """A struct (encoded as JSON), bytes (sent as they are), or None."""
    status: int | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = {}
    cookies: tuple[str, ...] = ()
    """Whole Set-Cookie values."""


Handler = Callable[[Ask], Awaitable[Any]]


class Call(NamedTuple):
    """One row of the table of calls."""

    method: Method
    path: str
    handler: Handler
    action: str
    """A row of `access/policy.py`."""
    returns: type | None
    """The struct of a good answer; None for 204 or for bytes."""
    summary: str
    body: type | None = None
    """A struct for JSON, `bytes` for `reads`."""
    query: type[msgspec.Struct] | None = None
    status: int = 200
    reads: str = "application/json"
    """The media type a `bytes` body must have."""
    gives: tuple[str, ...] = ("application/json",)
    """The media types it can answer in; more than one means `Accept` chooses."""
    also: tuple[int, ...] = ()
    """Further good statuses with the same struct, such as 202."""
    limit_bytes: int = 256 << 10
    """The largest body it reads."""
    beacon: bool = False
    """Whether the CSRF token may stand in the body instead of a header; the handler checks it then."""
    may_be_empty: bool = False
    """Whether a request without a body is heard; the handler gets None then."""
    destructive: bool = False
    """Whether it takes something away: held back while the store is out or degraded."""
    etag: bool = False
    """Whether the answer carries an ETag and If-None-Match is heard."""
