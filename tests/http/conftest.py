"""A real listener on a real port."""

import logging
from contextlib import asynccontextmanager

import pytest
from rawclient import Client

from gateway.guard import BodyGuard, BodyLimits, Request, Response
from gateway.listener import Limits, Listener, bind


class Front:
    """A running listener, what it refused, and what its application saw."""

    def __init__(self, listener: Listener, where) -> None:
        self.listener = listener
        self.where = where
        self.told: list[tuple[str, str]] = []
        self.seen: list[Request] = []
        self.clients: list[Client] = []

    async def client(self, **kwargs) -> Client:
        client = await Client.to(self.where, **kwargs)
        self.clients.append(client)
        return client


@asynccontextmanager
async def _listening(app, *, sock=None, limits: Limits | None = None, stop_after_s: float = 1.0, **kwargs):
    sock = sock or bind("127.0.0.1", 0)
    name = sock.getsockname()
    front: Front
    listener = Listener(
        app,
        sock,
        limits=limits or Limits(),
        on_refused=lambda address, reason: front.told.append((address, reason)),
        server_log=logging.getLogger("test.http"),
        **kwargs,
    )
    front = Front(listener, name if isinstance(name, str) else name[1])
    await listener.start()
    try:
        yield front
    finally:
        for client in front.clients:
            await client.close()
        await listener.stop(stop_after_s)


@pytest.fixture
def listening():
    """Run a listener around an ASGI application."""
    return _listening


@pytest.fixture
def guarded():
    """Run a listener around the body guard; the handler answers 200 unless told otherwise."""

    @asynccontextmanager
    async def run(handler=None, *, body: BodyLimits | None = None, **kwargs):
        async def note(request: Request) -> Response | None:
            front.seen.append(request)
            return Response(200, b"seen") if handler is None else await handler(request)

        refused: list[tuple[str, str]] = []
        guard = BodyGuard(
            note, body or BodyLimits(), lambda address, reason: refused.append((address, reason))
        )
        async with _listening(guard, **kwargs) as front:
            front.guard = guard
            front.refused = refused
            yield front

    return run
