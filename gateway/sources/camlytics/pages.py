"""Takes a page of `/v1/json/events` apart, so that one broken record does not hold up the others."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.reading.json_body import marks, read_json
from gateway.source import Aside, Asides
from gateway.sources.camlytics.told import Told, by_rest
from gateway.sources.camlytics.values import whole, without_paths

_FEW = 3  # so many records that are all broken may be chance; more are another version of the interface
_LENIENT = json.JSONDecoder(strict=False)
_EDGE = "\0 \t\r\n"
_BETWEEN = " \t\r\n,"
_EVENT_MARKS = 200  # as `marks` counts them; a real event has 75
_ROOM_MARKS = 2_000
_MOST_MARKS = 100_000  # of any other list


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a page holds: events by rising number, and records that could not be read."""

    told: tuple[Told, ...]
    aside: tuple[Aside, ...]
    left_out: int  # how many more could not be read
    numbers: tuple[int, ...]  # of the events that could be read, in the order in which they came
    unread: tuple[int, ...]  # of the records that could not
    records: int
    repaired: bool


def read_page(body: bytes, limit: int) -> Sheet:
    """Read a page of so many records, or raise `Unreadable` when it is none, or when nothing of it can be read."""
    _weigh(body, _ROOM_MARKS + limit * _EVENT_MARKS)
    told: dict[tuple[int, str], Told] = {}
    asides = Asides()
    numbers: list[int] = []
    unread: list[int] = []
    count, repaired = 0, False
    for item, raw, mended, why in _records(body):
        count += 1
        if count > limit:
            raise Unreadable(f"it holds more than the {limit} events that were asked for")
        repaired |= mended
        one, reason = (None, why) if why is not None else _one(item)
        if one is not None:
            told[one.number or 0, one.stated] = one
            numbers.append(one.number or 0)
        else:
            asides.add(reason, partial(_shown, item, raw))
            number = whole(item.get("event_id")) if isinstance(item, dict) else None
            if number is not None:
                unread.append(number)
    if count > _FEW and not told:
        raise Unreadable(f"none of its {count} records can be read: {asides.kept[0].reason}")
    ordered = tuple(told[key] for key in sorted(told))
    return Sheet(ordered, tuple(asides.kept), asides.left_out, tuple(numbers), tuple(unread), count, repaired)


def _weigh(body: bytes, most: int) -> None:
    """Refuse what makes more work than any list that is asked for, before that work."""
    if (counted := marks(body)) > most:
        raise Unreadable(f"it has {counted} parts, and what was asked for has at most {most}")


def _one(item: Json) -> tuple[Told | None, str]:
    if not isinstance(item, dict):
        return None, "a record is not an object"
    try:
        return by_rest(item), ""
    except Unreadable as unreadable:
        return None, str(unreadable)
    except Exception as bug:  # noqa: BLE001 - a bug of ours must not hold up the records behind this one
        return None, f"the gateway failed on it ({type(bug).__name__})"


def read_list(body: bytes) -> list[Json]:
    """Read a bare array."""
    _weigh(body, _MOST_MARKS)
    read, _ = read_json(body)
    if not isinstance(read, list):
        raise Unreadable("it is JSON and no list, so it is no answer of Camlytics")
    return read


def _records(body: bytes) -> Iterator[tuple[Json, bytes, bool, str | None]]:
    """Yield each record with its bytes (where they are known apart) and why it may not be used."""
    try:
        read, repaired = read_json(body)
    except Unreadable as unreadable:
        yield from _one_by_one(body, unreadable)
        return
    if not isinstance(read, list):
        raise Unreadable("it is JSON and no list, so it is no answer of Camlytics")
    for item in read:
        yield item, b"", repaired, None


def _one_by_one(body: bytes, whole_page: Unreadable) -> Iterator[tuple[Json, bytes, bool, str | None]]:
    """Find the records of a page that is JSON but for something in one of them that must not be taken."""
    try:
        page = body.decode("utf-8-sig")
        at = page.index("[") + 1
        if page[: at - 1].strip():
            raise whole_page
        while (at := _next(page, at)) < len(page) and page[at] != "]":
            item, end = _LENIENT.raw_decode(page, at)
            raw = page[at:end].encode()
            try:
                strict, mended = read_json(raw)
                yield strict, raw, mended, None
            except Unreadable as unreadable:
                yield item, raw, False, str(unreadable)
            at = end
        if page[at : at + 1] != "]" or page[at + 1 :].strip(_EDGE):
            raise whole_page
    except (ValueError, RecursionError) as error:
        raise whole_page from error


def _next(page: str, at: int) -> int:
    while at < len(page) and page[at] in _BETWEEN:
        at += 1
    return at


def _shown(item: Json, raw: bytes) -> bytes:
    return without_paths(raw or json.dumps(item, ensure_ascii=True).encode())
