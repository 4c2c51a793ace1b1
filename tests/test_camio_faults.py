"""Camio's incidents as faults: raised, cleared, ended by quiet, the same in every order and after every start."""

import contextlib
from datetime import UTC, datetime, timedelta
from random import Random

import anyio
import pytest
from keeping import opened, rows, tallies

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.incidents import Incidents
from gateway.intake import Intake, Policy
from gateway.simulate.camio_json import COUNTERS, Domain
from gateway.source import Post
from gateway.sources.camio import Camio
from gateway.sources.camio.counters import COUNTERS as READ

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
QUIET_S = 3600.0
OFFLINE, PURGED = "stream_changed_offline_count", "events_purged_count"
DOMAIN = Domain()


class Driven:
    """A clock that stands still until a test moves it."""

    tick_s = 0.005

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ahead_s = 0.0  # how wrong the instant is
        self.believed = True

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds + self.ahead_s)

    def steady(self) -> float:
        return self.seconds

    def trusted(self) -> bool:
        return self.believed


@pytest.fixture
def driven():
    ours = Driven()
    before = clock.use(ours)
    yield ours
    clock.use(before)


def said(number: int, at_s: float, values: dict[str, int], camera: str = "Pier"):
    """Read what Camio says at a moment of its own clock."""
    inner = DOMAIN.incident(camera, START.timestamp() + at_s, values)
    body = DOMAIN.write(f"id-{number}", "incident.created", inner)
    post = Post(method="POST", path="/", body=body, address="127.0.0.1", received_at=clock.now())
    return Camio().parse(post).events


class Following:
    """A store with the task that follows it."""

    def __init__(self, outbox, quiet_s=QUIET_S):
        self.outbox, self.faults = outbox, Faults()
        self.intake = Intake(outbox, Policy())
        self.incidents = Incidents(outbox, self.intake, self.faults, quiet_s)

    @contextlib.asynccontextmanager
    async def running(self):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.incidents.run)
            await anyio.sleep(0.02)
            yield self
            tasks.cancel_scope.cancel()

    async def keep(self, events):
        await self.intake.keep(events, clock.now())
        await anyio.sleep(0.02)

    @property
    def standing(self) -> set[str]:
        return {fault.subject.partition(":")[2] for fault in self.faults if fault.code == "camio_incident"}

    async def becomes(self, *names: str) -> None:
        with anyio.fail_after(5):
            while self.standing != set(names):
                await anyio.sleep(0.005)


async def test_a_counter_is_raised_and_cleared_by_its_value(tmp_path, driven):
    """A bad value raises the fault of that camera and counter with the vendor's words, a good one clears it alone."""
    async with opened(tmp_path) as outbox, Following(outbox).running() as site:
        await site.keep(said(1, 0, {OFFLINE: 3, PURGED: 1}))
        await site.becomes(OFFLINE, PURGED)
        (fault,) = [fault for fault in site.faults if fault.subject.endswith(OFFLINE)]
        assert "Camio says of camera Pier at 2026-11-21T11:00:00Z: 3 > 0 means" in fault.sentence
        assert "power, cable" in fault.action
        await site.keep(said(2, 60, {OFFLINE: 0}))
        await site.becomes(PURGED)


async def test_a_later_incident_without_the_counter_clears_nothing(tmp_path, driven):
    """What Camio does not mention it does not say to be well: missing is not zero."""
    async with opened(tmp_path) as outbox, Following(outbox).running() as site:
        await site.keep(said(1, 0, {OFFLINE: 3}))
        await site.keep(said(2, 60, {PURGED: 1}))
        await site.becomes(OFFLINE, PURGED)


async def test_an_unknown_counter_is_shown(tmp_path, driven):
    """A counter that the vendor adds is raised with the vendor's own words."""
    async with opened(tmp_path) as outbox, Following(outbox).running() as site:
        body = DOMAIN.write("n", "incident.created", {
            "incident": {"camera_name": "Pier", "counter_events": {"lens_fogged": {"value": 2}}},
        })  # fmt: skip
        post = Post(method="POST", path="/", body=body, address="", received_at=clock.now())
        await site.keep(Camio().parse(post).events)
        await site.becomes("lens_fogged")
        assert "lens_fogged is 2" in next(iter(site.faults)).sentence


async def test_quiet_ends_it_with_an_event_of_its_own(tmp_path, driven):
    """After the quiet time, counted from the last word, the fault goes and one cleared event is in the log."""
    async with opened(tmp_path) as outbox, Following(outbox).running() as site:
        await site.keep(said(1, 0, {OFFLINE: 3}))
        driven.seconds = QUIET_S - 1
        await site.keep(said(2, QUIET_S - 1, {OFFLINE: 4}))
        driven.seconds = QUIET_S + 60
        await anyio.sleep(0.05)
        assert {OFFLINE} == site.standing, "the second word began the quiet time anew"
        driven.seconds = 2 * QUIET_S
        await site.becomes()
        await anyio.sleep(0.05)
    last = rows(tmp_path, "SELECT time, json_extract(body, '$.data.state'), json_extract(body, '$.data.cleared_by'),"
                          " json_extract(body, '$.data.trace_id') FROM events ORDER BY seq")  # fmt: skip
    assert 3 == len(last)
    heard = (START + timedelta(seconds=QUIET_S - 1)).timestamp() * 1000
    assert [(heard,)] == rows(tmp_path, "SELECT last_seen FROM devices"), (
        "Camio's device was not seen at its end"
    )
    assert ("cleared", "quiet", last[0][3]) == last[-1][1:]
    assert (START + timedelta(seconds=2 * QUIET_S)).timestamp() * 1000 == last[-1][0]


async def test_what_stood_stands_after_a_start(tmp_path, driven):
    """A start finds what stood, counts its quiet time on, and does not raise what was over."""
    async with opened(tmp_path) as outbox:
        async with Following(outbox).running() as site:
            await site.keep(said(1, 0, {OFFLINE: 3, PURGED: 2}))
            await site.keep(said(2, 10, {PURGED: 0}))
        driven.seconds = QUIET_S / 2
        async with Following(outbox).running() as site:
            await site.becomes(OFFLINE)
            driven.seconds = QUIET_S + 1
            await site.becomes()
        async with Following(outbox).running() as site:
            await anyio.sleep(0.05)
            assert set() == site.standing
    assert [(1,)] == rows(tmp_path, "SELECT count(*) FROM events WHERE body LIKE '%quiet%'")


async def test_an_old_clock_ends_nothing_too_early(tmp_path, driven):
    """While the clock cannot be believed a start begins the quiet time anew instead of trusting the difference."""
    async with opened(tmp_path) as outbox:
        async with Following(outbox).running() as site:
            await site.keep(said(1, 0, {OFFLINE: 3}))
        driven.ahead_s, driven.believed = 400 * 86_400.0, False
        async with Following(outbox).running() as site:
            await anyio.sleep(0.05)
            assert {OFFLINE} == site.standing
            driven.seconds = QUIET_S + 1
            await site.becomes()


async def test_a_new_incident_counts_although_our_clock_was_ahead(tmp_path, driven):
    """What quiet ended can begin again: the order is that of Camio's own times, not of ours."""
    driven.ahead_s = 86_400.0
    async with opened(tmp_path) as outbox, Following(outbox).running() as site:
        await site.keep(said(1, 0, {OFFLINE: 3}))
        driven.seconds = QUIET_S + 1
        await site.becomes()
        await site.keep(said(2, QUIET_S + 2, {OFFLINE: 1}))
        await site.becomes(OFFLINE)


async def test_a_store_that_is_full_ends_it_later(tmp_path, driven):
    """When the end cannot be kept the fault stands on, and it is tried again."""
    async with opened(tmp_path) as outbox, Following(outbox).running() as site:
        await site.keep(said(1, 0, {OFFLINE: 3}))
        keep, tried = site.intake.keep, []

        async def refuse(*_args, **_more):
            tried.append(clock.steady())
            raise StoreUnavailable

        site.intake.keep = refuse
        driven.seconds = QUIET_S + 1
        with anyio.fail_after(5):
            while not tried:
                await anyio.sleep(0.005)
        assert {OFFLINE} == site.standing
        site.intake.keep = keep
        driven.seconds += 31
        await site.becomes()
        assert 1 == len(tried)


async def test_order_and_repetition_change_nothing(tmp_path, driven):
    """Any order of the same callbacks, with any of them repeated, ends with the same faults and the same tallies."""
    luck, ends = Random(7), set()
    story = [
        (
            number,
            number * 10.0,
            {luck.choice((OFFLINE, PURGED)): luck.choice((0, 0, 2, 5))},
            luck.choice("AB"),
        )
        for number in range(12)
    ]
    for attempt in range(12):
        luck = Random(attempt)
        told = [*story, *luck.sample(story, attempt % 6)]
        luck.shuffle(told)
        folder = tmp_path / str(attempt)
        folder.mkdir()
        async with opened(folder) as outbox, Following(outbox).running() as site:
            for number, at_s, values, camera in told:
                await site.intake.keep(said(number, at_s, values, camera), clock.now())
            await anyio.sleep(0.05)
            live = frozenset(fault.subject for fault in site.faults)
            again = Following(outbox)
            async with again.running():
                await anyio.sleep(0.02)
                assert live == {fault.subject for fault in again.faults}, "a start sees it in another way"
        sums = tuple((name, tuple(tallies(folder, f"camio-{name}").items())) for name in "ab")
        ends.add((live, sums))
    assert 1 == len(ends)


def test_every_counter_of_the_simulator_is_known():
    """The simulator and the source name the same counters, each from what the vendor says."""
    assert READ.keys() == COUNTERS.keys()
    assert {name: counter.wanted for name, counter in READ.items()} == {
        name: wanted for name, (wanted, _, _) in COUNTERS.items()
    }
