"""HTTP/1.1 on one connection: hypercorn's protocol and ASGI stream over h11, pulled by the application.

hypercorn pushes what arrives at a task and a queue per request. Here the connection's own task runs the
application, and the application's `receive` reads from the socket: no queue can fill up, a body that is
not read exerts back-pressure, and what is refused early leaves nothing behind.

Two short cuts save half of h11's time per request: a body of declared length is counted here (h11 reads
heads and chunks), and the head of an answer of declared length is remembered (`answers`). Each request gets
a parser of its own, so that nothing has to tell h11 about what it did not see.
"""

from dataclasses import replace
from typing import cast

import h11
from hypercorn.events import Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent, TaskGroup

from gateway.listener.answers import Pairs, phrase
from gateway.listener.exchange import Exchange
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

    def __init__(self, shared: Shared, link: Link, client: Peer, server: Peer, *, tls: bool) -> None:
        super().__init__(
            cast("AppWrapper", shared.app),
            shared.config,
            shared.context,
            cast("TaskGroup", None),  # no tasks are started
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

    async def serve(self) -> None:
        """Answer request after request."""
        linger = False
        try:
            while (request := await self._next_request()) is not None:
                headers = [(name.lower(), value) for name, value in request.headers.raw_items()]
                exchange = self._admit(request, headers)
                await exchange.run(request, headers)
                if exchange.error:
                    await self._send_error_response(exchange.error)
                if not self._next(exchange):
                    linger = exchange.unread
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

    def _admit(self, request: h11.Request, headers: Pairs) -> Exchange:
        """Raise for a head that is not acceptable. There is no WebSocket and no HTTP/2 here."""
        ends = framing(request, headers)
        if len(self._rest) > self._shared.limits.header_bytes:
            limit_size(request, headers, self._shared.limits.header_bytes)
        self._rest = b""
        body: Declared | Chunked
        if ends.length is None:
            if self._behind:
                self.connection.receive_data(self._behind)
            body = Chunked(self._link, self.connection)
        else:
            body = Declared(self._link, self.connection.trailing_data[0] + self._behind, ends.length)
        return Exchange(self, self._shared, self._link, body, lasting=ends.lasting)

    def _next(self, exchange: Exchange) -> bool:
        """Make ready for the next request, if there can be one."""
        if exchange.body.arrived:
            exchange.body.skip()
        if not exchange.again or self._link.stopping:
            return False
        self._rest = exchange.body.rest.lstrip(b"\r\n")
        self._link.expect_within(self._shared.limits.keep_alive_s)
        return True

    async def _maybe_recycle(self) -> None:
        """Leave it to `_next`, when the application is done."""

    async def _send_error_response(self, status_code: int) -> None:
        head = self._shared.heads.get(status_code, [(b"content-length", b"0")], last=True)
        if head is not None:
            await self._link.write(head.raw)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response | h11.InformationalResponse):
            event = replace(event, reason=phrase(event.status_code))
        await super()._send_h11_event(event)

    async def _transmit(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            await self._link.write(event.data)
