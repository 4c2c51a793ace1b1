"""Fuzz targets below and beside the sources: readers of XML and JSON, masking, TOML, addresses of terminals."""

import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from fuzz_rules import Broken, demand

from gateway.config import InvalidConfigError, loads, render_mistakes, to_json
from gateway.config.syntax import parse as parse_toml
from gateway.control.wishes import Unfit, number_of, wish_of
from gateway.errors import GatewayError, Unreadable
from gateway.masking import masked
from gateway.provisioning.terminal import Subscription, Terminal, TerminalTrouble
from gateway.reading import xml_body
from gateway.reading.json_body import read_json
from gateway.redact import redact_body, redact_fields, redact_path, redact_query, redact_text

_DEEP = 60  # elements that are looked into
_CANARY = b"CANARY-5d1e-Quill"


def xml(body: bytes, *, twice: bool = True) -> None:
    try:
        root, repaired = xml_body.read(body)
    except Unreadable as unreadable:
        _check_sentence(unreadable, body)
        return
    demand(isinstance(repaired, bool), "it is said whether a repair was needed")
    for number, element in enumerate(root.iter()):
        if number > _DEEP:
            break
        try:
            seen = (xml_body.attributes(element), xml_body.spelled_attributes(element))
        except Unreadable:
            continue
        words = [xml_body.local_name(element), xml_body.bare_name(element), xml_body.text(element), *seen[0]]
        demand("{" not in words[0][:1] and all(isinstance(word, str) for word in words), "names are bare")
        "".join(words).encode()
    if twice:
        again, _ = xml_body.read(body)
        demand(again.tag == root.tag and len(again) == len(root), "the same bytes give the same tree")


def _check_sentence(unreadable: Unreadable, body: bytes) -> None:
    said = str(unreadable)
    demand(said and "\n" not in said and len(said) <= 300, "a reason is one short line")
    demand(_CANARY.decode() not in said or _CANARY not in body, "a reason does not quote the body")


def json_text(body: bytes, *, twice: bool = True) -> None:
    try:
        value, repaired = read_json(body)
    except Unreadable as unreadable:
        _check_sentence(unreadable, body)
        return
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode()
    if twice:
        # By their text: 1 == 1.0 == True.
        again, still = read_json(text.encode())
        demand(json.dumps(again) == json.dumps(value), "what was read is written and read again as it was")
        demand(not still, "what we write needs no repair")
        demand(repr(read_json(body)) == repr((value, repaired)), "the same bytes give the same value")


# A canary stands under a name that must go, between two halves of what the fuzzer makes.

_FORMS = (
    b'"password":"%b"',
    b"<wifiPassword>%b</wifiPassword>",
    b"&secret=%b&",
    b'{"user":{"phone":"%b"}}',
    b' api_key="%b" ',
    b'\\"token\\":\\"%b\\"',
)


def _planted(data: bytes, form: bytes) -> bytes:
    at, rest = data[1] if len(data) > 1 else 0, data[2:]
    at = at * (len(rest) + 1) // 256
    return rest[:at] + form % _CANARY + rest[at:]


def redaction(data: bytes, *, twice: bool = True) -> None:
    """The first byte says in which form the canary stands, the second where."""
    body = _planted(data, _FORMS[(data[0] if data else 0) % len(_FORMS)])
    clean = redact_body(body)
    demand(_CANARY not in clean, "what stands under a secret's name is gone")
    demand(len(clean) <= 4 * len(body) + 64, "a body does not grow much by masking")
    if twice:
        demand(_CANARY not in redact_body(clean), "masking twice shows nothing either")
        text = body.decode("latin-1")
        redact_text(text)
        redact_path(text)
        redact_query(text)
        try:
            value = json.loads(data[2:])
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            json.dumps(redact_fields({**value, "password": _CANARY.decode()}))
            demand(
                _CANARY.decode() not in str(redact_fields({"a": value, "password": _CANARY.decode()})),
                "a parsed secret is gone",
            )


def masking(data: bytes, *, twice: bool = True) -> None:
    """A support capture keeps only what is on a list: a canary under no name at all never comes through."""
    head = data[2:66].lstrip(b"\xef\xbb\xbf\0 \t\r\n")[:1]
    form = b"<zzfield>%b</zzfield>" if head == b"<" else b'"zzfield":"%b"'
    body = _planted(data, form)
    clean = masked(body)
    demand(_CANARY not in clean, "what nobody listed is masked")
    demand(len(clean) <= 16 * len(body) + 64, "a body does not grow much by masking")
    if twice:
        demand(clean == masked(body), "the same body is masked the same way")


def configuration(data: bytes, *, twice: bool = True) -> None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    try:
        config = loads(text, "gateway.toml")
    except InvalidConfigError as wrong:
        demand(wrong.mistakes, "a refusal lists what is wrong")
        json.dumps(to_json(wrong.mistakes))
        demand(render_mistakes(wrong.mistakes), "a refusal can be shown")
        for mistake in wrong.mistakes:
            demand(mistake.problem, "a mistake says what is wrong")
            demand(mistake.line is None or 0 < mistake.line <= text.count("\n") + 1, "its line exists")
        return
    if twice:
        demand(config == loads(text, "gateway.toml"), "the same text gives the same configuration")
        parse_toml(text, None)


def terminal(data: bytes, *, twice: bool = True) -> None:
    """What a terminal answers when it is paired, and the address that a person types."""
    status = (200, 200, 200, 401, 404, 500)[(data[0] if data else 0) % 6]
    body = data[1:]
    try:
        _TERMINAL._understood(status, body)
    except TerminalTrouble as trouble:
        said = str(trouble)
        demand(said.isprintable() and len(said) <= 600, "a terminal's words are printable and short")
    text = body.decode("utf-8", "replace")
    Subscription(text, enabled=True).leads_to("http://192.0.2.1:8080/")
    try:
        made = Terminal(text)
    except GatewayError:
        return
    demand(made.host and 0 < made.port < 65_536, "an address has a host and a port")
    demand(urlsplit(made._url).scheme in ("http", "https"), "a terminal is asked over HTTP")


_TERMINAL = Terminal("192.0.2.9")


class _Request:
    """Stands in for a request of the control socket."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    async def stream(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def control(data: bytes, *, twice: bool = True) -> None:
    """What is asked over the control socket: a body in pieces, and a number in a path."""
    size, body = 1 + (data[0] if data else 0), data[1:]
    request: Any = _Request([body[at : at + size] for at in range(0, len(body), size)])
    try:
        wish = _now(wish_of(request, "Say what."))
    except Unfit:
        wish = {}
    text = json.dumps(wish, ensure_ascii=False, allow_nan=False)
    text.encode()
    number = number_of(body.decode("latin-1"))
    demand(number is None or 0 <= number < 2**63, "a number is one that the store can hold")
    if twice and wish:
        demand(
            _now(wish_of(cast("Any", _Request([text.encode()])), "")) == wish, "it is read again as it was"
        )


def _now(work: Coroutine[Any, Any, Mapping[str, object]]) -> Mapping[str, object]:
    """Run what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("Mapping[str, object]", done.value)
    raise Broken("reading a request that is there waits for nothing")
