"""Fill a store with waiting events, quickly: ``python fill.py STORE EVENTS``.

It goes through the gateway's own source and its `Outbox`, so that rows, ids, tallies and the device book are
what the daemon would have made; only the HTTP is left out.
"""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from bodies import first_base, workloads

from gateway.event import Event, event_id
from gateway.outbox import Drafting, Outbox, Settings
from gateway.source import Post
from gateway.sources import registry

_AT_ONCE = 2_000
_DEVICES = 100
_FIRST_DEVICE = 50_000  # no device of the generator has such a number


def event_from(workload: str, device: int) -> Event:
    """Read one push of a workload with the product's own source."""
    kind = workloads()[workload]
    body = kind.body(device=device, turn=0, base=first_base(), run=f"{device:08x}")
    post = Post(method="POST", path="/push", body=body, address="127.0.0.1", received_at=datetime.now(UTC))
    source = next(source for source in registry() if source.recognises(post))
    return source.parse(post).events[0]


def later(event: Event, turn: int) -> Event:
    """Give the device's event of another turn; its id is made as the source makes it."""
    moved = timedelta(minutes=turn)
    start, end = event.time + moved, (event.end or event.time) + moved
    data = {**event.data, "enters": turn % 10}
    order = int(start.timestamp())
    return replace(
        event,
        id=event_id(event.device.id, "count", "0", 0, "count", order, int(end.timestamp()), order=order),
        revision=event.revision + (60 * turn << 20),
        time=start,
        end=end,
        sent_at=(event.sent_at or event.time) + moved,
        data=data,
    )


def events(number: int) -> Iterator[Event]:
    first = [event_from("W1", _FIRST_DEVICE + device) for device in range(_DEVICES)]
    return (later(first[index % _DEVICES], index // _DEVICES) for index in range(number))


async def fill(store: Path, number: int) -> None:
    outbox = await Outbox.open(Settings(directory=store, drafting=Drafting(), max_bytes=200 * 2**30))
    writing = asyncio.create_task(outbox.run())
    coming = events(number)
    while batch := list(islice(coming, _AT_ONCE)):
        appended = await outbox.append(batch, datetime.now(UTC), "/push")
        assert appended.new == len(batch), appended
    await outbox.close()
    await writing
    outbox.release()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
