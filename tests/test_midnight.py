"""The day of the site begins at its midnight, by our own timer: on a driven clock, where clocks change and rules do."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from datetime import time as wall_time
from functools import partial
from zoneinfo import ZoneInfo

import anyio
import pytest
from brokers import Mosquitto, Subscriber
from keeping import count, opened
from moved_clock import hand_moved
from zoned import HALL, zone, zoned

from gateway.daemon import states
from gateway.daemon.states import show_states
from gateway.daemon.zones import keep_zones
from gateway.outbox.zoning import Zoning
from gateway.projection import Projection
from gateway.sinks.mqtt import MqttOptions, MqttSink

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)


class Board:
    """A sink that keeps what it is shown, with the time of the clock."""

    def __init__(self, hands):
        self._hands = hands
        self.shown = []

    async def publish_states(self, states):
        self.shown += [(self._hands.now(), json.loads(state.payload)) for state in states]

    async def publish_status(self, status):
        pass

    def newest(self, device):
        return next((state for _, state in reversed(self.shown) if state["device"] == device), None)


@contextlib.asynccontextmanager
async def site(directory, hands, zone_name, sinks, **more):
    """Run a store with a counter, a hall and the loops that show them."""
    tz = ZoneInfo(zone_name)
    hall = zone("counter-a", **more)
    async with opened(directory, **zoned(hall, tz=tz)) as outbox:
        await outbox.remember()
        projection = Projection(outbox.path, "gw", tz)
        projection.zoning, projection.sums = Zoning((hall,)), outbox.sums
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(show_states, outbox, projection, partial(sinks, projection), dict)
            tasks.start_soon(keep_zones, outbox)
            yield outbox
            tasks.cancel_scope.cancel()
        projection.close()


async def until(true, within_s=3.0):
    with anyio.fail_after(within_s):
        while not true():
            await anyio.sleep(0.01)


DAYS = [
    # zone, a day before the one of the change, hours of the days that follow
    ("Europe/Lisbon", "2026-03-28", [24, 23, 24]),
    ("Europe/Lisbon", "2026-10-24", [24, 25, 24]),
    ("America/New_York", "2026-03-07", [24, 23, 24]),
    ("America/New_York", "2026-10-31", [24, 25, 24]),
    ("Australia/Lord_Howe", "2026-10-03", [24, 23.5, 24]),
    ("Australia/Lord_Howe", "2026-04-04", [24, 24.5, 24]),
    ("America/Sao_Paulo", "2018-02-16", [24, 25, 24]),
    ("America/Sao_Paulo", "2018-11-03", [24, 23, 24]),
    ("America/Sao_Paulo", "2019-11-02", [24, 24, 24]),
    ("Asia/Kolkata", "2026-11-20", [24, 24, 24]),
]


@pytest.mark.parametrize(("zone_name", "first", "hours"), DAYS)
async def test_the_zero_comes_at_every_midnight(tmp_path, monkeypatch, zone_name, first, hours):
    """Without a push the states of device and zone begin each day at zero within a second, and not a second before."""
    monkeypatch.setattr(states, "_PAUSE_S", 0.05)  # so that pushes are shown sooner
    tz = ZoneInfo(zone_name)
    start = datetime.fromisoformat(first).replace(tzinfo=tz).astimezone(UTC)
    with hand_moved(start + timedelta(hours=20)) as hands:
        board = Board(hands)
        async with site(tmp_path, hands, zone_name, lambda _: [board]) as outbox:
            midnight = start
            for people, length in enumerate(hours, 1):
                midnight += timedelta(hours=length)
                hands.instant = midnight - timedelta(minutes=30)
                await outbox.append([count(time=hands.now(), enters=people)], hands.now())
                await until(lambda n=people: (board.newest(HALL) or {}).get("enters_today") == n)
                date = board.newest(HALL)["day"]
                hands.instant = midnight - SECOND
                await asyncio.sleep(0.05)
                assert date == board.newest(HALL)["day"] == board.newest("counter-a")["day"]
                hands.instant = midnight
                await until(
                    lambda d=date: board.newest(HALL)["day"] > d and board.newest("counter-a")["day"] > d
                )
                for device in (HALL, "counter-a"):
                    at, told = next(
                        (at, told)
                        for at, told in board.shown
                        if told["device"] == device and told["day"] > date
                    )
                    assert timedelta(0) <= at - midnight < SECOND
                    assert 0 == told["enters_today"]
                    assert f"{midnight:%Y-%m-%dT%H:%M:%SZ}" == told["day_start"]
                    assert sum(range(people + 1)) == told["enters_total"]
            assert hours == [
                (datetime.fromisoformat(a) - datetime.fromisoformat(b)) / timedelta(hours=1)
                for a, b in zip(starts(board)[1:], starts(board), strict=False)
            ]


def starts(board):
    return list(dict.fromkeys(told["day_start"] for _, told in board.shown))


async def test_midnight_does_not_wait_for_the_next_look(tmp_path, monkeypatch):
    """The zero comes when the clock shows midnight, and not with the pause between two pushes."""
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    with hand_moved(midnight - timedelta(hours=1)) as hands:
        board = Board(hands)
        async with site(tmp_path, hands, "Europe/Lisbon", lambda _: [board]) as outbox:
            monkeypatch.setattr(states, "_PAUSE_S", 600.0)
            await outbox.append([count(time=hands.now(), enters=4)], hands.now())
            await until(lambda: (board.newest(HALL) or {}).get("enters_today") == 4)
            hands.instant = midnight
            await until(lambda: board.newest(HALL)["enters_today"] == 0, within_s=1)


async def test_a_clock_that_is_set_shows_the_right_day_at_once(tmp_path):
    """A box that wakes up in 1970 and learns the time shows no day before, and then the one that it is."""
    with hand_moved(datetime(1970, 1, 1, 0, 1, tzinfo=UTC)) as hands:
        hands.sure = False
        board = Board(hands)
        async with site(tmp_path, hands, "Europe/Lisbon", lambda _: [board]) as outbox:
            await outbox.append([count(time=datetime(2026, 11, 20, 9, tzinfo=UTC), enters=6)], hands.now())
            await until(lambda: board.newest(HALL) is not None)
            assert (None, None) == tuple(board.newest(HALL)[name] for name in ("day", "enters_today"))
            hands.sure, hands.instant = True, datetime(2026, 11, 20, 10, tzinfo=UTC)
            await until(lambda: board.newest(HALL)["day"] == "2026-11-20")
            await until(lambda: board.newest("counter-a")["day"] == "2026-11-20")
        assert (6, 6) == tuple(board.newest(name)["enters_today"] for name in (HALL, "counter-a"))


async def test_midnight_and_reset_reach_a_real_subscriber(tmp_path):
    """Over a real broker: the zero of the day, and later the reset of the zone, both without a push."""
    tz = ZoneInfo("Europe/Lisbon")
    midnight = datetime(2026, 10, 25, tzinfo=tz).astimezone(UTC)
    reset = wall_time(1, 30)  # it comes twice in this night
    sinks = []

    def showing(projection):
        if not sinks:
            options = MqttOptions(name="b", host="127.0.0.1", port=broker.port, gateway_id="gw")
            sinks.append(MqttSink(options, projection.states, lambda: b"{}"))
        return [sink for sink in sinks if sink.connected]

    def read(name):
        found = [one.payload for one in reader.messages if one.topic == f"gateway/gw/{HALL}/state"]
        return json.loads(found[-1]).get(name) if found else None

    with (
        hand_moved(midnight - timedelta(minutes=5)) as hands,
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port, "gateway/#") as reader,
    ):
        async with site(tmp_path / "store", hands, "Europe/Lisbon", showing, reset=reset) as outbox:
            await until(lambda: sinks)
            await sinks[0].open()
            await outbox.append([count(time=hands.now(), enters=9)], hands.now())
            await until(lambda: read("enters_today") == 9)
            hands.instant = midnight
            await until(lambda: read("enters_today") == 0)
            assert 9 == read("occupancy")
            hands.instant = midnight + timedelta(hours=1, minutes=30)
            await until(lambda: read("occupancy") == 0)
            assert (9, "2026-10-25T00:30:00.000Z") == (read("drift_at_last_reset"), read("last_reset"))
            await sinks[0].close()
