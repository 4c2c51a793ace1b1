"""Memory that is left in pieces is given back to the system."""

import subprocess
import sys
from types import SimpleNamespace

import anyio
import pytest

from gateway.daemon import heap
from gateway.daemon.heap import watch_heap

MIB = 2**20
# In a process of its own: the memory of this one has holes already, and new pieces would go into those.
IN_PIECES = """
import anyio
from gateway.daemon import heap
from gateway.monitoring.process import resident

async def main():
    heap._ROUND_S = 0.5
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heap.watch_heap)
        await anyio.sleep(0.1)
        before = resident()
        taken = [bytearray(b"x" * 60_000) for _ in range(1_118)]  # 64 MiB, in pieces that glibc does not map
        kept = taken[::50] + taken[-1:]  # not the end: nothing goes back by itself
        del taken
        print(resident() - before, flush=True)
        with anyio.fail_after(20):
            while resident() - before > 24 * 2**20:
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()

anyio.run(main)
"""


def test_holes_are_given_back_once_the_memory_has_grown():
    """What is between two pieces goes back; before that it stays, which is what the watch is for."""
    done = subprocess.run([sys.executable, "-c", IN_PIECES], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert int(done.stdout.split()[0]) > 48 * MIB, "the holes went back by themselves"


@pytest.mark.anyio
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
        for megabytes, tries in ((11, 0), (40, 1), (41, 1), (30, 1), (50, 2), (80, 3)):
            has[0] = megabytes * MIB
            with anyio.move_on_after(5):
                while len(asked) < tries:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.1)
            assert tries == len(asked), megabytes
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_another_c_library_has_nothing_to_ask(monkeypatch):
    """Without the call the watch ends at once, and nothing is started again."""
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: SimpleNamespace())
    with anyio.fail_after(1):
        await watch_heap()
