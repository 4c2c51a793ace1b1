"""HTTP/1.1 on one connection: hypercorn's protocol and ASGI stream over h11, pulled by the application.

hypercorn pushes what arrives at a task and a queue per request. Here the connection's own task runs the
application, and the application's `receive` reads from the socket: no queue can fill up, a body that is
not read exerts back-pressure, and what is refused early leaves nothing behind.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from logging import Logger
from typing import Any, cast

import h11
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ConnectionState, H11SendableEvent, TaskGroup

from gateway.listener.answers import Heads, phrase
from gateway.listener.head import mended, object_to
from gateway.listener.limits import Limits, Refusals
from gateway.listener.link import Link

App = Callable[[Any, Any, Any], Awaitable[None]]
Peer = tuple[str, int] | None

_DISCONNECT: ASGIReceiveEvent = {"type": "http.disconnect"}
_BOTH_DONE = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
_REASONS = {431: "header_too_large", 505: "http_version"}


@dataclass(kw_only=True)
class Shared:
    """What the connections of one listener have in common."""

    app: App
    limits: Limits
    refusals: Refusals
    log: Logger
    config: Config = field(default_factory=Config)
    context: WorkerContext = field(default_factory=lambda: WorkerContext(None))
    heads: Heads = field(default_factory=Heads)
    in_flight: int = 0

    def __post_init__(self) -> None:
        self.config.errorlog = self.log
        self.config.accesslog = None  # hypercorn's copies the whole environment for every request
        self.config.h11_max_incomplete_size = self.limits.header_bytes


class Http11(H11Protocol):
    """Serves one connection until either side closes it."""

    connection: h11.Connection
    stream: HTTPStream

    def __init__(self, shared: Shared, link: Link, client: Peer, server: Peer, *, tls: bool) -> None:
        super().__init__(
            cast("AppWrapper", shared.app),
            shared.config,
            shared.context,
            cast("TaskGroup", self),  # a stream asks it for `spawn_app` only
            ConnectionState({}),
            tls,
            client,
            server,
            cast("Any", None),  # bytes go out through the link
        )
        self._shared = shared
        self._link = link
        self._address = client[0] if client else ""
        self._head = b""  # what has arrived since the last request, while the next one is incomplete
        self._served = 0
        self._answer = b""  # the head of an answer waits here, to go out together with its body
        self._answered = False
        self._body_read = False  # by the application
        self._gone = False  # nothing more can be read from the client
        self._hung_up = False  # the application wants no answer at all
        self._fault = 500  # the answer if the application gives none

    async def serve(self) -> None:
        """Answer request after request."""
        linger = False
        try:
            while (request := await self._next_request()) is not None:
                await self._create_stream(request)
                if not self._recycle():
                    linger = self._answered and self._unread()
                    break
        except h11.RemoteProtocolError as fault:
            self._refused(_REASONS.get(fault.error_status_hint, "bad_request"))
            await self._send_error_response(fault.error_status_hint)
            linger = True
        if self._link.expired and (self._head or not self._served):
            self._refused("slow_header" if self._head else "silent")
        await self._link.finish(linger=linger)

    def _refused(self, reason: str) -> None:
        self._shared.refusals.add(self._address, reason)

    async def _next_request(self) -> h11.Request | None:
        """Wait for the next head; None when there will be none."""
        link = self._link
        link.idle = not self._head
        timed = not self._served  # the first head shares the deadline of its connection
        while not self._head or (event := self._parse()) is h11.NEED_DATA:
            if self._head and not timed:
                timed = True
                link.expect_within(self._shared.limits.header_deadline_s)
            data = await link.read()
            if not data:
                return None
            self._feed(data)
        link.expect_nothing()
        self._served += 1
        return cast("h11.Request", event)

    def _feed(self, data: bytes) -> None:
        if not self._head:
            data = data.lstrip(b"\r\n")  # old clients end a body with a line break that they do not count
            if not data:
                return
            self._link.idle = False
        self._head += data
        self.connection.receive_data(data)

    def _parse(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self.connection.next_event()
        except h11.RemoteProtocolError:
            head = mended(self._head)
            if head is None:
                raise
            self._head = head
            self._renew(head)
            return self.connection.next_event()

    def _renew(self, data: bytes) -> None:
        """Go on with these bytes in a fresh parser: h11 lets nobody change what it has buffered."""
        self.connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )
        if data:
            self.connection.receive_data(data)

    async def _create_stream(self, request: h11.Request) -> None:
        """Run the application on one request. There is no WebSocket and no HTTP/2 here."""
        headers = list(request.headers)
        object_to(request, headers, len(self._head), self._shared.limits.header_bytes)
        self._head = b""
        self._answered = self._body_read = False
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def spawn_app(self, _app: object, _config: object, scope: Any, send: object) -> None:
        """Run the application to its end, in the connection's own task."""
        scope["extensions"]["gateway.close"] = self._hang_up
        shared = self._shared
        shared.in_flight += 1
        try:
            await shared.app(scope, self._receive, send)
        except Exception:  # whatever goes wrong in the application costs one request, not the listener
            shared.log.exception("no answer to %s %r: the application failed", scope["method"], scope["path"])
        finally:
            shared.in_flight -= 1
        if not self._answered and not self._hung_up and (self._fault or not self._gone):
            await self._send_error_response(self._fault or 500)

    def _hang_up(self) -> None:
        """Let the connection end without an answer: `scope["extensions"]["gateway.close"]`."""
        self._hung_up = True

    async def _receive(self) -> ASGIReceiveEvent:
        """Give the application what has arrived of the body, or wait for more."""
        parts: list[bytes] = []
        while not self._gone and not self._body_read:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as fault:
                self._gone, self._fault = True, fault.error_status_hint
                break
            if type(event) is h11.Data:
                parts.append(event.data)
            elif type(event) is h11.EndOfMessage:
                self._body_read = True
                return {"type": "http.request", "body": b"".join(parts), "more_body": False}
            elif parts:
                return {"type": "http.request", "body": b"".join(parts), "more_body": True}
            else:
                await self._read_on()
        await self._disconnected()
        return {"type": "http.disconnect"}

    async def _read_on(self) -> None:
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(
                h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            )
        data = await self._link.read()
        if data:
            self.connection.receive_data(data)
        else:
            self._gone = True

    async def _disconnected(self) -> None:
        """Wait until the client goes away. What it sends meanwhile is its next request: a little is kept."""
        while not self._gone and not self.stream.closed:
            if len(self.connection.trailing_data[0]) > self._shared.limits.header_bytes:
                await self._link.closed()
                self._gone = True
            else:
                await self._read_on()

    # The answer

    async def stream_send(self, event: StreamEvent) -> None:
        """Turn the stream's events into as few writes as possible: some devices read only once."""
        if isinstance(event, Response):
            headers = event.headers
            if self._link.stopping:
                headers = [*headers, (b"connection", b"close")]
            self._answered = True
            self._answer = self.connection.send(self._shared.heads.head(event.status_code, headers))
        elif isinstance(event, Body):
            await self._flush(self.connection.send(h11.Data(data=event.data)))
        elif isinstance(event, EndBody):
            await self._flush(self.connection.send(h11.EndOfMessage()))
        elif isinstance(event, StreamClosed):
            self.stream.closed = True

    async def _flush(self, data: bytes) -> None:
        data, self._answer = self._answer + data, b""
        if data:
            await self._link.write(data)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        await self._flush(self.connection.send(event))

    async def _send_error_response(self, status_code: int) -> None:
        text = b"%d %s\n" % (status_code, phrase(status_code))
        headers = [
            (b"content-length", b"%d" % len(text)),
            (b"content-type", b"text/plain"),
            (b"connection", b"close"),
        ]
        self._answered = True
        self._answer = self.connection.send(self._shared.heads.head(status_code, headers))
        await self._flush(self.connection.send(h11.Data(data=text)))
        await self._flush(self.connection.send(h11.EndOfMessage()))

    # Between two requests

    def _recycle(self) -> bool:
        """Make ready for the next request on this connection, if there can be one."""
        self.stream.closed = True
        if self._hung_up or self._gone:
            return False
        while self.connection.their_state is h11.SEND_BODY and self._skip():
            pass
        if self.connection.states != _BOTH_DONE or self._link.stopping:
            return False
        self.connection.start_next_cycle()
        left = self.connection.trailing_data[0]
        self._head = left.lstrip(b"\r\n")
        if len(left) != len(self._head):
            self._renew(self._head)
        self._link.expect_within(self._shared.limits.keep_alive_s)
        return True

    def _skip(self) -> bool:
        """Pass over what is here of a body that the application did not want."""
        try:
            return self.connection.next_event() not in (h11.NEED_DATA, h11.PAUSED)
        except h11.RemoteProtocolError:
            return False

    def _unread(self) -> bool:
        done = self.connection.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
        return not self._gone and (not done or bool(self.connection.trailing_data[0]))
