"""The options that are names, sizes, durations, folders and time zones."""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.wording import Unit, shown, wrong

_SLUG = re.compile(r"[a-z0-9_-]{1,48}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SIZE = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)\s*")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def slugged(text: str) -> str:
    """Turn any text into a legal id, or nothing when it has no letter or digit of ours."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.strip().lower()).strip("-")[:48]


def _text(value: str) -> str:
    if _CONTROL.search(value):
        raise wrong("must be one line without control characters")
    return value


def _slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        better = slugged(value)
        raise wrong(
            f"{shown(value)} is not a legal id",
            allowed="1 to 48 of the characters a-z 0-9 _ -",
            suggestion=f'write "{better}"' if better else None,
        )
    return value


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    factor = _UNITS.get(match.group(2).lower()) if match else None
    if match is None or factor is None:
        raise wrong(
            f"{shown(value)} is not a size",
            allowed='a number of bytes, or text such as "500 MB" or "2 GiB"',
        )
    return int(float(match.group(1)) * factor) if "." in match.group(1) else int(match.group(1)) * factor


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _listed(value)


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise wrong("an empty list allows nothing at all; leave the option out to get its default")
    return value


def _zone(value: str) -> str:
    if _is_zone(value):
        return value
    raise wrong(
        f"{shown(value)} is not a time zone",
        allowed='a name of the IANA list, such as "Europe/Berlin" or "UTC"',
        suggestion=_zone_like(value),
    )


def _is_zone(name: str) -> bool:
    if name in {"localtime", "posixrules"} or name.startswith(("posix/", "right/")):
        return False  # files of the zone directory that are no names: they differ from machine to machine
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; "../x"; a directory such as "Europe"
        return False
    return True


def _zone_like(value: str) -> str | None:
    names = {name.lower(): name for name in sorted(available_timezones())}
    wanted = value.strip().lower().replace(" ", "_")
    cities = {name.rsplit("/", 1)[-1]: name for name in names}
    found = [wanted] if wanted in names else [cities[wanted]] if wanted in cities else []
    found = found or difflib.get_close_matches(wanted, names, 1)
    return f'did you mean "{names[found[0]]}"?' if found else None


def home() -> Path:
    """Give the home folder; users that systemd makes up have none, and get the root folder."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def _folder(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    path = Path(_text(value))
    if value.startswith("~/"):
        path = home() / value[2:]
    if not path.is_absolute():
        raise wrong(f"{shown(value)} is not an absolute path", allowed='a path that starts with "/" or "~/"')
    return path


Text = Annotated[str, Field(max_length=200), AfterValidator(_text)]
Slug = Annotated[str, AfterValidator(_slug)]
Seconds = Annotated[float, Field(allow_inf_nan=False), Unit("seconds")]
Size = Annotated[int, BeforeValidator(_size), Unit("bytes")]
Listed = BeforeValidator(_listed)  # TOML has lists; frozen models hold tuples
OneOrMore = BeforeValidator(_one_or_more)  # a single value needs no brackets
NotEmpty = AfterValidator(_not_empty)
Zone = Annotated[str, AfterValidator(_zone)]
Folder = Annotated[Path, BeforeValidator(_folder)]
