"""Put into the log that a device went silent or came back: once, in the transaction that notes it in the book."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.event import Device, Event, Json, Kind, ZoneRule, event_id
from gateway.outbox.appending import Appender
from gateway.outbox.devices import Book
from gateway.outbox.entry import Drafting, rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be said about a device, and what that was decided by."""

    device: str
    previous: str | None
    state: str
    heard: float | None  # when that was; one that is said to be away must not have been heard since
    away: bool
    told: Mapping[str, Json] | None  # what the event says beside the states; None: nobody need be told


def enter(appender: Appender, book: Book, drafting: Drafting, verdict: Verdict, now: datetime) -> str | None:
    """Note a verdict on the writer's thread, unless it no longer holds; give what the book says then."""
    page, sign = book.known(verdict.device), book.signs.of(verdict.device)
    if page is None:
        book.signs.drop(verdict.device)  # what it pushed was refused in the end, or its page is damaged
        return None
    if page.liveness != verdict.previous:
        return page.liveness
    if verdict.away and sign is not None and sign.heard != verdict.heard:
        return page.liveness
    page.liveness = verdict.state
    if verdict.told is None:
        book.touch(page)
        return page.liveness
    event = Event(
        # What the device has sent moves between two verdicts, or the verdict itself does.
        id=event_id(page.id, "liveness", verdict.state, page.events + appender.leap + page.duplicates),
        revision=0,
        kind=Kind.LIVENESS,
        device=Device(id=page.id, source=page.source),
        time=now,
        zone_rule=ZoneRule.RECEIPT,
        data={
            "state": verdict.state,
            "previous": verdict.previous,
            "since": rfc3339(page.last_seen),
            **verdict.told,
        },
    )
    appender.append([drafting.draft(event, now)], "")
    return page.liveness
