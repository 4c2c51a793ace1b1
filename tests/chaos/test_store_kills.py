"""Kills of the store alone: what was acknowledged is there, and everything that belongs together is together."""

import signal
import time

import pytest
from keeping import NOON, account, opened, rows
from killing import chance
from store_child import event_of
from store_life import answered, child, lost

pytestmark = pytest.mark.anyio
EVENTS = 150


async def test_kill_of_the_store_alone(tmp_path, experiment, scale):
    """A process that is killed in the middle of its work keeps everything it answered for."""
    luck, kills = chance(7), scale.pick(4, 100)
    while experiment.faults.total() < kills:
        directory = tmp_path / f"turn{luck.getrandbits(60)}"
        directory.mkdir()
        process = child(directory, EVENTS)
        ack, enough = directory / "ack", 16 * luck.randrange(1, EVENTS)
        deadline = time.monotonic() + 300
        while process.poll() is None and not (ack.exists() and ack.stat().st_size >= enough):
            assert time.monotonic() < deadline, "the process does not get on"
            time.sleep(luck.random() / 100)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            experiment.hit("kill -9")
        acknowledged = answered(directory)
        experiment.owe(len(acknowledged))
        experiment.found(missing=len(lost(directory, acknowledged, EVENTS)))
        await goes_on(directory)
    experiment.demand(obligations=20 * kills, faults=kills, doubled=None)  # the store alone: no far end


async def goes_on(directory) -> None:
    """The store opens at once, without a rescue, recognises everything it had, and takes what is new."""
    async with opened(directory) as outbox:
        assert outbox.salvaged is None
        head = outbox.head
        in_log = {row[0] for row in rows(directory, "SELECT id FROM events WHERE revision = 0")}
        again = [event_of(number) for number in range(EVENTS) if event_of(number).id in in_log]
        if again:
            assert len(again) == (await outbox.append(again, NOON)).duplicates
        assert head == outbox.head
        assert head + 1 == (await outbox.append([event_of(EVENTS + 1)], NOON)).first_seq
        _, waiting, counted = account(directory, "sink")
        assert waiting == counted
