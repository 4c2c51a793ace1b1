"""What pairing says about a device's clock and heartbeat, from pushes that come one after the other."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.commands import pair_counter
from gateway.commands.pair_clock import clock_offset_s
from gateway.commands.pair_outcome import Told

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Pushes:
    """A wait in which these pushes come: seconds after noon, how old the record is, what the book says then."""

    def __init__(self, *rows):
        self.rows = [(self._push(at, age), book) for at, age, book in rows]
        self.first = self.rows[0][0]

    def _push(self, at, age):
        came = NOON + timedelta(seconds=at)
        event = {
            "device": "d",
            "kind": "count",
            "time": (came - timedelta(seconds=age)).isoformat(),
            "data": {},
        }
        return {"time": came.isoformat(), "events": [event], "sender": "127.0.0.1", "path": "/"}

    def device(self, push):
        return {"clock_offset_s": next(book for known, book in self.rows if known is push)}

    def pushes(self, seconds, wanted=lambda _push: True):
        return (push for push, _ in self.rows[1:] if wanted(push))


@pytest.mark.parametrize(
    ("rows", "offset"),
    [
        ([(0, 1, -1.0)], -1.0),
        ([(0, -600, 600.0)], 600.0),
        ([(0, 135.1, -135.1)], None),
        ([(0, 135, -135.0), (1, 90, -90.0), (2, 1, -1.0)], -1.0),
        ([(0, 180, -180.0), (1, 150, -150.0), (2, 110, -110.0)], None),
        ([(0, 600, -600.0), (8, 600.5, -600.0)], -600.0),
        ([(0, 900, -900.0), (1, 600, -600.0), (3, 600, -600.0), (9, 601, -600.0)], -600.0),
        ([(0, 5000, None)], None),
    ],
)
def test_only_what_did_not_wait_tells_the_clock(rows, offset):
    """A device that seems behind is believed when pushes that are apart agree, or by one that came at once."""
    pushes = Pushes(*rows)
    assert offset == clock_offset_s(pushes, pushes.first, 1.0)


@pytest.mark.parametrize(("seconds", "judged"), [(3.0, False), (120.0, True)])
def test_a_missing_heartbeat_is_said_after_two_minutes_only(seconds, judged):
    """A counter sends one a minute, so sooner nothing is wrong; where it would go is said both times."""
    pushes, told = Pushes((0, 1, -1.0), (1, 1, -1.0)), Told(url="http://192.0.2.1:8088/counter")
    pair_counter._need_heartbeat(pushes, told, lambda _line: None, pushes.first, seconds)
    assert judged == ("sends no heartbeat" in (told.problem or ""))
    assert "http://192.0.2.1:8088/heartbeat" in told.advice[0]
