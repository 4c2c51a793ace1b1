"""What the demo knows at one moment, as plain values: the views only lay it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device; ``pushes`` is unknown for one that is not the demo's own."""

    name: str
    says: str
    pushes: int | None
    kept: int  # pushes that it still keeps because nobody took them
    today: str


@dataclass(frozen=True, slots=True)
class SinkRow:
    """One sink, as the gateway sees it, and what its far end has."""

    name: str
    far_end: str
    connected: bool
    delivered: int
    waiting: int
    lettered: int
    arrived: int
    twice: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it."""

    url: str
    elapsed_s: float
    length_s: float | None
    received: int = 0
    devices: Sequence[DeviceRow] = ()
    sinks: Sequence[SinkRow] = ()
    note: str = ""  # what goes wrong on purpose, or what the demo is doing
    faults: Sequence[str] = ()  # as the gateway says them
    hints: Sequence[str] = field(default_factory=tuple)


def today(row: Mapping[str, Any] | None, *, counts: bool | None) -> str:
    """Say what a device did today; ``counts`` None when it is not known what it is."""
    if row is None:
        return "nothing yet"
    amount = {name.removesuffix("_today"): value for name, value in row.items() if name.endswith("_today")}
    if counts or (counts is None and "enters" in amount):
        return f"in {amount.get('enters', 0)} out {amount.get('exits', 0)}"
    allowed, denied = amount.get("allowed", 0), amount.get("denied", 0)
    return f"in {allowed} denied {denied} strangers {amount.get('strangers', 0)} alarms {amount.get('alarms', 0)}"
