"""What waits for who reads along with `gateway tail`: it is bounded in bytes, and what does not fit is told as missed."""

import json
from types import SimpleNamespace

import pytest

from gateway import clock
from gateway.control import server
from gateway.daemon.requests import Requests
from gateway.receiver import Watched
from gateway.source import Post, Reading

pytestmark = pytest.mark.anyio

MIB = 2**20


class Pushing:
    """A daemon of which only the pushes are seen."""

    def __init__(self) -> None:
        self._receiver = SimpleNamespace(watchers=[])

    def watch(self, show):
        return Requests.watch(self, show)

    def push(self, size: int, events: int = 0) -> None:
        """One of this size comes in."""
        post = Post(
            method="POST", path="/x", body=b"a " * (size // 2), address="192.0.2.7", received_at=clock.now()
        )
        reading = Reading(tuple(EVENT for _ in range(events)))
        for watcher in self._receiver.watchers:
            watcher(Watched(post, "face_terminal", "kept", reading))


EVENT = SimpleNamespace(
    id="a:1", revision=1, kind="access", device=SimpleNamespace(id="a"), time=clock.now(), data={}
)


async def opened(daemon):
    """Begin to read along."""
    reader = server._tail(daemon)
    assert b"\n" == await anext(reader)
    return reader


@pytest.mark.parametrize(("size", "events", "fit"), [(2 * MIB, 0, 4), (100, 1_000, 2), (100, 0, 200)])
async def test_what_waits_is_bounded_and_the_rest_is_told_as_missed(size, events, fit):
    """Whatever is pushed while nobody reads, so many of them wait, and the reader is told how many do not."""
    daemon = Pushing()
    reader = await opened(daemon)
    for _ in range(300):
        daemon.push(size, events)
    lines = [json.loads(await anext(reader)) for _ in range(fit)]
    assert [300 - fit, *[None] * (fit - 1)] == [line.get("missed_before") for line in lines]
    daemon.push(size, events)
    assert "missed_before" not in json.loads(await anext(reader))
    await reader.aclose()


async def test_a_push_above_the_bound_is_shown_when_it_is_alone():
    """The largest push is seen, if nothing else waits."""
    daemon = Pushing()
    reader = await opened(daemon)
    daemon.push(server._TAIL_BYTES + MIB)
    daemon.push(2)
    line = json.loads(await anext(reader))
    assert (20_000, 1) == (len(line["raw"]), line["missed_before"])
    daemon.push(2)
    assert "missed_before" not in json.loads(await anext(reader))
    await reader.aclose()
    assert [] == daemon._receiver.watchers
