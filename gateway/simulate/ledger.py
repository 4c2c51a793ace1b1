"""What simulated devices said, and whether the far ends have it: the truth that deliveries are held against.

An acknowledged statement is an obligation. One that was sent and not acknowledged may have arrived or not;
one that was never sent must not exist.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import IO, Any

from gateway.event import Json, Kind, tallies
from gateway.simulate.facts import Key, event_of, fingerprint, key_of, said_of

_GATEWAYS_WORD = (Kind.LIVENESS, Kind.OCCUPANCY)  # what the gateway says itself is no device's statement


@dataclass(slots=True)
class Statement:
    """One thing said about one fact; ``order`` is its place among all that was said about it."""

    key: Key
    order: int
    truth: Mapping[str, Json]
    sent: bool = False
    acknowledged: bool = False


class Ledger:
    """All statements by fact. Devices may share one: the keys keep them apart."""

    def __init__(self) -> None:
        self.facts: dict[Key, list[Statement]] = {}

    def state(self, key: Key, truth: Mapping[str, Json]) -> Statement:
        """Enter what a device is about to say about a fact; later replaces earlier."""
        said = self.facts.setdefault(key, [])
        said.append(Statement(key, len(said), truth))
        return said[-1]

    def obligations(self) -> dict[Key, Statement]:
        """Give the newest acknowledged statement about each fact: what the far ends must end with."""
        newest = {key: _newest_acknowledged(said) for key, said in self.facts.items()}
        return {key: statement for key, statement in newest.items() if statement is not None}

    def totals(self, zone: tzinfo) -> Counter[tuple[str, date, str]]:
        """Sum the acknowledged counts by (serial, local day, measure), as a correct day's tally would."""
        sums: Counter[tuple[str, date, str]] = Counter()
        for key, statement in self.obligations().items():
            if key[0] == "count":
                _, serial, _, view, _, start, _ = key
            elif key[0] == "camlytics_cloud":
                (_, serial, _, _, start), view = key, "total"
            elif key[0] == "camlytics":
                serial, start, view = key[1], int(key[-1]) // 1000, "total"
            if key[0] in ("count", "camlytics", "camlytics_cloud"):
                day = datetime.fromtimestamp(int(start), zone).date()
                for measure, amount in tallies("count", {"view": view, **statement.truth}):
                    sums[str(serial), day, measure] += amount
        return sums

    def dump(self, file: IO[str]) -> None:
        """Write one JSON line per statement."""
        for said in self.facts.values():
            for one in said:
                line = {
                    "key": one.key,
                    "truth": one.truth,
                    "sent": one.sent,
                    "acknowledged": one.acknowledged,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, lines: Iterable[str]) -> "Ledger":
        """Read what `dump` wrote."""
        ledger = cls()
        for line in lines:
            entry = json.loads(line)
            statement = ledger.state(tuple(entry["key"]), entry["truth"])
            statement.sent, statement.acknowledged = entry["sent"], entry["acknowledged"]
        return ledger


@dataclass(slots=True)
class Verdict:
    """How deliveries compare with a ledger; doubles are allowed only for what was in flight at a fault."""

    missing: list[Key] = field(default_factory=list)  # acknowledged, and not at the far end
    spurious: list[str] = field(default_factory=list)  # at the far end, and never said
    wrong: list[str] = field(default_factory=list)  # known facts with other content than was said
    duplicates: list[tuple[str, int]] = field(default_factory=list)  # (id, revision) that came again

    @property
    def ok(self) -> bool:
        return not (self.missing or self.spurious or self.wrong)

    def __str__(self) -> str:
        return (
            f"{len(self.missing)} missing, {len(self.spurious)} spurious, {len(self.wrong)} wrong, "
            f"{len(self.duplicates)} delivered again"
        )


def compare(ledger: Ledger, deliveries: Iterable[Mapping[str, Any]]) -> Verdict:
    """Hold everything one far end got, in order of arrival, against what the devices said."""
    reader = _Reader(ledger)
    for message in deliveries:
        reader.take(message)
    return reader.verdict()


class _Reader:
    """A consumer that honours ids and revisions, and distrusts everything else."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._verdict = Verdict()
        self._seen: dict[tuple[str, int], tuple[str, Mapping[str, Any]]] = {}
        self._ids: dict[Key, str] = {}
        self._final: dict[Key, tuple[int, Mapping[str, Json]]] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        event = event_of(message)
        mark = (str(event.get("id")), int(event.get("revision", 0)))
        content = fingerprint(event)
        if mark in self._seen:
            self._verdict.duplicates.append(mark)
            before, first = self._seen[mark]
            if before != content:
                self._verdict.wrong.append(
                    f"{mark} came twice with different content: {_differs(first, event)}"
                )
            return
        self._seen[mark] = content, event
        self._judge(event, mark)

    def _judge(self, event: Mapping[str, Any], mark: tuple[str, int]) -> None:
        if _is_gateways_word(event):
            return
        key = key_of(event)
        said = [one for one in self._ledger.facts.get(key, ()) if one.sent] if key else []
        if key is None or not said:
            self._verdict.spurious.append(f"{mark} states {key}, which no device said")
            return
        if self._ids.setdefault(key, mark[0]) != mark[0]:
            self._verdict.wrong.append(f"{key} came under two ids: {self._ids[key]} and {mark[0]}")
        says = said_of(event)
        if not any(_agrees(one.truth, says) for one in said):
            self._verdict.wrong.append(f"{key} arrived as {says}; last said was {dict(said[-1].truth)}")
        if key not in self._final or mark[1] > self._final[key][0]:
            self._final[key] = (mark[1], says)

    def verdict(self) -> Verdict:
        for key, owed in self._ledger.obligations().items():
            if key not in self._final:
                self._verdict.missing.append(key)
                continue
            says = self._final[key][1]
            newer = self._ledger.facts[key][owed.order :]
            if not any(one.sent and _agrees(one.truth, says) for one in newer):
                self._verdict.wrong.append(f"{key} ends as {says}; acknowledged was {dict(owed.truth)}")
        return self._verdict


def _is_gateways_word(event: Mapping[str, Any]) -> bool:
    """Say whether the gateway speaks for itself: its own kinds, and an alarm that it took for over after a while."""
    data = event.get("data")
    return event.get("kind") in _GATEWAYS_WORD or (
        isinstance(data, Mapping) and data.get("cleared_by") == "quiet"
    )


def _differs(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    names = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    return "; ".join(f"{name} {first.get(name)} and {second.get(name)}" for name in names if name != "late")


def _newest_acknowledged(said: list[Statement]) -> Statement | None:
    return next((one for one in reversed(said) if one.acknowledged), None)


def _agrees(truth: Mapping[str, Json], says: Mapping[str, Json]) -> bool:
    return all(says.get(name) == value for name, value in truth.items())
