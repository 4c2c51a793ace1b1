"""Memory that is left in pieces is given back to the system."""

from types import SimpleNamespace

import anyio
import pytest

from gateway.daemon import heap
from gateway.daemon.heap import watch_heap
from gateway.monitoring.process import resident

pytestmark = pytest.mark.anyio
MIB = 2**20
PIECE = 60_000  # below what glibc maps for itself
SOME = 64 * MIB // PIECE


def leave_holes():
    """Free most of what was taken, but not its end, so that nothing of it goes back by itself."""
    taken = [bytearray(b"x" * PIECE) for _ in range(SOME)]
    return taken[::50] + taken[-1:]


async def test_holes_are_given_back_once_the_memory_has_grown(monkeypatch):
    """What is between two pieces goes back; before that it stays, which is what the watch is for."""
    monkeypatch.setattr(heap, "_ROUND_S", 0.2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_heap)
        await anyio.sleep(0.05)
        before = resident()
        kept = leave_holes()
        assert resident() - before > 48 * MIB, "the holes went back by themselves"
        with anyio.fail_after(10):
            while resident() - before > 24 * MIB:
                await anyio.sleep(0.05)
        assert kept
        tasks.cancel_scope.cancel()


async def test_what_is_in_use_is_not_asked_for_again(monkeypatch):
    """Memory that stays costs one attempt, not one in each round."""
    asked = []
    monkeypatch.setattr(heap, "_ROUND_S", 0.01)
    library = SimpleNamespace(mallopt=lambda *_: 1, malloc_trim=asked.append)
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: library)
    has = [10 * MIB]
    monkeypatch.setattr(heap, "resident", lambda: has[0])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_heap)
        for megabytes, tries in ((20, 0), (40, 1), (45, 1), (30, 1), (50, 2), (80, 3)):
            has[0] = megabytes * MIB
            await anyio.sleep(0.2)
            assert tries == len(asked), megabytes
        tasks.cancel_scope.cancel()


async def test_another_c_library_has_nothing_to_ask(monkeypatch):
    """Without the call the watch ends at once, and nothing is started again."""
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: SimpleNamespace())
    with anyio.fail_after(1):
        await watch_heap()
