"""The OpenAPI document, made from the table of calls: what validates is what is published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import anyio.to_thread
import msgspec

from holdfast import __version__
from holdfast.events.envelope import EventIn
from holdfast.events.kind import Kind
from holdfast.web import problems
from holdfast.web.calls import Answer, Ask, Call

_PARAMETER: Final = re.compile(r"{([a-z_]+)(?::path)?}")
_REF: Final = "#/components/schemas/{name}"


def document(calls: tuple[Call, ...], kinds: Sequence[Kind] = ()) -> dict[str, Any]:
    """OpenAPI 3.1 of the calls; the shapes of events and of kinds' bodies stand beside them.

    A batch's events are any JSON on purpose: each is judged alone, and a bad one gets a receipt.
    """
    bodies = [call.body for call in calls if call.body is not None and call.body is not bytes]
    answers = [call.returns for call in calls if call.returns is not None]
    queries = [call.query for call in calls if call.query is not None]
    events = [EventIn, *(kind.body for kind in kinds)]
    types = list(dict.fromkeys([*bodies, *answers, *queries, *events, problems.Problem]))
    schemas, components = _ecma(msgspec.json.schema_components(types, ref_template=_REF))
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for call in calls:
        path = _PARAMETER.sub(lambda found: "{" + found[1] + "}", call.path)
        paths.setdefault(path, {})[call.method.lower()] = _operation(call, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": __version__,
            "description": "A course portal that keeps every learner's work.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "holdfast_session"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _ecma(schema: Any) -> Any:  # noqa: ANN401 - JSON Schema, whatever its shape
    r"""The schema with patterns as JavaScript reads them: there `$` is the very end, and `\Z` a letter."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" and isinstance(value, str) else _ecma(value)
            for key, value in schema.items()
        }
    return [_ecma(each) for each in schema] if isinstance(schema, list | tuple) else schema


def _operation(call: Call, by_type: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{call.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', call.path)}",
        "summary": call.summary,
        "description": f"Action `{call.action}`.",
        "parameters": [*_path_parameters(call), *_query_parameters(call, by_type, components)],
        "responses": _responses(call, by_type),
    }
    if call.action != "public":
        operation["security"] = [{"session": []}, {"bearer": []}]
    if call.action == "metrics.read":
        # A scraper on the same machine needs no proof: see the guard.
        operation["security"].append({})
    if call.body is not None:
        media = call.reads if call.body is bytes else "application/json"
        schema = {"type": "string", "format": "binary"} if call.body is bytes else by_type[call.body]
        operation["requestBody"] = {"required": not call.may_be_empty, "content": {media: {"schema": schema}}}
    return operation


def _path_parameters(call: Call) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(call.path)
    ]


def _query_parameters(
    call: Call, by_type: dict[Any, Any], components: dict[str, Any]
) -> list[dict[str, Any]]:
    if call.query is None:
        return []
    shape = components[by_type[call.query]["$ref"].rpartition("/")[2]]
    return [
        {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": schema}
        for name, schema in shape["properties"].items()
    ]


_EVENT: Final = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer"},
        "data": {"type": "string"},
    },
}
"""One event of a stream, by the fields of the WHATWG's event stream format."""


def _responses(call: Call, by_type: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "As asked."}
    content: dict[str, Any] = {}
    for media in call.gives:
        if media.endswith("json") and call.returns is not None:
            content[media] = {"schema": by_type[call.returns]}
        elif not media.endswith("json"):
            content[media] = {"schema": _EVENT if media == "text/event-stream" else {"type": "string"}}
    if content:
        good["content"] = content
    responses: dict[str, Any] = {str(status): good for status in (call.status, *call.also)}
    if call.etag:
        responses["304"] = {"description": "Nothing changed since the ETag named."}
    problem = {problems.MEDIA_TYPE: {"schema": by_type[problems.Problem]}}
    # Which statuses those are, and what each means, is told by the codes.
    responses["default"] = {"description": "A problem document.", "content": problem}
    return responses


def call_for(calls: tuple[Call, ...], kinds: Sequence[Kind]) -> Call:
    """The call that gives the document of all the others."""

    @cache
    def text() -> bytes:
        return msgspec.json.encode(document(calls, kinds))

    async def openapi(_: Ask) -> Answer:
        # Made when first asked for: it takes longer than anything else of a start, and most never ask.
        return Answer(await anyio.to_thread.run_sync(text), headers={"cache-control": "no-cache"})

    return Call(
        "GET", "/api/openapi.json", openapi, "public", None, "This document", gives=("application/json",)
    )
