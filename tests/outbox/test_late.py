"""Which events are marked late: by what the device says about its sending, and by when they came."""

from datetime import timedelta

import pytest
from keeping import NOON, access, count, counter, opened, rows

from gateway.outbox import Flag, Housekeeper

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class Site:
    """Pushes of one device over time; each says how far the device's clock is off and how long it waited."""

    def __init__(self, outbox, directory):
        self.outbox, self.directory = outbox, directory
        self.now = NOON
        self.number = 0

    async def push(self, *, clock=0 * SECOND, waited=0 * SECOND, after=MINUTE, states_sending=True, events=1):
        """Send one record that happened when it was sent first; give whether it was marked late."""
        self.now += after
        stated = self.now + clock - waited
        batch = []
        for _ in range(events):
            self.number += 1
            sent = {"sent_at": stated} if states_sending else {}
            batch.append(access(self.number, time=stated, **sent))
        await self.outbox.append(batch, self.now)
        return bool(
            rows(self.directory, "SELECT flags FROM events ORDER BY seq DESC LIMIT 1")[0][0] & Flag.LATE
        )

    @property
    def clock_s(self):
        offset = rows(self.directory, "SELECT clock_offset_ms FROM devices")[0][0]
        return None if offset is None else offset / 1000


@pytest.fixture
async def site(tmp_path):
    async with opened(tmp_path) as outbox:
        yield Site(outbox, tmp_path)


async def test_live_pushes_are_not_late(site):
    """A device that pushes at once, a second more or less, is never late."""
    waits = (0, 1, 0, 2, 0, 1, 30, 0)
    assert {False} == {await site.push(waited=seconds * SECOND) for seconds in waits}


@pytest.mark.parametrize("hours", [-50_000, -3, 3, 50_000])
async def test_a_wrong_clock_makes_nothing_late(site, hours):
    """A device whose clock is hours or years off is measured by its own clock."""
    assert {False} == {await site.push(clock=hours * HOUR) for _ in range(5)}
    assert hours * 3600 == site.clock_s


async def test_what_waited_longer_than_the_limit_is_late(site):
    """After five minutes of waiting an access record is late, before that it is not."""
    await site.push()
    assert not await site.push(waited=299 * SECOND)
    assert await site.push(waited=301 * SECOND)
    assert not await site.push()


async def test_a_push_that_says_that_it_was_sent_late_is_late(tmp_path):
    """A record whose device states a sending long after the fact is late with the very first push."""
    async with opened(tmp_path) as outbox:
        await outbox.append([access(1, sent_at=NOON + 6 * MINUTE)], NOON + 6 * MINUTE)
        await outbox.append([count(0, sent_at=NOON + 20 * MINUTE)], NOON + 20 * MINUTE)
        await outbox.append([count(1, sent_at=NOON + 40 * MINUTE)], NOON + 40 * MINUTE)
        flags = [row[0] & Flag.LATE for row in rows(tmp_path, "SELECT flags FROM events ORDER BY seq")]
        assert [Flag.LATE, 0, Flag.LATE] == flags


async def test_a_replay_is_late_to_its_end(site):
    """Records of an outage that come ten a second are all late, and the live one behind them is not."""
    await site.push()
    site.now += 2 * HOUR
    late = [
        await site.push(waited=2 * HOUR - number * 10 * SECOND, after=SECOND / 10, states_sending=False)
        for number in range(600)
    ]
    assert {True} == set(late)
    assert not await site.push(states_sending=False)


async def test_a_slow_replay_between_live_pushes_is_late(site):
    """Old records that come at the pace of live ones, with live ones between them, stay late for an hour."""
    await site.push()
    for _ in range(60):
        assert await site.push(waited=3 * HOUR, after=30 * SECOND)
        assert not await site.push(after=30 * SECOND)
    assert 0 == site.clock_s


async def test_a_queue_that_grows_does_not_pull_the_clock_along(site):
    """Delays that grow from push to push by less than the limit are late once they are beyond it."""
    await site.push()
    late = [await site.push(waited=number * 2 * MINUTE) for number in range(10)]
    assert [False] * 3 + [True] * 7 == late


async def test_a_first_old_record_without_a_sending_time_is_late(site):
    """A terminal that begins with an old record begins with a replay; the clock is told by the live one."""
    assert await site.push(waited=HOUR, states_sending=False)
    assert site.clock_s is None
    assert not await site.push(states_sending=False)
    assert 0 == site.clock_s
    assert await site.push(waited=HOUR, states_sending=False)


async def test_a_clock_that_is_set_back_is_believed_after_some_minutes(site):
    """Pushes that agree with each other on an earlier clock are late at first, and then they are live."""
    for _ in range(5):
        await site.push()
    late = [await site.push(clock=-HOUR, after=20 * SECOND) for _ in range(20)]
    assert True is late[0]
    assert False is late[-1]
    assert sorted(late, reverse=True) == late
    assert 3 <= late.count(True) <= 12
    assert -3600 == site.clock_s


async def test_a_clock_that_is_set_forward_makes_nothing_late(site):
    """A device whose clock jumps ahead stays live, and so it does when the jump is taken back at once."""
    await site.push()
    assert {False} == {await site.push(clock=HOUR) for _ in range(5)}
    assert {False} == {await site.push() for _ in range(5)}
    assert {False} == {await site.push(clock=HOUR) for _ in range(30)}
    assert 3600 == site.clock_s


async def test_one_date_from_the_future_makes_nothing_late(site):
    """One record dated 2099 does not make the following ones late for hours."""
    await site.push()
    await site.push(clock=70 * 365 * 24 * HOUR)
    assert {False} == {await site.push() for _ in range(5)}
    assert 0 == site.clock_s


async def test_our_own_clock_may_jump(site):
    """When the gateway learns the time after its start, devices are believed again within minutes."""
    for _ in range(3):
        await site.push()
    years = 6 * 365 * 24 * HOUR
    # Our clock was six years behind: for us the devices' clocks are set back by as much at once.
    late = [await site.push(clock=-years, after=20 * SECOND) for _ in range(15)]
    assert False is late[-1]
    assert await site.push(clock=-years, waited=10 * MINUTE)


async def test_the_events_of_one_push_have_one_opinion(site):
    """A few large pushes are not enough to move the clock, however many events they hold."""
    await site.push()
    for _ in range(3):
        assert await site.push(waited=HOUR, events=20, after=MINUTE)


async def test_doubt_survives_the_housekeeping(tmp_path):
    """Retention at work after every push does not make the gateway forget that a clock was set back."""
    async with opened(tmp_path, keep_days=0) as outbox:
        site, housekeeper = Site(outbox, tmp_path), Housekeeper(outbox)
        for _ in range(5):
            await site.push()
        late = []
        for _ in range(15):
            late.append(await site.push(clock=-HOUR, after=20 * SECOND))
            await housekeeper.tidy()
        assert [] == rows(tmp_path, "SELECT seq FROM events")
        assert True is late[0]
        assert False is late[-1]


async def test_the_clock_is_kept_over_a_restart(tmp_path):
    """A device that was an hour behind before the restart is an hour behind after it, and not late."""
    async with opened(tmp_path) as outbox:
        assert not await Site(outbox, tmp_path).push(clock=-HOUR)
    async with opened(tmp_path) as outbox:
        site = Site(outbox, tmp_path)
        site.number = 100
        assert not await site.push(clock=-HOUR, after=10 * MINUTE)
        assert await site.push(clock=-HOUR, waited=10 * MINUTE)


async def test_a_wrong_clock_of_ours_does_not_stay_in_the_book(tmp_path):
    """What was seen "in the future", while our clock was wrong, is replaced by the next push."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, device=counter())], NOON.replace(year=2099))
        await outbox.append([count(1, device=counter())], NOON)
        assert [(int(NOON.timestamp() * 1000),)] == rows(tmp_path, "SELECT last_seen FROM devices")
