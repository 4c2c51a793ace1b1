"""The zones in which people are counted, and the site, which is one of them: `[zones.NAME]` and `[site]`."""

import re
from datetime import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.fields import Listed, Text, Zone
from gateway.config.sections import Section
from gateway.config.wording import shown, wrong

_DOOR = re.compile(r"[a-z0-9_-]{1,120}(/[^/\x00-\x1f\x7f-\x9f]{1,100})?")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::00)?")
_MOST = 10_000_000
_ROOM_SHARE = 0.95


def _door(value: str) -> str:
    if not _DOOR.fullmatch(value):
        raise wrong(
            f"{shown(value)} is not a door",
            allowed='a device as `gateway devices` shows it, such as "counter-000001", or with one of its counted '
            'objects, such as "counter-000001/2"',
        )
    return value


def _time_of_day(value: Any) -> Any:
    if isinstance(value, time):  # TOML has times of its own, without quotes
        value = value.isoformat()
    if not isinstance(value, str):
        return value
    match = _TIME.fullmatch(value.strip())
    if match is None:
        raise wrong(f"{shown(value)} is not a time of day", allowed='hours and minutes, such as "04:00"')
    return f"{int(match[1]):02}:{match[2]}"


Door = Annotated[str, AfterValidator(_door)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
People = Annotated[int, Field(ge=0, le=_MOST)]


class ZoneOptions(Section):
    """What a zone and the site have in common."""

    name: Text = ""
    doors: Annotated[tuple[Door, ...], Listed] = ()
    doors_out: Annotated[tuple[Door, ...], Listed] = ()
    reset: TimeOfDay | None = None
    reset_to: People = 0
    capacity: Annotated[int, Field(ge=1, le=_MOST)] | None = None
    capacity_clear: People | None = None

    @property
    def reset_time(self) -> time | None:
        """Give the time of day of the reset."""
        return time.fromisoformat(self.reset) if self.reset else None

    @property
    def room_at(self) -> int:
        """Give the number of people at which a full zone has room again: somewhat below what it holds."""
        if self.capacity_clear is not None:
            return self.capacity_clear
        return 0 if self.capacity is None else min(int(self.capacity * _ROOM_SHARE), self.capacity - 1)

    @property
    def counted(self) -> bool:
        """Say whether there is anything to count."""
        return bool(self.doors or self.doors_out or self.reset or self.capacity)


class ZoneSection(ZoneOptions):
    """One zone."""


class SiteSection(ZoneOptions):
    """The site; with doors it is a zone like the others, with the id "site"."""

    zone: Zone | None = None

    @property
    def tzinfo(self) -> ZoneInfo | None:
        return ZoneInfo(self.zone) if self.zone else None
