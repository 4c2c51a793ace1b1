"""The small HTTP interface for programs: figures, and whether the gateway works. Nothing can be changed here.

It answers the same whatever name the request calls it by, sets no cookie, reads no body and never redirects: a page in
somebody's browser that finds its way here learns nothing about a person, and can do nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.monitoring.exposition import CONTENT_TYPE

_HEADERS: Mapping[str, str] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Answer = Callable[[Request], Awaitable[Response]]


class Watched(Protocol):
    """What the running gateway tells about itself. Each answer is the JSON, and whether all is well."""

    async def metrics(self) -> str: ...
    async def health(self) -> tuple[bool, Mapping[str, object]]: ...
    async def readiness(self) -> tuple[bool, Mapping[str, object]]: ...


def application(watched: Watched) -> Starlette:
    """Build the interface."""

    async def metrics(_request: Request) -> Response:
        return Response(await watched.metrics(), headers={**_HEADERS, "Content-Type": CONTENT_TYPE})

    async def healthz(_request: Request) -> Response:
        return _verdict(*await watched.health())

    async def readyz(_request: Request) -> Response:
        return _verdict(*await watched.readiness())

    async def nothing_there(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("There are /metrics, /healthz and /readyz.\n", 404, _HEADERS)

    async def not_so(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse(
            "Only GET and HEAD are answered here.\n", 405, {**_HEADERS, "Allow": "GET, HEAD"}
        )

    built = Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
        exception_handlers={404: nothing_there, 405: not_so},
    )
    built.router.redirect_slashes = False  # a redirect would repeat the name that the request calls us by
    return built


def _verdict(well: bool, told: Mapping[str, object]) -> Response:
    return JSONResponse(dict(told), 200 if well else 503, _HEADERS)
