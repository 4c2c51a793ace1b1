"""The newest state of a device, and the site's day."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest

from gateway.daemon.states import show_states
from gateway.event import Device, Event, Kind, ZoneRule, event_id
from gateway.outbox import Drafting, Outbox, Settings
from gateway.projection import Day, Projection

pytestmark = pytest.mark.anyio
CAMERA = Device(id="counter-1", source="people_counter", serial="1", label="door", address="192.0.2.1")


def count(start: datetime, enters: int, revision: int = 1, view: str = "total") -> Event:
    data = {"count": "interval", "view": view, "object": "0", "name": "count", "enters": enters, "exits": 0}
    return Event(
        id=event_id(CAMERA.id, "count", view, int(start.timestamp()), order=int(start.timestamp())),
        revision=revision,
        kind=Kind.COUNT,
        device=CAMERA,
        time=start,
        end=start + timedelta(minutes=1),
        zone_rule=ZoneRule.UNIX,
        data=data,
    )


@pytest.mark.parametrize(
    ("zone", "instant", "hours"),
    [
        ("Europe/Lisbon", "2026-03-29T12:00:00", 23),
        ("Europe/Lisbon", "2026-10-25T12:00:00", 25),
        ("America/New_York", "2026-11-01T23:30:00", 25),
        ("Australia/Lord_Howe", "2026-04-05T12:00:00", 24.5),
        ("Asia/Kolkata", "2026-11-21T00:00:00", 24),
        ("America/Sao_Paulo", "2018-11-04T12:00:00", 23),  # midnight itself does not exist there
    ],
)
def test_a_day_is_as_long_as_the_zone_says(zone, instant, hours):
    """Days of 23, 24.5 and 25 hours begin and end at local midnight."""
    local = datetime.fromisoformat(instant).replace(tzinfo=ZoneInfo(zone))
    day = Day.of(local, ZoneInfo(zone))
    assert hours == (day.end - day.start) / timedelta(hours=1)
    assert day.start <= local < day.end
    assert f"{local:%Y-%m-%d}" == day.date
    assert Day.of(day.end, ZoneInfo(zone)).date > day.date
    assert Day.of(day.end - timedelta(seconds=1), ZoneInfo(zone)).date == day.date


async def opened(directory, **how) -> Outbox:
    return await Outbox.open(Settings(directory=directory, drafting=Drafting(**how)))


async def test_a_state_holds_today_and_ever_and_the_newest(tmp_path):
    """Totals are sums over windows; today is the site's day; views stand beside each other."""
    outbox = await opened(tmp_path)
    now = datetime.now(UTC).replace(microsecond=0)
    long_ago = now - timedelta(days=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outbox.run)
        await outbox.append([count(long_ago, 5), count(long_ago, 2, view="child")], now)
        await outbox.append([count(now, 3)], now)
        await outbox.append([count(now, 4, revision=2)], now)
        (state,) = await Projection(outbox.path, "gw", UTC).states()
        await outbox.close()
    outbox.release()
    told = json.loads(state.payload)
    assert "counter-1" == state.device == told["device"]
    assert (4, 9) == (told["enters_today"], told["enters_total"])
    assert (0, 2) == (told["child_enters_today"], told["child_enters_total"])
    assert "passings_today" not in told, "what was never stated is not zero"
    assert 4 == told["last_enters"]


async def test_the_zero_of_a_new_day_needs_no_push(tmp_path, monkeypatch):
    """At local midnight every state is shown again within a second, with today at zero."""
    shown: list[dict] = []

    class Board:
        async def publish_states(self, states) -> None:
            shown.extend(json.loads(state.payload) for state in states)

        async def publish_status(self, status: bytes) -> None:
            pass

    # A zone whose midnight is two seconds from now: the day ends without a trick on the clock.
    now = datetime.now(UTC)
    to_midnight = timedelta(hours=24) - timedelta(hours=now.hour, minutes=now.minute, seconds=now.second)
    from datetime import timezone

    offset = to_midnight - timedelta(seconds=2)
    zone = timezone(offset if offset < timedelta(hours=24) else timedelta(0))
    outbox = await opened(tmp_path, zone=zone)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outbox.run)
        await outbox.append([count(now - timedelta(minutes=1), 7)], now)
        projection = Projection(outbox.path, "gw", zone)
        midnight = projection.today().end
        tasks.start_soon(show_states, outbox, projection, lambda: [Board()], dict)
        with anyio.fail_after(10):
            while not any(state["enters_today"] == 0 for state in shown):
                await anyio.sleep(0.02)
        assert datetime.now(UTC) - midnight < timedelta(seconds=1.2)
        tasks.cancel_scope.cancel()
    assert 7 == shown[-1]["enters_total"]
