"""However the pushes of a counter come, doubled, in any order and in any pieces, all sums are the same."""

import asyncio
import random
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeping import opened, rows
from moved_clock import hand_moved
from zoned import row, told, zone, zoned

from gateway.event import tallies
from gateway.outbox import occupancy
from gateway.outbox.connection import open_reader
from gateway.simulate.count_xml import DIALECTS, CountXml, Identity, ObjectCounts, Window
from gateway.source import Post
from gateway.sources.people_counter import PeopleCounter

TZ = ZoneInfo("Europe/Lisbon")
MIDNIGHT = int(datetime(2026, 10, 25, tzinfo=TZ).timestamp())  # the clocks are set back in this night
RESET = time(4, 0)
DEVICE = "counter-200000000000000001"
SOURCE = PeopleCounter()
people = st.integers(0, 9)


@dataclass(frozen=True)
class Said:
    """One statement about one window of one counted object."""

    dialect: str
    object: str
    view: str
    start: int
    length: int
    sent: int
    enters: int
    exits: int

    @property
    def key(self):
        return self.object, self.view, self.start, self.length


@st.composite
def days(draw):
    """Draw what counters of one dialect say about some minutes around midnight, change of clocks and reset."""
    dialect, length = draw(
        st.sampled_from(
            [("v1.0", 60), ("v1.0 live", 60), ("hx-v2.1 live", 1), ("brickstream-v4", 60), ("v1.0", 900)]
        )
    )
    views = ("total", "child") if dialect.startswith("v1.0") else ("total",)
    said = []
    # Hours since midnight, of which one comes twice by the clock; minutes; objects.
    places = st.tuples(st.sampled_from([-1, 0, 1, 2, 4, 5, 6]), st.integers(0, 3), st.sampled_from("01"))
    for hour, minute, part in draw(st.lists(places, min_size=1, max_size=8, unique=True)):
        start = MIDNIGHT + hour * 3600 + minute * max(length, 60)
        enters = exits = 0
        for statement in range(draw(st.integers(1, 3))):
            enters += draw(people)
            exits += draw(people)
            sent = start + length + statement * 40 + 7
            said += [Said(dialect, part, view, start, length, sent, enters, exits) for view in views]
    return said


def xml(dialect, said):
    """Write one push; all of it was sent at one time."""
    name, _, live = dialect.partition(" ")
    writer = CountXml(Identity(serial="200000000000000001", zone=TZ), DIALECTS[name])
    objects = []
    for one in said:
        counts = {"enters": one.enters, "exits": one.exits, "passings": 0, "returns": 0}
        window = Window(one.start, one.start + one.length, counts)
        objects.append(ObjectCounts(one.object, f"line {one.object}", one.view, [window]))
    root = DIALECTS[name].live_root if live else "Metrics"
    return writer.counts(root, 0 if live and DIALECTS[name].seconds else 1, said[0].sent, objects)


def pushes(said, rng=None):
    """Put statements that were sent at one time into one push; with ``rng`` split, doubled and shuffled."""
    by_time = {}
    for one in said:
        by_time.setdefault(one.sent, []).append(one)
    bodies = []
    for sent in sorted(by_time):
        group = by_time[sent]
        cut = rng.randrange(len(group) + 1) if rng else 0
        bodies += [xml(part[0].dialect, part) for part in (group[:cut], group[cut:]) if part]
    if rng:
        bodies += rng.choices(bodies, k=rng.randrange(len(bodies) + 1))
        rng.shuffle(bodies)
    return bodies


def newest(said):
    """Give the statement of each window that was sent last; sent at one time, the one with more people."""
    best = {}
    for one in sorted(said, key=lambda one: (one.sent, one.enters + one.exits)):
        best[one.key] = one
    return best.values()


async def _keep(directory, bodies, received, zones):
    async with opened(directory, **zoned(*zones, tz=TZ)) as outbox:
        for body in bodies:
            post = Post(
                method="POST", path="/", body=body, address="192.0.2.1", received_at=received, zone=TZ
            )
            await outbox.append(SOURCE.parse(post).events, received)


def sums(bodies, zones):
    """Give everything that a store says after these pushes."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        asyncio.run(
            _keep(directory, bodies, datetime.fromtimestamp(MIDNIGHT, UTC) + timedelta(days=2), zones)
        )
        assert all(one["occupancy"] == max(one["occupancy_raw"], 0) for one in told(directory))
        with closing(open_reader(directory / "gateway.db")) as conn:
            state = {
                name: (row.base, row.enters, row.exits, row.ahead)
                for name, row in occupancy.load(conn).items()
            }
        assert all(row(directory, name).shown == max(row(directory, name).raw, 0) for name in state)
        days = rows(directory, "SELECT device, day, measure, amount FROM tallies")
        lives = rows(directory, "SELECT device, measure, amount FROM lifetimes")
        assert [] == rows(directory, "SELECT * FROM lifetimes WHERE high < amount")
        minutes = rows(directory, "SELECT * FROM coverage ORDER BY device, hour")
        return {tuple(key): amount for *key, amount in days}, sorted(lives), state, minutes


def expected(said, zones, since):
    """Sum the newest statement of each window, as a person with a ledger would."""
    days, state = Counter(), {zone.id: [zone.reset_to, 0, 0, {}] for zone in zones}
    for one in newest(said):
        day = datetime.fromtimestamp(one.start, TZ).date().isoformat()
        moved = {"view": one.view, "enters": one.enters, "exits": one.exits, "passings": 0, "returns": 0}
        owners = [(DEVICE, False)]
        owners += [
            (zone.id, door.out) for zone in zones for door in zone.doors if door.object in (None, one.object)
        ]
        for owner, out in owners:
            turned = moved if not out else moved | {"enters": one.exits, "exits": one.enters}
            for measure, amount in tallies("count", turned):
                days[owner, day, measure] += amount
            if owner != DEVICE and one.view == "total" and one.start >= since:
                state[owner][1] += turned["enters"]
                state[owner][2] += turned["exits"]
    return dict(days), {name: tuple(row) for name, row in state.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(days(), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_sums(said, rng):
    """Days, lifetimes, zones and minutes are those of the ledger, and the same for every way that pushes can come."""
    zones = [
        zone(DEVICE, reset=RESET, reset_to=3, capacity=20, room_at=15),
        zone(name_of="zone-back", out=[f"{DEVICE}/1"]),
    ]
    now = MIDNIGHT + 6 * 3600  # 05:00, behind the reset
    with hand_moved(datetime.fromtimestamp(now, UTC)):
        plain, mixed = sums(pushes(said), zones), sums(pushes(said, rng), zones)
    assert plain == mixed
    days, _ = expected(said, zones, 0)
    assert days == plain[0]
    lives = Counter()
    for (owner, _, measure), amount in days.items():
        lives[owner, measure] += amount
    assert sorted((*key, amount) for key, amount in lives.items()) == plain[1]
    reset = int(datetime(2026, 10, 25, 4, tzinfo=TZ).timestamp())
    _, hall = expected(said, zones[:1], reset)
    _, back = expected(said, zones[1:], 0)
    assert {"zone-hall": hall["zone-hall"], "zone-back": back["zone-back"]} == plain[2]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(days(), st.randoms(use_true_random=False), st.integers(0, 12))
def test_a_reset_in_the_middle_gives_the_same_people(said, rng, before):
    """Whatever came before the reset, ahead of it or late behind it, the zone holds the windows since."""
    hall = zone(DEVICE, reset=RESET)
    reset = datetime(2026, 10, 25, 4, tzinfo=TZ).astimezone(UTC)
    bodies = pushes(said, rng)

    async def live(directory, hands):
        async with opened(directory, **zoned(hall, tz=TZ)) as outbox:
            for at, body in enumerate(bodies):
                if at == min(before, len(bodies) - 1):
                    hands.instant = reset + timedelta(minutes=1)
                    await outbox.zones.look()
                post = Post(
                    method="POST", path="/", body=body, address="192.0.2.1", received_at=hands.now(), zone=TZ
                )
                await outbox.append(SOURCE.parse(post).events, hands.now())

    with tempfile.TemporaryDirectory() as place, hand_moved(reset - timedelta(hours=1)) as hands:
        asyncio.run(live(Path(place), hands))
        found = row(Path(place))
    _, state = expected(said, [hall], reset.timestamp())
    assert state["zone-hall"][1:3] == (found.enters, found.exits)
    assert ({}, 0) == (found.ahead, found.base)


def test_the_ledger_of_this_test_is_not_empty():
    """The comparison above compares something: ten people in two windows are ten people."""
    said = [Said("v1.0", "0", "total", MIDNIGHT + at * 60, 60, MIDNIGHT + 600, 5, 1) for at in (0, 1)]
    rng = random.Random(1)
    with hand_moved(datetime.fromtimestamp(MIDNIGHT + 3600, UTC)):
        days, *_ = sums(pushes(said, rng), [zone(DEVICE)])
    assert 10 == days[DEVICE, "2026-10-25", "enters"] == days["zone-hall", "2026-10-25", "enters"]
