"""A process that keeps events with the real store: ``python store_child.py DIRECTORY EVENTS [SYNC]``.

It ends when it is done, or killed. After each answer of the store it writes two numbers of eight bytes to the
file ``ack``, that of the event and that in the log: that is where a reply would leave. ``SYNC`` (OFF, NORMAL)
opens the store with fewer syncs, which the product cannot be told to do.
"""

import asyncio
import os
import struct
import sys
from pathlib import Path

from keeping import NOON, Running, count, counter

from gateway.outbox import connection, retention

DEVICES = 4


def event_of(number: int, *, revision: int = 0):
    device = counter(f"counter-{number % DEVICES}")
    return count(number, 1 + revision, revision=revision, device=device, pad="x" * (number * 37 % 5_000))


async def main(directory: Path, events: int) -> None:
    acknowledged = os.open(directory / "ack", os.O_WRONLY | os.O_CREAT, 0o600)
    running = await Running.start(directory)
    outbox = running.outbox
    position = await outbox.sinks.enlist("sink", start="oldest", window=20)
    numbers = iter(range(events))

    def answer(seq: int, number: int) -> None:
        os.write(acknowledged, struct.pack("<QQ", number, seq))

    async def device() -> None:
        for number in numbers:
            answer((await outbox.append([event_of(number)], NOON)).first_seq, number)
            if number % 5 == 0:  # a correction is a promise of its own
                appended = await outbox.append([event_of(number, revision=1)], NOON)
                answer(appended.first_seq, number + events)
            if number % 7 == 0:
                await outbox.keep_letter(
                    stage="parse",
                    sender=f"s{number % 3}",
                    reason="",
                    received_at=NOON,
                    head={},
                    body=b"x" * 999,
                )

    async def forward() -> None:
        while True:
            await asyncio.sleep(0.003)
            taken = outbox.recent(position.cursor, 20) or ()
            if not taken:
                continue
            position.settle(entry.device for entry in taken)
            position.cursor = taken[-1].seq
            if position.cursor % 3:
                outbox.sinks.settle(position)
            else:
                await outbox.sinks.settle_now(position)
            if position.cursor % 4 == 0:
                await outbox.rewriting.remove(
                    lambda conn, kept: retention.remove_settled(
                        conn, settled_up_to=kept.settled_up_to, limit=15
                    )
                )

    forwarding = asyncio.create_task(forward())
    await asyncio.gather(*(device() for _ in range(3)))
    forwarding.cancel()
    await running.stop()


if __name__ == "__main__":
    _, place, number, *how = sys.argv
    real = connection.open_writer

    def open_writer(path, **rest):
        conn = real(path, **rest)
        # Many checkpoints in a short life. With NORMAL each of them is a sync, the only one: a busy machine puts so much
        # into one commit that hardly an answer would stand between two of them.
        conn.execute(f"PRAGMA wal_autocheckpoint={160 if how == ['NORMAL'] else 40}")
        if how:
            conn.execute(f"PRAGMA synchronous={how[0]}")
        return conn

    connection.open_writer = open_writer
    asyncio.run(main(Path(place), int(number)))
