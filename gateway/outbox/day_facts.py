"""Everything that is known about one day of one device: totals, hours, what is missing, what was corrected."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from gateway.outbox.day import Day
from gateway.outbox.entry import milliseconds, rfc3339
from gateway.outbox.gaps import Gaps, Why, gaps
from gateway.outbox.reading import day_tallies
from gateway.outbox.windows import Statement, standing, statements_of

_HOUR_MS = 3_600_000
_SHOWN = 50  # corrections
_SILENT = (
    "Nobody can tell: this device speaks only when somebody passes, so a quiet minute looks like a lost one."
)
_ADVICE = {
    "people_counter": " It sends heartbeats beside its counts in real-time mode when its heartbeat URL is set.",
    "camlytics": " Whether its Camlytics is reached at all is told by `gateway status`.",
    "camlytics_cloud": " Whether the cloud is reached at all is told by `gateway status`.",
}


def day_facts(
    conn: sqlite3.Connection, page: Mapping[str, object], day: Day, zone: tzinfo, now: datetime | None
) -> dict[str, object]:
    """Give one day of a device as JSON values; instants are local, with their offset."""
    device = str(page["id"])
    span = gaps(conn, page, day.start, day.end, now)
    facts = list(statements_of(conn, device, milliseconds(day.start), milliseconds(day.end)))
    corrected = [told for fact in facts if (told := _correction(fact, zone))]
    return {
        "device": device,
        "day": day.date,
        "start": _local(milliseconds(day.start), zone),
        "end": _local(milliseconds(day.end), zone),
        "totals": day_tallies(conn, device, day.date),
        "hours": _hours(facts, day, zone, page),
        **_minutes(span, day, zone, str(page["source"])),
        "corrections": len(corrected),
        "corrected": corrected[:_SHOWN],
    }


def _minutes(span: Gaps | None, day: Day, zone: tzinfo, source: str) -> dict[str, object]:
    length = int((day.end - day.start).total_seconds()) // 60
    if span is None:
        return {
            "minutes": length,
            "minutes_known": 0,
            "minutes_missing": None,
            "missing": [],
            "complete": None,
        }
    ranges = [{"from": _local(first, zone), "to": _local(end, zone)} for first, end in span.ranges()]
    told: dict[str, object] = {
        "minutes": length,
        "minutes_known": span.known_count,
        "minutes_missing": span.missing_count,
        "missing": ranges,
        "complete": span.complete,
    }
    return told if span.why is None else told | {"cannot_tell": _why(span.why, source)}


def _why(why: Why, source: str) -> str:
    if why is Why.SILENT:
        return _SILENT + _ADVICE.get(source, "")
    return "That day has not come yet." if why is Why.NOT_YET else "It was not known then."


def _hours(
    facts: Sequence[Sequence[Statement]], day: Day, zone: tzinfo, page: Mapping[str, object]
) -> list[dict[str, object]] | None:
    """Sum the windows by the hour; None when some of them have left the log, and only the totals are known."""
    start = milliseconds(day.start)
    if int(str(page["pruned"])) >= start:
        return None
    sums: dict[int, Counter[str]] = {}
    for fact in facts:
        one = standing(fact)
        if one is not None:
            sums.setdefault((one.time - start) // _HOUR_MS, Counter()).update(one.said.tallies)
    return [{"hour": _local(start + at * _HOUR_MS, zone), **sums[at]} for at in sorted(sums)]


def _correction(fact: Sequence[Statement], zone: tzinfo) -> dict[str, object] | None:
    """Say how a window was changed after it had been told as a whole; None when it was not."""
    whole = [one for one in fact if one.said.data.get("complete", True)]
    first, last = (whole[0], standing(fact)) if whole else (None, None)
    if first is None or last is None or dict(first.said.tallies) == dict(last.said.tallies):
        return None
    return {
        "window": _local(last.time, zone),
        "was": dict(first.said.tallies),
        "is": dict(last.said.tallies),
        "received_at": rfc3339(last.received),
    }


def _local(ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).isoformat(timespec="minutes")
