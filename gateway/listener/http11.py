"""HTTP/1.1 on one connection: hypercorn's protocol and ASGI stream over h11, pulled by the application.

hypercorn pushes what arrives at a task and a queue per request. Here the connection's own task runs the
application, and the application's `receive` reads from the socket: no queue can fill up, a body that is
not read exerts back-pressure, and what is refused early leaves nothing behind.

Two short cuts save half of h11's time per request: a body of declared length is counted here (h11 reads
heads and chunks), and the head of an answer of declared length is remembered (`answers`). Each request gets
a parser of its own, so that nothing has to tell h11 about what it did not see.
"""

from dataclasses import replace
from typing import Any, cast

import h11
from hypercorn.events import Event, RawData
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ConnectionState, H11SendableEvent, TaskGroup
from hypercorn.utils import suppress_body

from gateway.listener.answers import Head, phrase
from gateway.listener.head import framing, limit_size, mended
from gateway.listener.incoming import Chunked, Declared
from gateway.listener.link import Link
from gateway.listener.shared import Shared

Peer = tuple[str, int] | None

_TLS = b"\x16\x03"  # how every TLS client begins
_REASONS = {431: "header_too_large", 505: "http_version"}


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
            self._transmit,
        )
        self._shared = shared
        self._link = link
        self._served = 0
        self._rest = b""  # what has arrived and belongs to no request yet
        self._behind = b""  # the part of it that h11 has not seen
        self._body: Declared | Chunked
        self._given = False  # to the application, to its end
        self._lasting = True  # another request may follow
        self._head: Head | None = None  # of the answer, when its length is declared
        self._held = b""  # its bytes, until there is some body to go with them
        self._owed = 0  # what is missing to the length that it declared
        self._answered = False
        self._again = False  # the answer is complete, and another request may follow
        self._gone = False  # the client has closed, or what it sends makes no sense any more
        self._fault = 0  # the status for a body that makes no sense
        self._hung_up = False  # the application wants no answer at all

    async def serve(self) -> None:
        """Answer request after request."""
        linger = False
        try:
            while (request := await self._next_request()) is not None:
                await self._create_stream(request)
                if not self._next():
                    linger = self._answered and self._unread()
                    break
        except h11.RemoteProtocolError as fault:
            reason = _REASONS.get(fault.error_status_hint, "bad_request")
            self._refused("tls_on_plain_port" if self._rest.startswith(_TLS) else reason)
            await self._send_error_response(fault.error_status_hint)
            linger = True
        if self._link.expired and (self._rest or not self._served):
            self._refused("slow_header" if self._rest else "silent")
        await self._link.finish(linger=linger)

    def _refused(self, reason: str) -> None:
        self._shared.refusals.add(self.client[0] if self.client else "", reason)

    # The request

    async def _next_request(self) -> h11.Request | None:
        """Wait for the next head; None when there will be none."""
        link = self._link
        timed = not self._served  # the first head shares the deadline of its connection
        event: object = h11.NEED_DATA
        if self._rest:
            self._begin(self._rest)
            event = self._parse()
        while event is h11.NEED_DATA:
            link.idle = not self._rest
            if self._rest and not timed:
                timed = True
                link.expect_within(self._shared.limits.header_deadline_s)
            data = await link.read()
            if not data:
                return None
            if self._rest:
                self._rest += data
                self.connection.receive_data(data)
            else:
                self._rest = data.lstrip(b"\r\n")  # old clients end a body with a line break of no account
                if not self._rest:
                    continue
                self._begin(self._rest)
            event = self._parse()
        link.idle = False
        link.expect_nothing()
        self._served += 1
        return cast("h11.Request", event)

    def _begin(self, arrived: bytes) -> None:
        self.connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )
        end = arrived.find(b"\r\n\r\n") + 4
        self.connection.receive_data(arrived if end < 4 else arrived[:end])
        self._behind = b"" if end < 4 else arrived[end:]  # h11 would copy a long body twice

    def _parse(self) -> object:
        try:
            return self.connection.next_event()
        except h11.RemoteProtocolError:
            head = mended(self._rest)
            if head is None:
                raise
            self._rest = head
            self._begin(head)
            return self.connection.next_event()

    async def _create_stream(self, request: h11.Request) -> None:
        """Run the application on one request. There is no WebSocket and no HTTP/2 here."""
        headers = [(name.lower(), value) for name, value in request.headers.raw_items()]
        ends = framing(request, headers)
        if len(self._rest) > self._shared.limits.header_bytes:
            limit_size(request, headers, self._shared.limits.header_bytes)
        self._lasting = ends.lasting
        if ends.length is None:
            if self._behind:
                self.connection.receive_data(self._behind)
            self._body = Chunked(self._link, self.connection)
        else:
            arrived = self.connection.trailing_data[0] + self._behind
            self._body = Declared(self._link, arrived, ends.length)
        self._rest = b""
        self._given = self._answered = self._again = False
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
        scope["extensions"] = {"gateway.close": self._hang_up, "gateway.arrived": self._body.arrived}
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
        """End the connection without an answer: `scope["extensions"]["gateway.close"]`."""
        self._hung_up = True

    async def _receive(self) -> ASGIReceiveEvent:
        """Give the application what has arrived of the body, or wait for more."""
        body = self._body
        if not self._gone and not self._given:
            if self.connection.they_are_waiting_for_100_continue and not body.arrived:
                await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                data = await body.read()
            except h11.RemoteProtocolError as fault:
                self._fault = fault.error_status_hint
                data = b""
            if data or body.complete:
                self._given = body.complete
                return {"type": "http.request", "body": data, "more_body": not body.complete}
            self._gone = True
        await self._disconnected()
        return {"type": "http.disconnect"}

    async def _disconnected(self) -> None:
        """Wait until the client goes away. What it sends meanwhile is its next request: a little is kept."""
        while not self._gone and not self.stream.closed:
            if len(self._body.rest) > self._shared.limits.header_bytes:
                await self._link.lost()
                self._gone = True
            elif data := await self._link.read():
                self._body.rest += data
            else:
                self._gone = True

    def _next(self) -> bool:
        """Make ready for the next request, if there can be one."""
        self.stream.closed = True
        body = self._body
        if body.arrived:
            body.skip()
        if not (self._again and body.complete) or self._gone or self._hung_up or self._link.stopping:
            return False
        self._rest = body.rest.lstrip(b"\r\n")
        self._link.expect_within(self._shared.limits.keep_alive_s)
        return True

    def _unread(self) -> bool:
        return not self._gone and (not self._body.complete or bool(self._body.rest))

    # The answer

    async def stream_send(self, event: StreamEvent) -> None:
        """Send an answer of declared length ourselves, and leave any other to hypercorn and h11."""
        if isinstance(event, StreamClosed):
            self.stream.closed = True
            return
        if isinstance(event, Response):
            lasting = self._lasting and self._body.arrived and not self._link.stopping
            self._head = self._shared.heads.get(event.status_code, event.headers, last=not lasting)
            self._answered = True
            if self._head is None and not lasting:
                event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        if self._head is None:
            await super().stream_send(event)
            self._again = self.connection.our_state is h11.DONE
        else:
            await self._send_counted(event, self._head)

    async def _send_counted(self, event: StreamEvent, head: Head) -> None:
        """Head and body go out together: some devices read only once."""
        if isinstance(event, Response):
            self._held = head.raw
            self._owed = 0 if suppress_body(self.stream.scope["method"], event.status_code) else head.length
        elif isinstance(event, Body):
            self._owed -= len(event.data)
            data, self._held = self._held + event.data, b""
            await self._link.write(data)
        elif isinstance(event, EndBody):
            data, self._held = self._held, b""
            if data:
                await self._link.write(data)
            self._again = not self._owed and not head.last

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response | h11.InformationalResponse):
            event = replace(event, reason=phrase(event.status_code))
        await super()._send_h11_event(event)

    async def _transmit(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            await self._link.write(event.data)
