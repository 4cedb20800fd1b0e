"""`holdfast token`: make one, list them, revoke one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import jwt
import uvloop

from holdfast.access.tokens import Tokens
from holdfast.cli import say
from holdfast.cli.desk import desk, org_id
from holdfast.cli.ground import keys_of
from holdfast.core.clock import SystemClock
from holdfast.core.errors import Rejected
from holdfast.core.ids import uuid7
from holdfast.settings import load

_PATH: Final = "/api/admin/tokens"
_DAY_S: Final = 86_400
_OPTIONS: Final = (
    click.option(
        "--data", type=click.Path(file_okay=False, path_type=Path), help="The portal's data directory."
    ),
    click.option("--json", "json_", is_flag=True, help="Answer in JSON."),
)


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group("token", invoke_without_command=True)
@click.option("--role", type=click.Choice(["service", "operator"]), default="service", show_default=True)
@click.option("--org", help="The org's slug; a service belongs to one.")
@click.option(
    "--days", default=90, show_default=True, type=click.IntRange(1, 365), help="How long it is good for."
)
@_common
@click.pass_context
@say.clear_errors
def token(
    context: click.Context, role: str, org: str | None, days: int, data: Path | None, *, json_: bool
) -> None:
    """Make a bearer token; it is shown this once, with the id it can be revoked by."""
    if context.invoked_subcommand is not None:
        if data is not None or org is not None:
            # Passed over they would ask another portal than the one that was meant.
            raise click.UsageError(f"options of `{context.invoked_subcommand}` stand behind it")
        return
    if role == "service":
        if org is None:
            raise Rejected(
                "a service token belongs to an org", code="org_required", hint="Name it with --org."
            )
        made = uvloop.run(_for_service(data, org, days))
    else:
        if org is not None:
            raise Rejected("an operator's token belongs to no org", hint="Leave --org out.")
        made = _for_operator(data, days)
    if json_:
        say.as_json({**made, "role": role, "org": org})
    else:
        say.errors.print(f"Its id, to revoke it by: {made['id']}", highlight=False)
        click.echo(made["token"])


async def _for_service(data: Path | None, slug: str, days: int) -> dict[str, str]:
    async with desk(data=data) as at:
        wanted = {"role": "service", "orgId": await org_id(at, slug), "ttlDays": days}
        made = await at.call("POST", _PATH, json=wanted)
    return {"token": made["token"], "id": made["id"]}


def _for_operator(data: Path | None, days: int) -> dict[str, str]:
    """By the key itself: whoever can read the key is the operator, also while nothing runs."""
    token_id = uuid7()
    tokens = Tokens(keys_of(load(data_dir=data)), SystemClock())
    return {"token": tokens.mint("operator", None, ttl_s=days * _DAY_S, token_id=token_id), "id": token_id}


@token.command("list")
@click.option("--org", help="The org's slug; all orgs if left out.")
@_common
@say.clear_errors
def listing(org: str | None, data: Path | None, *, json_: bool) -> None:
    """Service tokens that have not expired: who made them, when they were used, which are revoked."""

    async def asked() -> Any:  # noqa: ANN401
        async with desk(data=data) as at:
            params = {"orgId": await org_id(at, org)} if org else None
            return await at.call("GET", _PATH, params=params)

    found = uvloop.run(asked())
    if json_:
        say.as_json(found)
        return
    rows = [
        [
            one["id"], one["orgId"], one["madeBy"], one["madeAt"], one["expiresAt"],
            one["lastUsedAt"] or "never", one["revokedAt"] or "",
        ]
        for one in found["items"]
    ]  # fmt: skip
    say.table("Service tokens", ["id", "org", "made by", "made", "expires", "last used", "revoked"], rows)


@token.command("revoke")
@click.argument("which", metavar="ID|TOKEN")
@_common
@say.clear_errors
def revoke(which: str, data: Path | None, *, json_: bool) -> None:
    """Let one token count no more, at once: by its id, or by the token itself where only that is known."""
    token_id = _id_of(which)

    async def asked() -> Any:  # noqa: ANN401
        async with desk(data=data) as at:
            return await at.call("DELETE", f"{_PATH}/{quote(token_id, safe='')}")

    said = uvloop.run(asked())
    if json_:
        say.as_json(said)
        return
    say.screen.print(f"Token {token_id} is revoked.", highlight=False)
    if said["listed"] is False:
        say.screen.print(
            "It was not on the list of service tokens: an operator's, or made by an earlier version. "
            "If the id is mistyped, nothing was revoked."
        )


def _id_of(which: str) -> str:
    """The id, out of the token where that is given. Nothing is proven by it, and nothing need be."""
    if "." not in which:
        return which
    try:
        found = jwt.decode(which, options={"verify_signature": False}).get("jti")
    except jwt.InvalidTokenError as fault:
        raise Rejected(
            "this is neither an id nor a token", hint="`holdfast token list` shows ids."
        ) from fault
    if not isinstance(found, str) or not found:
        raise Rejected("this token has no id", hint="It is not one of this portal's.")
    return found
