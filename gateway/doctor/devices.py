"""What is known of the devices: who was seen, who waits, whose clock is off."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import timedelta

from gateway import clock
from gateway.doctor.box import Box, Check, untold, well, wrong
from gateway.doctor.finding import Finding
from gateway.doctor.store import open_store
from gateway.doctor.timekeeping import believed
from gateway.outbox import reading

NAME = "devices"
_SHOWN = 3  # devices of which a sentence speaks
CLOCK_LIMIT_S = 120.0
_WAITING = "SELECT DISTINCT device FROM held ORDER BY device"


def look(box: Box) -> Iterable[Finding]:
    """Read the book of devices; which of them is silent only the running gateway can tell, and it does."""
    conn = open_store(box)
    if conn is None:
        yield untold(NAME, "No device is known yet: there is no store.")
        return
    try:
        with closing(conn):
            known = len(reading.devices(conn))
            newest = conn.execute("SELECT max(last_seen) FROM devices WHERE source <> 'gateway'").fetchone()[
                0
            ]
            held = [str(row[0]) for row in conn.execute(_WAITING)]
            offsets = reading.clock_offsets(conn)
    except sqlite3.Error:
        yield untold(NAME, "The store cannot be read now.")
        return
    if held:
        yield waiting(len(held), held[:_SHOWN])
    if box.told is None and believed(box):  # the daemon tells it with better advice
        yield from (one for device, ahead_s in offsets.items() if not (one := of_clock(device, ahead_s)).well)
    if not known and not held:
        yield wrong(NAME, "no_device_yet", "No device has pushed anything to this gateway yet.")
        return
    ago = timedelta(seconds=max(round(clock.now_ms() / 1000 - newest / 1000), 0)) if newest else None
    last = f"; the last push came {ago} ago" if ago is not None else ""
    silent = "; which of them is silent only the running gateway knows" if box.told is None else ""
    yield well(NAME, f"{_number(known, 'device')} known{last}{silent}.")


def waiting(count: int, some: Sequence[str]) -> Finding:
    """Say who waits to be adopted; also the daemon's fault."""
    more = f" and {count - len(some)} more" if count > len(some) else ""
    one = count == 1
    return wrong(
        NAME,
        "devices_waiting",
        f"{_number(count, 'device')} {'waits' if one else 'wait'} to be adopted: {', '.join(some)}{more}."
        f" What {'it pushes' if one else 'they push'} is held, neither counted nor forwarded.",
    )


def of_clock(device: str, ahead_s: float) -> Finding:
    """Judge the clock of a device by ours; also the daemon's fault."""
    if abs(ahead_s) <= CLOCK_LIMIT_S:
        return well(NAME, f"The clock of {device} is right.", device)
    how = "ahead of" if ahead_s > 0 else "behind"
    return wrong(
        NAME, "clock_off", f"The clock of {device} is {_span(abs(ahead_s))} {how} the gateway's.", device
    )


def _span(seconds: float) -> str:
    """Write a time span for people: 3 h 10 min, 2 min 5 s, 4 days."""
    whole = round(seconds)
    units = (
        ("days", whole // 86_400),
        ("h", whole // 3600 % 24),
        ("min", whole // 60 % 60),
        ("s", whole % 60),
    )
    parts = [f"{number} {unit}" for unit, number in units if number]
    return " ".join(parts[:2])


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


CHECK = Check(NAME, look, frozenset({"devices_waiting", "clock_off", "no_device_yet"}))
