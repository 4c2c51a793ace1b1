"""The configuration as it may be shown: every option, with secrets, words of paths and names of people blanked."""

from collections.abc import Mapping
from typing import Any

from gateway.config import Config
from gateway.doctor.bundle.shown import MASK, address

_BLANKED = frozenset({"token", "username"})
_ADDRESSES = frozenset({"endpoint", "event_dest"})
_NAMED_AFTER_PEOPLE = ("devices", "terminals", "zones")  # an owner may have typed whose door it is


def settings(config: Config) -> dict[str, Any]:
    """Give what can be decided, and what was; files of secrets are there by their names."""
    shown = _blanked(config.model_dump(mode="json"), "")
    for section in _NAMED_AFTER_PEOPLE:
        tables = shown.get(section, {}).values()
        shown[section] = {f"{MASK}{number}": _unnamed(one) for number, one in enumerate(tables, 1)}
    shown["site"] = _unnamed(shown["site"])
    return {"hash": config.hash, **shown}


def _unnamed(table: dict[str, Any]) -> dict[str, Any]:
    return table | ({"name": MASK} if table.get("name") else {})


def _blanked(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        inside = {str(key): _blanked(one, str(key)) for key, one in value.items()}
        return dict.fromkeys(inside, MASK) if name == "headers" else inside
    if isinstance(value, list):
        return [_blanked(one, name) for one in value]
    if isinstance(value, str) and value:
        if name in _BLANKED:
            return MASK
        return address(value) if name in _ADDRESSES else value
    return value
