"""Writes the pages of docs/reference/ that are plain listings, from the code they list.

python tools/reference.py          writes them
python tools/reference.py --check  says which ones are not as they should be, and fails then
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from holdfast.access.policy import TABLE as POLICY
from holdfast.access.principal import ROLES
from holdfast.cli.main import main as commands
from holdfast.core.errors import CODES, Conflict, Corrupt, HoldfastError, Misconfigured, Rejected, Unavailable
from holdfast.events import loss
from holdfast.events.kind import Kind
from holdfast.health.verdict import TABLE as DEGRADATIONS
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.settings import SETTINGS, Settings
from holdfast.web.calls import Call
from holdfast.web.measures import definitions
from holdfast.web.openapi import call_for
from holdfast.web.table import CALLS
from holdfast.wiring import opened

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"
NOTE: Final = "<!-- Written by tools/reference.py from the code: change that, then run it. -->"
FAMILIES: Final[tuple[type[HoldfastError], ...]] = (Rejected, Conflict, Unavailable, Corrupt, Misconfigured)
_REF: Final = "#/components/schemas/{name}"


INTROS: Final = {
    "Settings": """
Every setting is an environment variable, read once at start. A value that is not allowed stops the
start and is named. Sizes are bytes, times seconds; switches take `on` or `off`.
""",
    "Kinds of event": """
What an event may be, and the fields of its `body`. A field that is not listed is refused by its name;
only `data` of `analytics.recorded` is free. An id begins with a letter or digit, goes on with these
and `._-`, and has 128 characters at most. How events travel is in
[Batches and receipts](wire-receipts.md).
""",
    "Routes": """
Every call of the portal. The exact shapes, answers too, are in the OpenAPI document at
`/api/openapi.json`. What is refused is answered with a problem document whose `code` is in
[Errors](errors.md). A write with a session cookie carries its CSRF token in `X-CSRF-Token`;
`X-Org-Id` names the org to act in, where one has several.
""",
    "Errors": """
An error is a problem document (RFC 9457, `application/problem+json`) with `code`, `title`, `status`,
`detail` and, where there is one, a `hint` that says how to mend it; where waiting helps also
`retryAfterS` and the header `Retry-After`. The codes are stable. An event's receipt and a dead letter
use the same codes. There are five families, named after who must act:
""",
    "Commands": """
Each command exits with 0 when it did what it was asked, and with 1 and a sentence that says why when it
did not; `--json` gives both as JSON on standard output, and nothing else stands there. A command that
is mistyped exits with 2 and says what is wrong in words on standard error, also with `--json`. The log
goes to standard error too.

With `--data` a command finds the portal that runs on that folder and asks it; when none runs, it opens
the folder itself, with the settings that the portal there runs with. Only `serve` and `seed demo` begin a
new portal.
""",
    "Health": """
How the stream tells them is in [The stream of health](wire-health.md), numbers are in
[Metrics](metrics.md). These are the degradations that `/api/health` names. A component's answer counts
for its `ttlMs`; an older one is `unknown`, never its last good value.
""",
    "Metrics": """
At `/api/diagnostics/metrics`, in Prometheus' text format, for operators, services and this machine;
what a proxy on it passes on is not this machine's.
""",
}


def page(title: str, sections: Iterable[str]) -> str:
    """A whole page."""
    return "\n\n".join([NOTE, f"# {title}", INTROS[title].strip(), *sections]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join(lines)


# Settings


def settings_page() -> str:
    """Every setting."""
    defaults = Settings()
    sections = []
    for each in SETTINGS:
        default = getattr(defaults, each.field)
        shown = {True: "on", False: "off", None: "not set"}.get(default, default)
        sections.append(f"## `{each.variable}`\n\n{each.help}\n\nDefault: `{shown}`.")
    return page(
        "Settings",
        sections,
    )


# Kinds


def kinds_page() -> str:
    """Every kind of event."""
    catalog: tuple[Kind, ...] = (*kinds(Scrubber(b"for the reference only")), loss.KIND)
    sections = []
    for kind in catalog:
        facts = [("Address", DOORS[kind.door]), ("Lane", f"`{kind.lane}`"), ("Who", who_may(kind.action))]
        sections.append(
            f"## `{kind.name}` v{kind.version}\n\n{kind.summary}\n\n"
            + "\n".join(f"- {name}: {value}" for name, value in facts)
            + "\n\n"
            + fields_table(kind.body)
        )
    return page(
        "Kinds of event",
        sections,
    )


DOORS: Final = {
    "progress": "`/api/client/progress`, `/api/client/progress/batch`",
    "analytics": "`/api/analytics/events`, `/api/analytics/events/batch`",
    "admin": "made by the portal for the routes under `/api/admin/courses/{course_id}/`",
    "loss": "made by the portal for `/api/client/loss`",
}


def fields_table(struct: type) -> str:
    """The fields of a struct."""
    (_,), components = msgspec.json.schema_components([struct], ref_template=_REF)
    shape = components[struct.__name__]
    needed = shape.get("required", ())
    rows = []
    for name, schema in shape["properties"].items():
        rows.append((f"`{name}`", type_text(schema, components), "yes" if name in needed else ""))
        rows += inner_rows(name, schema, components)
    return table(["field", "what it takes", "needed"], rows)


def inner_rows(name: str, schema: dict[str, Any], components: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The fields of an object in a field, by their dotted names."""
    for each in schema.get("anyOf", [schema]):
        inner = components.get(each.get("$ref", "").rpartition("/")[2], {})
        if inner.get("properties"):
            needed = inner.get("required", ())
            return [
                (f"`{name}.{field}`", type_text(its, components), "yes" if field in needed else "")
                for field, its in inner["properties"].items()
            ]
    return []


BOUNDS: Final = {"minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most"}
IDS: Final = (
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z",
    r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z",
)
"""The patterns of ids: letters and digits first, then also `._-:`, 128 characters at most."""


def type_text(schema: dict[str, Any], components: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "$ref" in schema:
        inner = components[schema["$ref"].rpartition("/")[2]]
        return "object" if inner.get("properties") else type_text(inner, components)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_text(each, components) for each in schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(f"`{each}`" for each in schema["enum"])
    kind = schema.get("type")
    if schema.get("prefixItems"):
        return f"pair of {type_text(schema['prefixItems'][0], components)}"
    if kind == "array":
        items = schema.get("items") or {}
        most = f", at most {schema['maxItems']:,}" if "maxItems" in schema else ""
        inner = components.get(items.get("$ref", "").rpartition("/")[2], {})
        names = ", ".join(f"`{name}`" for name in inner.get("properties", ()))
        what = f"objects of {names}" if names else type_text(items, components)
        return f"list of {what}{most}"
    return scalar_text(schema)


def scalar_text(schema: dict[str, Any]) -> str:
    """A number, a string or the like, with its bounds."""
    kind = schema.get("type")
    words = "any JSON" if kind is None else str(kind)
    if schema.get("format") == "date-time":
        return "time, RFC 3339 with its offset"
    if schema.get("pattern") in IDS:
        return "id"
    bounds = [f"{word} {int(schema[key]):,}" for key, word in BOUNDS.items() if key in schema]
    unit = " characters" if kind == "string" and bounds else ""
    pattern = f", as `{schema['pattern'].replace(chr(92) + 'Z', '$')}`" if "pattern" in schema else ""
    return words + (f", {' '.join(bounds)}{unit}" if bounds else "") + pattern


# Routes


def routes_page() -> str:
    """Every call."""
    every = (*CALLS, call_for(CALLS, ()))
    sections = []
    for call in sorted(every, key=lambda each: (each.path, each.method)):
        facts = [f"- Who: {who_may(call.action)}"]
        if call.body is bytes:
            facts.append(f"- Body: `{call.reads}`, at most {size_text(call.limit_bytes)}")
        elif call.body is not None:
            facts.append(f"- Body: JSON, at most {size_text(call.limit_bytes)}{beacon_text(call)}")
        facts.append(f"- Answer: {answer_text(call)}")
        if call.destructive:
            facts.append("- Takes something away: `held_back` while the store is out or degraded")
        parts = [f"## `{call.method} {call.path}`", call.summary.rstrip(".") + ".", "\n".join(facts)]
        if call.body is not None and call.body is not bytes:
            parts.append(fields_table(call.body))
        if call.query is not None:
            parts.append("Query:\n\n" + fields_table(call.query))
        sections.append("\n\n".join(parts))
    return page(
        "Routes",
        sections,
    )


def who_may(action: str) -> str:
    """A row of the policy in words."""
    rule = POLICY[action]
    if rule.scope == "public":
        return "everybody"
    if rule.scope == "signed in":
        return "everybody who is signed in"
    roles = ", ".join(f"`{role}`" for role in ROLES if role in rule.roles)
    also = " or this machine" if action == "metrics.read" else ""
    return f"{roles}{also}" + (" of the org" if rule.scope == "own org" else "")


def size_text(size_bytes: int) -> str:
    """A size as people say it."""
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else f"{size_bytes >> 10} KiB"


def beacon_text(call: Call) -> str:
    """What beacons may leave out."""
    return "; as a beacon also `text/plain`, with the CSRF token in `csrfToken`" if call.beacon else ""


def answer_text(call: Call) -> str:
    """What a good answer is."""
    statuses = ", ".join(str(status) for status in (call.status, *call.also))
    shape = f" with `{call.returns.__name__}`" if call.returns is not None else ""
    media = "" if call.gives == ("application/json",) else f" as {', '.join(call.gives)}"
    return statuses + shape + media + ("; `ETag` and `X-Data-As-Of`" if call.etag else "")


# Errors


def errors_page() -> str:
    """Every error code."""
    families = "\n".join(
        f"- **{each.__name__}**: {(each.__doc__ or '').splitlines()[0]}" for each in FAMILIES
    )
    sections = [f"## `{code}`\n\n{status}. {words}" for code, (status, words) in sorted(CODES.items())]
    return page(
        "Errors",
        [families, *sections],
    )


# Commands


def commands_page() -> str:
    """Every command."""
    context = click.Context(commands, info_name="holdfast")
    return page(
        "Commands",
        list(command_sections(context, commands)),
    )


def command_sections(context: click.Context, group: click.Group) -> Iterable[str]:
    """A section for each command of a group, and of the groups in it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group) and not command.invoke_without_command:
            yield from command_sections(inner, command)
            continue
        arguments = [each.make_metavar(inner) for each in command.params if isinstance(each, click.Argument)]
        usage = " ".join([inner.command_path, *arguments])
        options = [each for each in command.params if isinstance(each, click.Option)]
        rows = [(f"`{', '.join(each.opts)}`", option_text(each)) for each in options]
        yield f"## `{inner.command_path}`\n\n{command.help}\n\n```console\n$ {usage}\n```\n\n" + table(
            ["option", "meaning"], rows
        )
        if isinstance(command, click.Group):
            yield from command_sections(inner, command)


def option_text(option: click.Option) -> str:
    """What an option is for, its choices, default and variable."""
    parts = [option.help or "Only those."]
    if isinstance(option.type, click.Choice):
        parts.append("One of " + ", ".join(f"`{each}`" for each in option.type.choices) + ".")
    if option.required:
        parts.append("Needed.")
    if option.show_default and not option.is_flag:
        parts.append(f"Default: `{option.default}`.")
    if option.envvar:
        parts.append(f"Also from `{option.envvar}`.")
    return " ".join(parts)


# Health


def health_page() -> str:
    """Every named degradation, and every metric."""
    rows = []
    for row in DEGRADATIONS:
        its = row.degradation
        link = its.runbook.removeprefix("docs/")
        rows.append(
            f"## `{its.name}`\n\nComponent `{row.part}` is {' or '.join(row.statuses)}; the portal is then "
            f"{'down' if row.total else 'degraded'}.\n\n- Lost: {its.lost}\n- Works: {its.works}\n"
            f"- Runbook: [{Path(link).stem}](../{link})"
        )
    return page(
        "Health",
        rows,
    )


def metrics_page() -> str:
    """Every metric."""
    return page(
        "Metrics",
        [table(["metric", "type", "labels", "meaning"], asyncio.run(_metrics()))],
    )


async def _metrics() -> list[tuple[str, str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Settings(data_dir=Path(folder))) as portal:
            return [
                (
                    f"`{each.name}{'_total' if each.counter else ''}`",
                    "counter" if each.counter else "gauge",
                    ", ".join(f"`{label}`" for label in each.labels),
                    each.help,
                )
                for each in definitions(portal)
            ]


PAGES: Final = {
    "settings.md": settings_page,
    "kinds.md": kinds_page,
    "routes.md": routes_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "health.md": health_page,
    "metrics.md": metrics_page,
}


def stale() -> list[str]:
    """The pages that are not what the code says."""
    return [
        name
        for name, write in PAGES.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text() != write()
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or check them."""
    if "--check" in arguments:
        found = stale()
        for name in found:
            print(f"docs/reference/{name} is not what the code says: run tools/reference.py")
        return 1 if found else 0
    for name, write in PAGES.items():
        text = write()
        (FOLDER / name).write_text(text)
        print(f"docs/reference/{name}: {len(text.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
