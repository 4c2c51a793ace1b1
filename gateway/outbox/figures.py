"""The numbers of one device or zone as its state shows them: today, ever, the last hour, the last minute."""

import sqlite3
from collections.abc import Mapping

from gateway.outbox.day import Day
from gateway.outbox.entry import rfc3339
from gateway.outbox.gaps import Gaps
from gateway.outbox.reading import day_tallies, lifetime_tallies
from gateway.outbox.recent import Sums
from gateway.outbox.zoning import crossed


def figures(conn: sqlite3.Connection, owner: str, day: Day, sums: Sums | None) -> dict[str, object]:
    """Give the numbers. A measure that was never stated is absent; one that is not known now is null."""
    today, ever = day_tallies(conn, owner, day.date), lifetime_tallies(conn, owner)
    # A day begins with zeros for what is counted at all.
    told: dict[str, object] = {f"{measure}_today": today.get(measure, 0) for measure in ever}
    told |= {f"{measure}_total": amount for measure, amount in ever.items()}
    people = [measure for measure in ever if crossed(measure) != measure]
    if not people:
        return told
    hour, minute = (sums.hour, sums.minute) if sums else (None, None)
    for measure in people:
        told[f"{measure}_last_hour"] = _known(hour, measure)
        told[f"{measure}_last_minute"] = _known(minute, measure)
    return told | {"counted_to": rfc3339(sums.until) if sums else None}


def _known(sums: Mapping[str, int] | None, measure: str) -> int | None:
    return None if sums is None else sums.get(measure, 0)


def gap_figures(today: Gaps | None, yesterday: Gaps | None) -> dict[str, object]:
    """Give what is missing; null where it cannot be told, nothing at all for what counts nobody."""
    if today is None or yesterday is None:
        return {}
    return {
        "minutes_missing_today": today.missing_count,
        "minutes_missing_yesterday": yesterday.missing_count,
        "complete_yesterday": yesterday.complete,
    }
