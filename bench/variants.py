"""The daemon with one thing done otherwise, to compare it with: ``python variants.py NAME CONFIG``.

Everything else is the product's: the listener, the body guard, the sinks, the loops. A variant replaces a name
of the product before it is built, because the product has no option for any of this and must not get one.

- answering: the receiver answers as soon as it has the body. No parsing, no storing.
- stock: the same, served by hypercorn as it comes. What the product's own listener saves shows here.
- single: a transaction holds one push.
- early: the push is parsed and handed to the writer as always, and answered at once. Not durable.
"""

import asyncio
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import hypercorn
import hypercorn.asyncio
from server import STORELESS

from gateway.daemon import device_port, run
from gateway.guard import Request
from gateway.outbox import writer
from gateway.receiver import Receiver
from gateway.source import Post, Reading, Reply, Source

_XML = Reply(200, b"", "text/xml")
_JSON = Reply(200, b'{"code":200,"msg":"success","message":"success","data":{}}', "application/json")


class Answering(Receiver):
    async def _push(self, request: Request, *_how: object) -> Reply:
        self.counters.posts += 1
        return _XML if request.body.startswith(b"<") else _JSON


class Early(Receiver):
    async def _keep(self, post: Post, source: Source, reading: Reading) -> Reply:
        # Run up to where it waits for its commit and no further: cheaper than any queue or task would be.
        waiting = self._intake.keep(
            reading.events,
            post.received_at,
            path=post.path,
            pictures=reading.pictures,
            caller=self._caller(post, reading),
        )
        waiting.send(None)
        waiting.close()
        for event in reading.events:
            self.senders.remember(source.name, post.address, event.device.id)
        return reading.reply or source.accepted(post)


class Stock:
    """hypercorn's own server behind the listener's interface."""

    refused: Mapping[str, int] = {}

    def __init__(self, app, sock: socket.socket) -> None:
        self._app = app
        self._sock = sock
        self._end = asyncio.Event()
        self._task: asyncio.Task | None = None

    async def start(self) -> None:
        config = hypercorn.Config()
        config.bind = [f"fd://{self._sock.fileno()}"]
        config.accesslog = None
        config.keep_alive_max_requests = 2**31
        serving = hypercorn.asyncio.serve(self._app, config, shutdown_trigger=self._end.wait, mode="asgi")
        self._task = asyncio.create_task(serving)

    async def stop(self, _grace_s: float) -> None:
        self._end.set()
        await self._task


def _listening(app, sock: socket.socket, **_how) -> Stock:
    return Stock(app, sock)


def _replace(place: object, name: str, value: object) -> None:
    if not hasattr(place, name):
        sys.exit(f"bench: {place} has no {name} any more; put variants.py right")
    setattr(place, name, value)


def main(name: str, config: Path) -> int:
    if name in STORELESS:
        _replace(Receiver, "_push", Answering._push)
    if name == "stock":
        _replace(device_port, "Listener", _listening)
    elif name == "early":
        _replace(Receiver, "_keep", Early._keep)
    elif name == "single":
        _replace(writer, "_MAX_BATCH", 1)
    elif name != "answering":
        sys.exit(f"bench: there is no variant {name}")
    return run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
