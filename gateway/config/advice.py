"""Turns what pydantic found into mistakes that a person can correct: what, where, allowed, what to write."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from pydantic_core import ErrorDetails

from gateway.config.lines import Place
from gateway.config.mistakes import Mistake
from gateway.config.outline import bounds, field_at, home_of, options_of, table_at
from gateway.config.sink_sections import SINK_TYPES
from gateway.config.wording import shown

_SECRET = re.compile(r"pass|pwd|secret|token|auth|bearer|api_?key|credential|private|cookie", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_HUGE = 10**30

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list in square brackets",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}
_RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_LENGTHS = {"string_too_long": "is too long", "string_too_short": "must not be empty"}

# Words that people use for an option which has another name here.
_ALSO_CALLED = {
    **dict.fromkeys(("url", "uri", "broker", "server", "host", "hostname", "address", "target"), "endpoint"),
    **dict.fromkeys(("user", "login"), "username"),
    **dict.fromkeys(("topic", "prefix", "base_topic", "topic_prefix"), "base"),
    **dict.fromkeys(("ca", "cafile", "ca_cert", "ca_certs", "ca_path"), "ca_file"),
    **dict.fromkeys(("cert", "certfile", "certificate", "client_cert"), "cert_file"),
    **dict.fromkeys(("key", "keyfile", "client_key", "private_key"), "key_file"),
    **dict.fromkeys(("timezone", "time_zone", "tz"), "zone"),
    **dict.fromkeys(("bind", "interface"), "host"),
    **dict.fromkeys(("directory", "folder", "database", "db"), "path"),
    **dict.fromkeys(("keepalive", "keep_alive"), "keepalive_s"),
    **dict.fromkeys(("protocol", "protocol_version", "mqtt_version"), "version"),
    **dict.fromkeys(("sink", "output", "outputs", "mqtt", "https"), "sinks"),
    **dict.fromkeys(("source", "input", "inputs"), "sources"),
    **dict.fromkeys(("log", "logging"), "runtime"),
    **dict.fromkeys(("http", "receiver"), "listen"),
}
IN_A_FILE = {
    **dict.fromkeys(("password", "passwd", "pass", "pwd"), "password_file"),
    **dict.fromkeys(("secret", "secrets", "signing_secret", "webhook_secret", "secret_key"), "secret_file"),
    **dict.fromkeys(
        ("token", "bearer", "bearer_token", "authorization", "auth", "api_key", "apikey"), "bearer_file"
    ),
}
_EXAMPLES = {"endpoint": 'endpoint = "mqtts://host:8883" or "https://host/path"', "type": 'type = "mqtt"'}


def place_of(error: ErrorDetails) -> Place:
    """Give the place in the file; pydantic's own path also names the type of a sink and the word "[key]"."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    return (
        (*place[:2], *place[3:])
        if place[:1] == ("sinks",) and place[2:3] and place[2] in SINK_TYPES
        else place
    )


def dotted(place: Place) -> str:
    """Write a place the way TOML does, with list elements counted from 1 as people do."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            word = part if _BARE.fullmatch(part) else json.dumps(part[:60])
            text += f".{word}" if text else word
    return text


def explain(error: ErrorDetails, raw: Mapping[str, Any]) -> Mistake:
    """Say one error of pydantic in our words; file and line are not known here."""
    place, kind = _in_file(place_of(error), raw), error["type"]
    problem, allowed, suggestion = error["msg"], None, None
    value = error["input"]
    quoted = "" if is_secret(place) else f", and {_toml(value)} was read"
    field = field_at(place, raw)
    if kind == "wrong":
        context = error["ctx"]
        problem, allowed, suggestion = context["problem"], context["allowed"], context["suggestion"]
    elif kind == "extra_forbidden":
        problem, allowed, suggestion = _unknown(place, raw)
    elif kind == "missing":
        problem, suggestion = "this option is missing", _example(place)
    elif kind == "literal_error":
        words = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        problem, allowed = f"must be one of the words below{quoted}", ", ".join(words)
        suggestion = did_you_mean(value, words)
    elif kind in _RANGES:
        problem, allowed = f"is out of range{quoted}", bounds(field)
    elif kind in _LENGTHS:
        problem, allowed = _LENGTHS[kind], bounds(field)
    elif kind in _EXPECTED:
        lone = kind == "tuple_type" and place[:1] == ("devices",)
        expected = "an address in quotes, or a list of them" if lone else _EXPECTED[kind]
        problem, allowed = f"must be {expected}{quoted}", bounds(field)
        suggestion = None if is_secret(place) else _converted(place, kind, value)
    return Mistake(
        file=None, line=None, key=dotted(place), problem=problem, allowed=allowed, suggestion=suggestion
    )


def _in_file(place: Place, raw: Mapping[str, Any]) -> Place:
    """Leave out the number where the file has one value and no list."""
    given: Any = raw
    for part in place[:-1]:
        given = given.get(part) if isinstance(given, Mapping) else None
    return place[:-1] if place and isinstance(place[-1], int) and isinstance(given, str) else place


def _example(place: Place) -> str | None:
    """Show how an option is written; an endpoint is another one in each section."""
    if place[0] == "camlytics" and place[-1] == "endpoint":
        return 'write endpoint = "http://192.168.1.20:48462", with the address of the PC'
    return _EXAMPLES.get(str(place[-1]))


def is_secret(place: Place) -> bool:
    """Say whether the value there may be a secret, so that no message quotes it."""
    names = [part for part in place if isinstance(part, str)]
    return "headers" in names or bool(names and _SECRET.search(names[-1]))


def did_you_mean(word: object, words: Iterable[str]) -> str | None:
    """Suggest the nearest of the words, when one is near."""
    near = difflib.get_close_matches(str(word).lower(), list(words), 1, 0.65) if isinstance(word, str) else []
    return f'did you mean "{near[0]}"?' if near else None


def _unknown(place: Place, raw: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    name = str(place[-1])
    options = options_of(table_at(place[:-1], raw))
    allowed = ", ".join(options)
    if len(place) == 1:
        problem = "there is no such section"
        home = home_of(name)
        if not isinstance(raw.get(name), dict) and home:
            return problem, allowed, f"it is an option: put it under [{home}]"
    else:
        problem = f"there is no such option in [{dotted(place[:-1])}]"
    in_file = IN_A_FILE.get(name.lower())
    if in_file in options:
        advice = f'put it in a file: {in_file} = "/etc/gateway/credentials/{name.lower()}", and run chmod 600 on it'
        return "a secret does not belong in this file", None, advice
    called = _ALSO_CALLED.get(name.lower())
    if called in options:
        return problem, allowed, f'did you mean "{called}"?'
    home = home_of(name)
    if home and len(place) > 1:
        return problem, allowed, f"it is an option of [{home}]"
    return problem, allowed, did_you_mean(name, options)


def _converted(place: Place, kind: str, value: object) -> str | None:
    """Say how to write the same value with the type that is wanted, where that is plain."""
    name = str(next((part for part in reversed(place) if isinstance(part, str)), ""))
    better = None
    if kind in {"int_type", "int_from_float", "float_type"} and isinstance(value, (str, float)):
        number = str(value).strip().removesuffix(".0")
        better = number if re.fullmatch(r"-?[0-9]{1,18}", number) else None
    elif kind == "string_type" and isinstance(value, (bool, int, float)):
        better = f'"{_toml(value)}"'
    elif kind == "bool_type":
        words = {"true": "true", "yes": "true", "on": "true", "1": "true"}
        words |= {"false": "false", "no": "false", "off": "false", "0": "false"}
        better = words.get(str(value).strip().lower())
    elif place[:1] == ("devices",) and name == "address":
        return 'write the address of the device in quotes, such as address = "192.168.1.40"'
    elif kind == "tuple_type" and isinstance(value, (str, int)):
        better = f"[{_toml(value)}]"
    elif isinstance(value, list) and place in {("sinks",), ("devices",)}:
        return f"give each a name: [{name}.some-name], in single brackets"
    if better is None:
        return None
    return f"write {better}" if isinstance(place[-1], int) else f"write {name} = {better}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > _HUGE:
        return "a number of very many digits"  # Python refuses to print some of them
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, Mapping):
        return "a table"
    return value.isoformat() if isinstance(value, (date, time)) else shown(value)
