"""The daemon's own API on a unix socket. Who may open the socket may do everything here."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, cast

import anyio
import structlog
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.control.description import READS, description
from gateway.control.wishes import Unfit, number_of, wish_of
from gateway.errors import GatewayError

log = structlog.get_logger()

_TAIL_BUFFER = 200
_TAIL_BYTES = 8 * 2**20  # of pushes that wait for one reader; masking them takes longer than sending them

Push = Callable[
    [], dict[str, object]
]  # describes a push; masking its secrets takes time, so it is called in a thread


Carry = Callable[[Mapping[str, object]], Awaitable[Any]]


class Daemon(Protocol):
    """What the running gateway lets a person see and do."""

    def status(self) -> dict[str, object]: ...
    def read(self, name: str, arguments: dict[str, str]) -> object: ...
    async def retry_letter(self, number: int) -> str: ...
    async def drop_letter(self, number: int) -> str: ...
    async def replay(self, sink: str, first: int, last: int) -> str: ...
    def try_sink(self, sink: str) -> str: ...
    async def erase(self, stated: Mapping[str, object]) -> dict[str, object]: ...
    async def reload(self) -> dict[str, object]: ...
    async def adopt(self, wish: Mapping[str, object]) -> str: ...
    async def set_occupancy(self, wish: Mapping[str, object]) -> str: ...
    async def capture(self, wish: Mapping[str, object]) -> dict[str, object]: ...
    def watch(self, show: Callable[[Push, int], None]) -> Callable[[], None]: ...


def application(daemon: Daemon) -> Starlette:
    """Build the API."""

    async def status(_request: Request) -> Response:
        return await _answered(to_thread.run_sync(daemon.status))

    async def described(_request: Request) -> Response:
        return JSONResponse(description())

    async def read(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in READS:
            return _problem(404, f"There is nothing called {name[:40]!r} to read.")
        return await _told(to_thread.run_sync(daemon.read, name, dict(request.query_params)))

    async def replay(request: Request) -> Response:
        return await _told(_replayed(daemon, request))

    async def try_sink(request: Request) -> Response:
        try:
            return JSONResponse({"done": daemon.try_sink(request.path_params["name"])})
        except GatewayError as error:
            return _problem(404, str(error))

    async def reload(_request: Request) -> Response:
        return await _told(daemon.reload())

    async def tail(_request: Request) -> Response:
        return StreamingResponse(_tail(daemon), media_type="application/x-ndjson")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/openapi.json", described),
            Route("/read/{name}", read),
            Route("/letters/{number}/{verb}", partial(_letter, daemon), methods=["POST"]),
            Route("/replay", replay, methods=["POST"]),
            Route("/reload", reload, methods=["POST"]),
            Route("/erase", partial(_erase, daemon), methods=["POST"]),
            Route("/adopt", partial(_wished, daemon.adopt), methods=["POST"]),
            Route("/occupancy", partial(_wished, daemon.set_occupancy), methods=["POST"]),
            Route("/capture", partial(_wished, daemon.capture), methods=["POST"]),
            Route("/sinks/{name}/try", try_sink, methods=["POST"]),
            Route("/tail", tail),
        ],
        exception_handlers={HTTPException: _nothing_there},
    )


async def _letter(daemon: Daemon, request: Request) -> Response:
    number, verb = number_of(request.path_params["number"]), request.path_params["verb"]
    work = {"retry": daemon.retry_letter, "drop": daemon.drop_letter}.get(verb)
    if work is None:
        return _problem(404, f"Letters can be retried or dropped, not {verb[:20]!r}.")
    if number is None:
        return _problem(404, "A letter has a number; `gateway letters` lists them.")
    return await _told(work(number))


async def _replayed(daemon: Daemon, request: Request) -> str:
    wanted = "A replay needs sink, first and last."
    wish = await wish_of(request, wanted)
    sink, first, last = (wish.get(name) for name in ("sink", "first", "last"))
    if not (isinstance(sink, str) and _is_whole(first) and _is_whole(last)):
        raise Unfit(wanted)
    return await daemon.replay(sink, cast("int", first), cast("int", last))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


async def _erase(daemon: Daemon, request: Request) -> Response:
    return await _told(_carried_out(daemon.erase, request, "Say whom to erase, as a JSON object."))


async def _wished(carry_out: Carry, request: Request) -> Response:
    return await _told(_carried_out(carry_out, request, "Say what is wished, as a JSON object."))


async def _carried_out(carry_out: Carry, request: Request, sentence: str) -> Any:
    return await carry_out(await wish_of(request, sentence))


async def _told(work: Awaitable[Any]) -> Response:
    return await _answered(_done(work))


async def _done(work: Awaitable[Any]) -> dict[str, object]:
    return {"done": await work}


async def _answered(work: Awaitable[Any]) -> Response:
    try:
        return JSONResponse(await work)
    except Unfit as error:
        return _problem(400, str(error))
    except GatewayError as error:
        return _problem(409, str(error))
    except (sqlite3.Error, OSError) as error:  # the store's partition, not the request
        log.warning("control_failed", reason=str(error))
        return _problem(503, f"The store cannot be used now ({error}).")


async def _nothing_there(_request: Request, refusal: Exception) -> Response:
    status = refusal.status_code if isinstance(refusal, HTTPException) else 404
    headers = refusal.headers if isinstance(refusal, HTTPException) else None
    return _problem(
        status, "The control API has no such path or method; /openapi.json lists what it has.", headers
    )


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"problem": sentence}, status_code=status, headers=headers)


async def _tail(daemon: Daemon) -> AsyncIterator[bytes]:
    """Stream pushes as they come; a reader that is too slow misses some and is told how many."""
    send, receive = anyio.create_memory_object_stream[tuple[Push, int]](_TAIL_BUFFER)
    missed = waiting = 0

    def show(push: Push, size: int) -> None:
        nonlocal missed, waiting
        if waiting and waiting + size > _TAIL_BYTES:
            missed += 1
            return
        try:
            send.send_nowait((push, size))
        except anyio.WouldBlock:
            missed += 1
        else:
            waiting += size

    unwatch = daemon.watch(show)
    try:
        yield b"\n"  # the head of the answer leaves at once, so that the reader knows it is connected
        while True:
            describe, size = await receive.receive()
            told = await to_thread.run_sync(describe)
            del describe  # it holds the push
            waiting -= size
            if missed:
                told, missed = told | {"missed_before": missed}, 0
            yield json.dumps(told, ensure_ascii=False).encode() + b"\n"
    finally:
        unwatch()
        send.close()
        receive.close()
