"""What `[zones.NAME]` and `[site]` may say, and the zones that are made of it."""

from datetime import time

import pytest

from gateway.config import InvalidConfigError, loads
from gateway.daemon.zones import zoning
from gateway.outbox.zoning import Door

SITE = '[site]\nzone = "Europe/Lisbon"\n'


def mistakes(text):
    with pytest.raises(InvalidConfigError) as raised:
        loads(text)
    return [(mistake.key, mistake.problem) for mistake in raised.value.mistakes]


def test_zones_are_made_of_the_configuration():
    """Doors, directions, objects, the reset and the capacity are taken over; the site is a zone when it has doors."""
    text = """[site]
zone = "Europe/Lisbon"
name = "Pier"
doors = ["counter-1"]
[zones.hall]
name = "Hall"
doors = ["counter-2/a b", "lobby"]
doors_out = ["counter-3"]
reset = "4:05"
reset_to = 3
capacity = 200
[devices.lobby]
id = "counter-9"
"""
    made = zoning(loads(text)).by_id
    assert {"site", "zone-hall"} == made.keys()
    assert ("Pier", (Door("counter-1"),), None) == (made["site"].name, made["site"].doors, made["site"].reset)
    hall = made["zone-hall"]
    assert (Door("counter-2", "a b"), Door("counter-9"), Door("counter-3", None, True)) == hall.doors
    assert (time(4, 5), 3, 200, 190) == (hall.reset, hall.reset_to, hall.capacity, hall.room_at)


def test_without_options_there_is_no_zone():
    """A site without doors has no totals of its own, and no zone is there that nobody asked for."""
    assert () == zoning(loads(SITE)).zones


@pytest.mark.parametrize(("capacity", "room_at"), [(1, 0), (2, 1), (10, 9), (100, 95), (1000, 950)])
def test_room_again_is_below_full(capacity, room_at):
    """Without an option of its own a full zone has room again at 95 percent, and always below its capacity."""
    made = zoning(loads(f"[zones.hall]\ncapacity = {capacity}\n"))
    assert room_at == made.by_id["zone-hall"].room_at


def test_a_time_of_toml_is_a_time_of_day():
    """TOML has times without quotes."""
    assert "04:00" == loads(SITE + "[zones.hall]\nreset = 04:00:00\n").zones["hall"].reset


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('[zones.hall]\nreset = "25:00"\n', "zones.hall.reset", "not a time of day"),
        ("[zones.hall]\nreset = 4\n", "zones.hall.reset", ""),
        ('[zones.hall]\nreset = "04:00"\n', "zones.hall.reset", "site.zone does not say where"),
        ('[zones.hall]\ndoors = ["Counter 1"]\n', "zones.hall.doors[1]", "is not a door"),
        ('[zones.hall]\ndoors = ["a/"]\n', "zones.hall.doors[1]", "is not a door"),
        ('[zones.hall]\ndoors = ["a"]\ndoors_out = ["a"]\n', "zones.hall.doors", "leads out as well"),
        ('[zones.hall]\ndoors = ["a", "a"]\n', "zones.hall.doors", "twice"),
        ('[zones.hall]\ndoors = ["a", "a/1"]\n', "zones.hall.doors", "counts everything"),
        ("[zones.hall]\ncapacity = 0\n", "zones.hall.capacity", ""),
        ("[zones.hall]\nreset_to = -1\n", "zones.hall.reset_to", ""),
        ("[zones.hall]\ncapacity_clear = 4\n", "zones.hall.capacity_clear", "of no use without capacity"),
        ("[zones.hall]\ncapacity = 4\ncapacity_clear = 4\n", "zones.hall.capacity_clear", "not less than"),
        ('[zones.site]\ndoors = ["a"]\n', "zones.site", "the site itself"),
        ('[zones."Big Hall"]\n', "", ""),
    ],
)
def test_a_mistake_is_named(text, key, said):
    """What cannot be meant is refused with its place and a sentence."""
    found = mistakes(text)
    assert any(key in str(where) and said in problem for where, problem in found), found
