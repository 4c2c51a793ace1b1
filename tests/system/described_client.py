"""A client made from the control API's own description: requests that fit it or do not, and a judge of answers."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

Schema = Mapping[str, Any]

_TEXTS = st.text(max_size=40) | st.sampled_from(
    ["", "home", "site", "hall", "0", "-1", "\0", "' OR 1=1 --", "%", "../../etc/passwd", "\u202e", "\n", "١٢", "9" * 400]
)  # fmt: skip
_EVERYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=8,
)
# What no schema can say: broken JSON, numbers beyond all bounds, half characters, depth.
_BROKEN = st.sampled_from([
    *(b"", b"{", b"null", b"[]", b'[["device","x"]]', b'"text"', b"\xff\xfe{\0}\0", b'{"device":"\\ud800"}'),
    *(b'{"window_min":1e999}', b'{"minutes":NaN,"device":"x"}', b'{"people":-Infinity,"zone":"hall"}'),
    *(b'{"window_min":' + b"9" * 5_000 + b"}", b'{"people":' + b"9" * 400 + b',"zone":"hall"}'),
    *(b"[" * 20_000, b'{"a":' * 5_000, b'{"sink":"home","first":1e300,"last":true}', b"x" * 70_000),
    b'{"sink":{"a":1},"first":"1","last":[2]}', b'{"all":1,"all":0,"device":null}',
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the description says can be asked."""

    path: str
    method: str
    stated: Schema

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def body(self) -> Schema | None:
        wanted = self.stated.get("requestBody")
        return None if wanted is None else wanted["content"]["application/json"]["schema"]

    def parameters(self, place: str) -> dict[str, Schema]:
        return {one["name"]: one["schema"] for one in self.stated.get("parameters", []) if one["in"] == place}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, ready to be sent."""

    method: str
    target: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    body: bytes
    content_type: str


def operations(document: Schema) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, stated in methods.items():
            yield Operation(path, method, stated)


def fitting(schema: Schema) -> st.SearchStrategy:
    """Make values that fit a schema; what it leaves open may be anything."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([fitting(one) for one in schema["anyOf"]])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of([fitting({**schema, "type": kind}) for kind in kinds])
    return _OF_A_KIND[kinds](schema) if kinds else _EVERYTHING


def _object(schema: Schema) -> st.SearchStrategy:
    fields = {name: fitting(inner) for name, inner in schema.get("properties", {}).items()}
    needed = {name: fields.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(needed, optional=fields)


def _text(schema: Schema) -> st.SearchStrategy:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    most, least = schema.get("maxLength", 60), schema.get("minLength", 0)
    known = [text for text in ("home", "hall", "site", "counter-sn-1", "1") if len(text) >= least]
    return st.sampled_from(known) | st.text(min_size=least, max_size=most)


_OF_A_KIND = {
    "object": _object,
    "string": _text,
    "array": lambda schema: st.lists(fitting(schema.get("items", {})), max_size=4),
    "integer": lambda schema: st.integers(0, 40) | st.integers(schema.get("minimum"), schema.get("maximum")),
    "number": lambda _: st.integers(0, 90) | st.floats(allow_nan=False, allow_infinity=False),
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


def requests(operation: Operation, *, fits: bool) -> st.SearchStrategy[Asked]:
    """Make requests of one operation; those that do not fit keep its path and method only."""
    path = {name: fitting(one) if fits else _TEXTS for name, one in operation.parameters("path").items()}
    query = {name: fitting(one) if fits else _TEXTS for name, one in operation.parameters("query").items()}
    parts = st.fixed_dictionaries(path)
    names = _TEXTS | st.sampled_from([*query, "x"])
    asked = st.fixed_dictionaries({}, optional=query) if fits else st.dictionaries(names, _TEXTS, max_size=4)
    body: st.SearchStrategy[bytes | None] = st.none()
    if not fits:
        body = st.none() | _BROKEN | _EVERYTHING.map(_written)
    elif operation.body is not None:
        body = fitting(operation.body).map(_written)
    return st.builds(lambda *given: _asked(operation, *given), parts, asked, body)


def _written(value: object) -> bytes:
    return json.dumps(value).encode()  # half a character becomes \ud800, which is what a client would send


def _asked(
    operation: Operation, parts: Mapping[str, object], query: Mapping[str, object], body: bytes | None
) -> Asked:
    path = operation.path
    for name, value in parts.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe="", errors="surrogatepass"))
    found = urlencode({name: str(value) for name, value in query.items()}, errors="surrogatepass")
    return Asked(operation.method.upper(), f"{path}?{found}" if found else path, body)


class UnixClient:
    """Sends requests over the control socket; a connection for each, as the commands do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, asked: Asked, timeout_s: float = 30.0) -> Answered:
        connection = http.client.HTTPConnection("gateway", timeout=timeout_s)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(timeout_s)
        connection.sock.connect(str(self._path))
        try:
            connection.request(asked.method, asked.target, asked.body)
            answer = connection.getresponse()
            return Answered(answer.status, answer.read(), answer.headers.get("content-type", ""))
        finally:
            connection.close()

    def document(self) -> dict[str, Any]:
        return json.loads(self.send(Asked("GET", "/openapi.json")).body)


def objection(document: Schema, operation: Operation, answered: Answered) -> str | None:
    """Say what the description does not allow about an answer; None when all is as it says."""
    stated = operation.stated["responses"].get(str(answered.status))
    if stated is None:
        return f"{answered.status} is not described: {answered.body[:300]!r}"
    if "Traceback" in answered.body.decode("utf-8", "replace"):
        return "a traceback is in the answer"
    schema = {**stated["content"]["application/json"]["schema"], "components": document["components"]}
    try:
        value = json.loads(answered.body)
    except ValueError:
        return f"no JSON: {answered.body[:300]!r}"
    wrong = next(Draft202012Validator(schema).iter_errors(value), None)
    return None if wrong is None else f"{wrong.json_path}: {wrong.message[:300]}"
