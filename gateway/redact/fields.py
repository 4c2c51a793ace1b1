"""Masks the same fields in values that were parsed."""

from collections.abc import Mapping

from gateway.redact.nameless import nameless
from gateway.redact.names import PICTURES, is_masked

_DEEPEST = 64


def redact_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of parsed values with the same fields masked."""
    return _masked_mapping(fields, person=False, depth=0)


def _masked_mapping(fields: Mapping[str, object], *, person: bool, depth: int) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in fields.items():
        name = key.lower().encode("utf-8", "surrogatepass")
        if is_masked(name, person=person) and value not in (None, ""):
            made[key] = f"<{len(value)} chars>" if name in PICTURES and isinstance(value, str) else "***"
        else:
            made[key] = _masked_value(value, person=person or name == b"user", depth=depth + 1)
    return made


def _masked_value(value: object, *, person: bool, depth: int) -> object:
    if depth > _DEEPEST:
        return "***"
    if isinstance(value, Mapping):
        return _masked_mapping(value, person=person, depth=depth)
    if isinstance(value, list | tuple):
        return [_masked_value(item, person=person, depth=depth + 1) for item in value]
    if isinstance(value, str) and (len(value) >= 512 or "://" in value or ":\\" in value or ":/" in value):
        return nameless(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    return value
