"""The whole life of events in a process of its own: ``python one_life.py STORE WORKLOAD EVENTS PER_COMMIT``.

Inserted so many to a commit, delivered by two real forwarders to sinks that take everything at once, and
removed by the real housekeeper when all are settled, as a month later. Prints what the process wrote.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fill import event_from, later
from measure import written

from gateway.event import Event, event_id
from gateway.faults import Faults
from gateway.forwarder import Forwarder, Pacing, Rendering
from gateway.outbox import Drafting, Entry, Housekeeper, Outbox, Settings
from gateway.retry import Backoff
from gateway.sink import Outgoing

_DEVICES = 16


class Taking:
    """A sink whose far end takes everything at once."""

    window = 500
    connected = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.taken = 0
        self.payload_bytes = 0

    def describe(self) -> Mapping[str, object]:
        return {}

    async def open(self) -> None:
        return

    async def send(self, batch: Sequence[Outgoing]) -> Mapping[int, str]:
        self.taken += len(batch)
        self.payload_bytes += sum(len(event.payload) for event in batch)
        return {}

    async def close(self) -> None:
        return


async def live(store: Path, workload: str, number: int, per_commit: int) -> dict[str, float]:
    outbox = await Outbox.open(Settings(directory=store, drafting=Drafting(), keep_days=0, min_free_bytes=0))
    writing = asyncio.create_task(outbox.run())
    sinks = [Taking("one"), Taking("two")]
    forwarders = [_forwarder(sink, outbox) for sink in sinks]
    tasks = [asyncio.create_task(forwarder.run()) for forwarder in forwarders]
    await asyncio.sleep(0.5)
    commits = outbox.commits
    pushes = _pushes(workload, number)
    for _ in range(number // per_commit):
        now = datetime.now(UTC)
        await asyncio.gather(*(outbox.append([next(pushes)], now, "/push") for _ in range(per_commit)))
    commits = outbox.commits - commits
    while any(sink.taken < number for sink in sinks) or not all(
        outbox.sinks.is_settled(sink.name) for sink in sinks
    ):
        await asyncio.sleep(0.05)
    row_bytes = sum(_size(entry) for entry in outbox.recent(outbox.head - 1000, 1000) or ()) / 1000
    inserted = written()
    await Housekeeper(outbox).tidy()
    for forwarder in forwarders:
        forwarder.stop(1)
    await asyncio.gather(*tasks)
    left = await outbox.write(lambda conn: conn.execute("SELECT count(*) FROM events").fetchone()[0])
    await outbox.close()
    await writing
    outbox.release()
    os.sync()
    assert left == 0, f"{left} events were not removed"
    return {
        "rows_per_commit": number / commits,
        "row_bytes": row_bytes,
        "payload_bytes": sinks[0].payload_bytes / number,
        "inserted": inserted / number,
        "written": written() / number,
    }


def _forwarder(sink: Taking, outbox: Outbox) -> Forwarder:
    rendering = Rendering(
        gateway_id="bench",
        sink=sink.name,
        pseudonym_key=b"k" * 32,
        personal=frozenset(),
        late_after_ms=300_000,
    )
    pacing = Pacing(live_first=False, rate_per_s=0, backoff=Backoff())
    return Forwarder(sink, outbox, rendering, pacing, Faults(), random.Random(1))


def _pushes(workload: str, number: int) -> Iterator[Event]:
    first = [event_from(workload, device) for device in range(_DEVICES)]
    for index in range(number):
        event, turn = first[index % _DEVICES], index // _DEVICES
        yield later(event, turn) if workload == "W1" else _another(event, turn)


def _another(event: Event, turn: int) -> Event:
    """Give the terminal's next record; its uuid says nothing about the order, as on the device."""
    uuid = f"{random.getrandbits(32):08x}-0000-4000-8000-{turn:012x}"
    return replace(
        event,
        id=event_id(event.device.id, "access", uuid),
        time=event.time + timedelta(seconds=turn),
        data={**event.data, "uuid": uuid},
    )


def _size(entry: Entry) -> int:
    """Count the content of a row: its texts, and eight bytes for each number."""
    texts = (entry.id, entry.kind, entry.device, entry.body, entry.personal or "")
    return sum(len(text.encode()) for text in texts) + 6 * 8


if __name__ == "__main__":
    _, store_path, kind, count, size = sys.argv
    print(json.dumps(asyncio.run(live(Path(store_path), kind, int(count), int(size)))))
