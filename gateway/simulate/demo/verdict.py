"""The account at the end: what the gateway says about itself, held against what both ends of it know.

The gateway is believed only where a far end or a device says the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC
from textwrap import wrap
from typing import Any

from gateway.simulate.ledger import Ledger, Verdict, compare

_PARTS = ("delivered", "waiting", "lettered", "expired", "lost")
_MEASURES = ("enters", "exits")
_TABLE = 80


@dataclass(frozen=True, slots=True)
class FarEnd:
    """What really arrived at the far end of one sink, in order of arrival."""

    sink: str
    name: str
    events: Sequence[Mapping[str, Any]]
    complaints: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Arrived:
    """One far end, counted."""

    name: str
    distinct: int
    foreign: int  # distinct events of senders that are not the demo's: somebody's curl
    verdict: Verdict


@dataclass(slots=True)
class Account:
    """What there is to say at the end; it is fine when there is no problem."""

    facts: int = 0  # that the devices were told are safe
    sinks: Sequence[Mapping[str, Any]] = ()
    arrived: dict[str, Arrived] = field(default_factory=dict)  # by sink
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def settle(
    ledger: Ledger, ours: AbstractSet[str], sinks: Sequence[Mapping[str, Any]], far_ends: Iterable[FarEnd]
) -> Account:
    """Draw up the account; ``ours`` are the ids of the demo's devices, ``sinks`` the gateway's own accounts."""
    account = Account(facts=len(ledger.obligations()), sinks=sinks)
    for far_end in far_ends:
        row = next((row for row in sinks if row["name"] == far_end.sink), None)
        account.arrived[far_end.sink] = arrived = _arrived(ledger, ours, far_end)
        if row is None:
            account.problems.append(f"The gateway has no account of the sink {far_end.sink}.")
        else:
            account.problems += _imbalance(row, arrived)
        account.problems += _faults_of(arrived)
        account.problems += far_end.complaints
    return account


def tally_problems(
    ledger: Ledger, serials: Mapping[str, str], rows: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Compare the day's sums that the gateway shows with what the counters counted.

    ``serials`` maps device id to serial. A counter with a push whose answer is not known is left out.
    """
    said = {serials[str(row["device"])]: row for row in rows if row.get("device") in serials}
    open_ended = {
        str(key[1])
        for key, statements in ledger.facts.items()
        if key[0] == "count" and any(one.sent and not one.acknowledged for one in statements)
    }
    sums = ledger.totals(UTC)
    return [
        f"Counter {serial} counted {sums[serial, day, measure]} {measure} on {day}, and the gateway shows {shown}."
        for serial, row in said.items()
        if serial not in open_ended
        for measure in _MEASURES
        for day in {one for who, one, _ in sums if who == serial and one.isoformat() == row.get("day")}
        if (shown := row.get(f"{measure}_today", 0)) != sums[serial, day, measure]
    ]


def _arrived(ledger: Ledger, ours: AbstractSet[str], far_end: FarEnd) -> Arrived:
    marks = {(event["id"], event["revision"]) for event in far_end.events}
    from_us = [event for event in far_end.events if event["device"] in ours]
    foreign = len(marks) - len({(event["id"], event["revision"]) for event in from_us})
    return Arrived(far_end.name, len(marks), foreign, compare(ledger, from_us))


def _imbalance(row: Mapping[str, Any], arrived: Arrived) -> list[str]:
    parts = [f"{row[part]} {part}" for part in _PARTS if row[part] or part == "delivered"]
    problems = []
    if row["received"] != sum(row[part] for part in _PARTS) or not row["balanced"]:
        problems.append(
            f"The account of {row['name']} does not balance: {row['received']} received, {' + '.join(parts)}."
        )
    if row["delivered"] > arrived.distinct:
        problems.append(
            f"The gateway says that {row['delivered']} events were delivered to {row['name']},"
            f" and the {arrived.name} has {arrived.distinct}."
        )
    return problems


def _faults_of(arrived: Arrived) -> list[str]:
    found = arrived.verdict
    said = {
        "facts that were acknowledged are missing": [str(key) for key in found.missing],
        "events were never said by a device": found.spurious,
        "events have other content than was said": found.wrong,
    }
    return [
        f"At the {arrived.name} {len(items)} {what}; the first: {items[0][:200]}"
        for what, items in said.items()
        if items
    ]


def as_text(account: Account, columns: int = _TABLE) -> list[str]:
    """Write the account for a person whose terminal has so many columns."""
    if account.ok:
        told = f"It balances. {account.facts} facts that the devices were told are safe are at both far ends,"
        closing = [f"{told} as the devices said them. A correction of a fact is an event of its own."]
    else:
        closing = [f"! {problem}" for problem in account.problems]
    body = _tables(account) if columns >= _TABLE else _sentences(account)
    width = max(min(columns, _TABLE), 20)
    return [part for line in [*body, "", *closing] for part in _folded(line, width)]


def _tables(account: Account) -> Iterator[str]:
    head = f"{'RECEIVED':>9}    {'DELIVERED':>9}{'WAITING':>11}{'LETTERED':>11}{'EXPIRED':>10}{'LOST':>7}"
    yield f"{'SINK':<10}{head}"
    for row in account.sinks:
        late = f"{row['waiting']:>9} +{row['lettered']:>9} +{row['expired']:>8} +{row['lost']:>5}"
        yield f"{row['name']!s:<10}{row['received']:>9}  = {row['delivered']:>9} +{late}"
    yield ""
    yield f"{'FAR END':<17}{'ARRIVED':>8}{'TWICE':>8}{'MISSING':>9}{'SPURIOUS':>10}{'WRONG':>8}{'BY OTHERS':>12}"
    for far in account.arrived.values():
        found = far.verdict
        yield (
            f"{far.name:<17}{far.distinct:>8}{len(found.duplicates):>8}{len(found.missing):>9}"
            f"{len(found.spurious):>10}{len(found.wrong):>8}{far.foreign:>12}"
        )


def _sentences(account: Account) -> Iterator[str]:
    for row in account.sinks:
        yield f"{row['name']}: {row['received']} received = {' + '.join(f'{row[part]} {part}' for part in _PARTS)}"
    for far in account.arrived.values():
        yield f"{far.name}: {far.distinct} arrived, {far.foreign} of them by others; {far.verdict}"


def _folded(line: str, width: int) -> list[str]:
    """Break a sentence at spaces; a log line that somebody has to read stays as it is."""
    if len(line) <= width or "\n" in line:
        return [line]
    return wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def as_json(account: Account) -> dict[str, object]:
    """Give the account as JSON values."""
    return {
        "ok": account.ok,
        "problems": account.problems,
        "facts": account.facts,
        "sinks": [dict(row) for row in account.sinks],
        "far_ends": {
            sink: {
                "name": far.name,
                "arrived": far.distinct,
                "by_others": far.foreign,
                "twice": len(far.verdict.duplicates),
                "missing": len(far.verdict.missing),
                "spurious": len(far.verdict.spurious),
                "wrong": len(far.verdict.wrong),
            }
            for sink, far in account.arrived.items()
        },
    }
