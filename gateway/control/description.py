"""The control API in the words of OpenAPI: served at /openapi.json, and held against the daemon by the suite."""

from collections.abc import Mapping
from typing import TypeAlias

from gateway import __version__

Schema: TypeAlias = Mapping[str, object]

_TEXT: Schema = {"type": "string", "maxLength": 200}
_SAID: Schema = {"type": "string", "minLength": 1}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_DAY: Schema = {"type": "string", "pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|today|yesterday)$"}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _list(**fields: Schema) -> Schema:
    return {"type": "array", "items": _object(fields)}


_LETTER = {"number": _NUMBER, "stage": _SAID, "sender": {"type": "string"}, "reason": {"type": "string"}}
_ACCOUNT = {"name": _SAID, "received": _COUNT, "delivered": _COUNT, "waiting": _COUNT, "expired": _COUNT}
_CAPTURE = {"device": _MAYBE_TEXT, "file": _SAID, "until": _MAYBE_TEXT}
_WAITING = {"device": _SAID, "events": _COUNT, "bytes": _COUNT, "pushes": _COUNT}
_ENTRY = {"seq": _NUMBER, "id": _SAID, "revision": _COUNT, "kind": _SAID, "device": _SAID, "body": _SAID}

# What can be read, with the parameters of each and what it gives.
READS: dict[str, tuple[dict[str, Schema], Schema]] = {
    "devices": ({"device": _TEXT}, _list(device=_SAID, source=_SAID)),
    "lobby": ({}, _object({"waiting": _list(**_WAITING), "ignored": _list(name=_SAID)})),
    "captures": ({}, _list(**_CAPTURE, bytes=_COUNT, running={"type": "boolean"})),
    "day": ({"device": _TEXT, "day": _DAY}, {"type": "array", "items": {"type": "object"}}),
    "occupancy": ({}, _list(device=_SAID, name=_SAID)),
    "sinks": ({}, _list(**_ACCOUNT, balanced={"type": "boolean"})),
    "account": ({"sink": _TEXT, "device": _TEXT}, _list(sink=_SAID, balanced={"type": "boolean"}, sentence=_SAID)),
    "letters": ({"stage": {"enum": ["parse", "adopt", "deliver"]}}, _list(**_LETTER)),
    "letter": ({"number": _NUMBER}, {"anyOf": [{"type": "null"}, _object({**_LETTER, "body": {"type": "string"}})]}),
    "entries": ({"count": _NUMBER, "device": _TEXT}, _list(**_ENTRY)),
}  # fmt: skip

_STATUS = _object(
    {"uptime_s": {"type": "number", "minimum": 0}, "time": _SAID, "since_start": {"type": "object"}}
    | {
        "store": _object({"used_bytes": _COUNT, "commits": _COUNT, "head": _COUNT}),
        "faults": {"type": "array"},
    }
    | {"sinks": _list(name=_SAID), "captures": {"type": "array"}, "visitors": {"type": "array"}}
)
_REPLAY = _object({"sink": _TEXT, "first": _NUMBER, "last": _NUMBER})
_RELOADED = _object({"config_hash": _SAID, "restart": {"type": "array", "items": _SAID}})
_ERASE = _object({}, {"person": _TEXT, "pseudonym": _TEXT, "device": _TEXT, "sure": {"type": "boolean"}})
_ERASED = _object(
    {
        "found": {"type": "boolean"},
        "done": {"type": "boolean"},
        "events": _COUNT,
        "not_reached": {"type": "array"},
    }
)
_ADOPT = _object(
    {},
    {
        "device": _TEXT,
        "ignore": {"type": "boolean"},
        "all": {"type": "boolean"},
        "window_min": {"type": "number"},
    },
)
_OCCUPANCY = _object(
    {"zone": _TEXT}, {"people": {"type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000}}
)
_CAPTURING = _object({}, {"device": _TEXT, "minutes": {"type": "number"}, "stop": {"type": "boolean"}})
_CAPTURED = {"anyOf": [_object(_CAPTURE), _object({"stopped": {"type": "array", "items": _SAID}})]}


def _answers(done: Schema, *refusals: int) -> Schema:
    words = {
        400: "It is no such request.",
        404: "There is no such thing.",
        409: "It cannot be done, and why.",
    }
    words |= {503: "The store cannot be used now."}
    problem = {"$ref": "#/components/schemas/Problem"}
    answers = {"200": _answer("Done.", done)}
    return answers | {str(status): _answer(words[status], problem) for status in (*refusals, 503)}


def _answer(words: str, schema: Schema) -> Schema:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _done(schema: Schema) -> Schema:
    return _object({"done": schema})


def _read(name: str) -> Schema:
    query, told = READS[name]
    parameters = [{"name": key, "in": "query", "schema": schema} for key, schema in query.items()]
    return {"get": {"parameters": parameters, "responses": _answers(_done(told), 409)}}


def _post(
    body: Schema | None, done: Schema, *refusals: int, path: tuple[str, Schema] | None = None
) -> dict[str, object]:
    said: dict[str, object] = {"responses": _answers(_done(done), *refusals)}
    if body is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if path is not None:
        said["parameters"] = [{"name": path[0], "in": "path", "required": True, "schema": path[1]}]
    return {"post": said}


def description() -> dict[str, object]:
    """Give the document."""
    paths: dict[str, object] = {
        "/status": {"get": {"responses": _answers(_STATUS)}},
        "/openapi.json": {"get": {"responses": _answers({"type": "object"})}},
        "/tail": {"get": {"responses": {"200": {"description": "One JSON object per line, without end."}}}},
        **{f"/read/{name}": _read(name) for name in READS},
        "/letters/{number}/retry": _post(None, _SAID, 404, 409, path=("number", _NUMBER)),
        "/letters/{number}/drop": _post(None, _SAID, 404, 409, path=("number", _NUMBER)),
        "/sinks/{name}/try": _post(None, _SAID, 404, path=("name", {**_TEXT, "minLength": 1})),
        "/replay": _post(_REPLAY, _SAID, 400, 409),
        "/reload": _post(None, _RELOADED, 409),
        "/erase": _post(_ERASE, _ERASED, 400, 409),
        "/adopt": _post(_ADOPT, _SAID, 400, 409),
        "/occupancy": _post(_OCCUPANCY, _SAID, 400, 409),
        "/capture": _post(_CAPTURING, _CAPTURED, 400, 409),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "gateway control socket", "version": __version__},
        "paths": paths,
        "components": {"schemas": {"Problem": _object({"problem": _SAID})}},
    }
