"""One damaged character in the state of zones or polls costs that state, and never the gateway."""

import pytest
from keeping import NOON, alter, count, opened, rows
from moved_clock import hand_moved
from zoned import FOUR, people, row, zone, zoned

from gateway.daemon.zones import tell_damaged
from gateway.faults import Faults
from gateway.outbox import PollCursor, damage, polls

pytestmark = pytest.mark.anyio
DAMAGES = {
    "broken": "'{\"17x'",
    "control": "char(2)",
    "no text": "CAST(x'7bff' AS TEXT)",
    "other": "'[1]'",
    "empty": "''",
}
HALL = zoned(zone("counter-a", reset=FOUR))


@pytest.fixture
def hands():
    with hand_moved(NOON) as moved:
        yield moved


async def kept(directory):
    async with opened(directory, **HALL) as outbox:
        await outbox.append([count(0, 3)], NOON)
        await outbox.write(lambda conn: polls.save(conn, PollCursor("cloud", {"page": 4}), 1))


@pytest.mark.parametrize(
    "how", sorted(DAMAGES.keys() - {"no text"})
)  # that is found at the start, and leads to a rescue
async def test_a_damaged_zone_counts_on_and_is_told(tmp_path, hands, how):
    """What waited for the reset is gone, what could be read stays, and a person is told once."""
    await kept(tmp_path)
    alter(tmp_path, f"UPDATE zones SET ahead = {DAMAGES[how]}")
    async with opened(tmp_path, **HALL) as outbox:
        await outbox.append([count(1, 4)], NOON)
        faults = Faults()
        tell_damaged(outbox, faults)
        assert [("zone_damaged", "zone-hall")] == [(fault.code, fault.subject) for fault in faults]
        assert set() == outbox.zones.take_damaged()
    assert (7, {}) == (people(tmp_path), row(tmp_path).ahead)


@pytest.mark.parametrize("how", DAMAGES)
async def test_a_damaged_plan_begins_anew_and_is_told(tmp_path, hands, how):
    """How zones counted is taken from the configuration again, so that a correction still takes back what counted."""
    await kept(tmp_path)
    alter(tmp_path, f"UPDATE meta SET value = {DAMAGES[how]} WHERE key = 'zoning'")
    async with opened(tmp_path, **HALL) as outbox:
        await outbox.append([count(0, 5, revision=1)], NOON)
        assert {""} == outbox.zones.take_damaged()
    assert 5 == people(tmp_path)
    async with opened(tmp_path, **HALL) as outbox:
        await outbox.append([count(1, 1)], NOON)
        assert set() == outbox.zones.take_damaged()


@pytest.mark.parametrize("how", DAMAGES)
async def test_a_damaged_place_of_a_poll_begins_anew(tmp_path, hands, how):
    """A poll whose place cannot be read asks from the beginning; what it had is recognised by its id."""
    await kept(tmp_path)
    alter(tmp_path, f"UPDATE polls SET cursor = {DAMAGES[how]}")
    async with opened(tmp_path, **HALL) as outbox:
        assert {} == await outbox.write(lambda conn: polls.load(conn, "cloud"))


async def test_a_rescue_takes_none_of_it_over(tmp_path, hands):
    """A rescue believes no state of zones and polls that cannot be read, and goes on with all the rest."""
    await kept(tmp_path)
    broken = DAMAGES["broken"]
    alter(tmp_path, f"UPDATE zones SET ahead = {broken}")
    alter(tmp_path, f"UPDATE polls SET cursor = {broken}")
    alter(tmp_path, f"UPDATE meta SET value = {broken} WHERE key = 'zoning'")
    damage.mark(tmp_path, "found damaged")
    async with opened(tmp_path) as outbox:
        assert 1 == outbox.salvaged.events
    assert [] == rows(tmp_path, "SELECT * FROM zones") + rows(tmp_path, "SELECT * FROM polls")
