"""The watch over doors that were never heard of does nothing while nothing changes."""

import threading

import anyio
import pytest
from keeping import NOON, count, opened
from zoned import zone, zoned

from gateway.daemon import adoption, zones
from gateway.faults import Faults
from gateway.outbox.zoning import Zoning

pytestmark = pytest.mark.anyio


class Answers:
    """The zones that a daemon has."""

    zoning = Zoning((zone("counter-aa"),))


async def until(condition):
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.01)


async def test_doors_are_compared_beside_the_event_loop_and_only_after_a_change(tmp_path, monkeypatch):
    """Names are compared in a thread, again for a new device or other zones, and not every round."""
    monkeypatch.setattr(zones, "_DOORS_S", 0.01)
    threads, looks, faults, answers = [], [], Faults(), Answers()
    compare, look = zones.unheard_doors, zones._known

    def compared(*args):
        threads.append(threading.current_thread())
        return compare(*args)

    def looked(outbox):
        looks.append(1)
        return look(outbox)

    monkeypatch.setattr(zones, "unheard_doors", compared)
    monkeypatch.setattr(zones, "_known", looked)
    async with opened(tmp_path, **zoned(*answers.zoning.zones)) as outbox, anyio.create_task_group() as tasks:
        tasks.start_soon(zones.watch_doors, outbox, answers, faults)
        await until(lambda: list(faults))
        looks.clear()
        await until(lambda: len(looks) > 3)
        assert 1 == len(threads)
        assert threading.main_thread() not in threads
        await outbox.append([count(0, 1)], NOON)
        await until(lambda: "counter-a has" in next(iter(faults)).sentence)
        answers.zoning = Zoning((zone("counter-a"),))
        await until(lambda: not list(faults))
        assert 3 == len(threads)
        tasks.cancel_scope.cancel()


def test_a_person_is_told_what_was_dropped():
    """Who ignores an address reads how many events of which devices that cost."""
    assert "0 held events dropped." == adoption._dropped({})
    assert "3 held events dropped: 3 of counter-a." == adoption._dropped({"counter-a": 3})
    many = {f"counter-{number}": number for number in range(1, 6)}
    expected = "15 held events dropped: 5 of counter-5, 4 of counter-4, 3 of counter-3, 3 of 2 other devices."
    assert expected == adoption._dropped(many)
