"""The daemon's own API on a unix socket. Who may open the socket may do everything here."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import GatewayError

T = TypeVar("T")

_TAIL_BUFFER = 200

Push = Callable[
    [], dict[str, object]
]  # describes a push; masking its secrets takes time, so it is called in a thread


class Daemon(Protocol):
    """What the running gateway lets a person see and do."""

    def status(self) -> dict[str, object]: ...
    def read(self, name: str, arguments: dict[str, str]) -> object: ...
    async def retry_letter(self, number: int) -> str: ...
    async def drop_letter(self, number: int) -> str: ...
    async def replay(self, sink: str, first: int, last: int) -> str: ...
    def try_sink(self, sink: str) -> str: ...
    async def erase(self, stated: Mapping[str, object]) -> dict[str, object]: ...
    async def adopt(self, wish: Mapping[str, object]) -> str: ...
    async def set_occupancy(self, wish: Mapping[str, object]) -> str: ...
    async def capture(self, wish: Mapping[str, object]) -> dict[str, object]: ...
    def watch(self, show: Callable[[Push], None]) -> Callable[[], None]: ...


def application(daemon: Daemon) -> Starlette:
    """Build the API."""

    async def status(_request: Request) -> Response:
        return JSONResponse(await to_thread.run_sync(daemon.status))

    async def read(request: Request) -> Response:
        name = request.path_params["name"]
        return await _told(to_thread.run_sync(daemon.read, name, dict(request.query_params)))

    async def letter(request: Request) -> Response:
        number, verb = request.path_params["number"], request.path_params["verb"]
        work = {"retry": daemon.retry_letter, "drop": daemon.drop_letter}.get(verb)
        if work is None:
            return _problem(404, f"Letters can be retried or dropped, not {verb[:20]!r}.")
        return await _told(work(number))

    async def replay(request: Request) -> Response:
        try:
            wish = await request.json()
            sink, first, last = str(wish["sink"]), int(wish["first"]), int(wish["last"])
        except (ValueError, KeyError, TypeError):
            return _problem(400, "A replay needs sink, first and last.")
        return await _told(daemon.replay(sink, first, last))

    async def try_sink(request: Request) -> Response:
        try:
            return JSONResponse({"done": daemon.try_sink(request.path_params["name"])})
        except GatewayError as error:
            return _problem(404, str(error))

    async def tail(_request: Request) -> Response:
        return StreamingResponse(_tail(daemon), media_type="application/x-ndjson")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/read/{name}", read),
            Route("/letters/{number:int}/{verb}", letter, methods=["POST"]),
            Route("/replay", replay, methods=["POST"]),
            Route("/erase", partial(_erase, daemon), methods=["POST"]),
            Route("/adopt", partial(_wished, daemon.adopt), methods=["POST"]),
            Route("/occupancy", partial(_wished, daemon.set_occupancy), methods=["POST"]),
            Route("/capture", partial(_wished, daemon.capture), methods=["POST"]),
            Route("/sinks/{name}/try", try_sink, methods=["POST"]),
            Route("/tail", tail),
        ]
    )


async def _erase(daemon: Daemon, request: Request) -> Response:
    try:
        stated = dict(await request.json())
    except (ValueError, TypeError):
        return _problem(400, "Say whom to erase, as a JSON object.")
    return await _told(daemon.erase(stated))


async def _wished(carry_out: Callable[[Mapping[str, object]], Awaitable[Any]], request: Request) -> Response:
    try:
        wish = dict(await request.json())
    except (ValueError, TypeError):
        return _problem(400, "Say what is wished, as a JSON object.")
    return await _told(carry_out(wish))


async def _told(work: Awaitable[Any]) -> Response:
    try:
        return JSONResponse({"done": await work})
    except GatewayError as error:
        return _problem(409, str(error))


def _problem(status: int, sentence: str) -> Response:
    return JSONResponse({"problem": sentence}, status_code=status)


async def _tail(daemon: Daemon) -> AsyncIterator[bytes]:
    """Stream pushes as they come; a reader that is too slow misses some and is told how many."""
    send, receive = anyio.create_memory_object_stream[Push](_TAIL_BUFFER)
    missed = 0

    def show(push: Push) -> None:
        nonlocal missed
        try:
            send.send_nowait(push)
        except anyio.WouldBlock:
            missed += 1

    unwatch = daemon.watch(show)
    try:
        yield b"\n"  # the head of the answer leaves at once, so that the reader knows it is connected
        while True:
            push = await to_thread.run_sync(await receive.receive())
            if missed:
                push, missed = push | {"missed_before": missed}, 0
            yield json.dumps(push, ensure_ascii=False).encode() + b"\n"
    finally:
        unwatch()
        send.close()
        receive.close()
