"""Pages of devices that a rescue has made anew still know how far back facts may have left the log."""

import pytest
from file_pages import PAGE, damage
from keeping import MINUTE, NOON, count, opened, rows, tallies

from gateway.outbox import retention
from gateway.outbox.connection import FILE_NAME

pytestmark = pytest.mark.anyio


async def filled(directory, minutes):
    async with opened(directory) as outbox:
        for minute in minutes:
            await outbox.append([count(minute)], NOON + (minute + 1) * MINUTE)


def lose_the_book(directory):
    (root,) = rows(directory, "SELECT rootpage FROM sqlite_master WHERE name = 'devices'")[0]
    damage(directory / FILE_NAME, (root - 1) * PAGE, bytes(200))


async def resent(directory, event):
    """Give what the days say of the event's device after it came once more, very late."""
    async with opened(directory) as outbox:
        assert outbox.salvaged.book_lost
        await outbox.append([event], NOON + 60 * MINUTE)
    return sum(tallies(directory, event.device.id).values())


async def test_what_had_left_the_log_does_not_count_again(tmp_path):
    """A fact that retention has removed, and that its device sends again after a rescue, is in its day once."""
    await filled(tmp_path, range(10))
    async with opened(tmp_path) as outbox:
        await outbox.rewriting.remove(lambda conn, _: retention.remove_settled(conn, settled_up_to=3))
    lose_the_book(tmp_path)
    assert 10 == await resent(tmp_path, count(1))
    assert [(NOON + 4 * MINUTE).timestamp() * 1000] == [
        row[0] for row in rows(tmp_path, "SELECT pruned FROM devices")
    ]


async def test_what_is_new_counts(tmp_path):
    """A fact that happened since the oldest entry counts, however late it comes."""
    await filled(tmp_path, [0, 1, 2, 4, 5])
    async with opened(tmp_path) as outbox:
        await outbox.rewriting.remove(lambda conn, _: retention.remove_settled(conn, settled_up_to=1))
    lose_the_book(tmp_path)
    assert 6 == await resent(tmp_path, count(3))


async def test_where_nothing_has_left_the_log_all_counts(tmp_path):
    """A log that still has its first entry was never cut: what happened before that is new."""
    await filled(tmp_path, range(5))
    lose_the_book(tmp_path)
    assert 6 == await resent(tmp_path, count(-30))
