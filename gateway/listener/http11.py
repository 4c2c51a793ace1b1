"""HTTP/1.1 on one connection: hypercorn's protocol and ASGI stream over h11, pulled by the application.

hypercorn pushes what arrives at a task and a queue per request. Here the connection's own task runs the
application, and the application's `receive` reads from the socket: no queue can fill up, a body that is
not read exerts back-pressure, and what is refused early leaves nothing behind.

Three short cuts spare h11 what it has done before and what needs no parser: a head that came before, byte
for byte, is not parsed again (`head`); a body of declared length is counted (`incoming`); the head of an
answer of declared length is remembered (`answers`). Each head that is parsed gets a parser of its own, so
that nobody has to tell h11 about what it did not see.
"""

import asyncio
from dataclasses import replace
from typing import cast

import h11
from hypercorn.events import Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent, TaskGroup

from gateway.header_lines import read_in_linear_time
from gateway.listener.answers import phrase
from gateway.listener.exchange import Exchange
from gateway.listener.head import Head, accepted, mended
from gateway.listener.incoming import Chunked, Declared
from gateway.listener.link import Link
from gateway.listener.shared import Shared

Peer = tuple[str, int] | None

_TLS = b"\x16\x03"  # how every TLS client begins
_REASONS = {431: "header_too_large", 505: "http_version"}

read_in_linear_time()


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
        self.shared = shared
        self.link = link
        # Of a head h11 is shown one byte more than it may have, with which it refuses it, and never more: it would take
        # the lines of all that has come apart first.
        self._most = shared.limits.header_bytes + 1
        self._served = 0
        self._rest = b""  # what has arrived and belongs to no request yet
        self._behind = b""  # what came with it, or with the head, and h11 does not have
        self._skipped = b""  # the head, while h11 has not seen it

    async def serve(self) -> None:
        """Answer request after request."""
        linger = False
        try:
            while (head := await self._next_head()) is not None:
                exchange = Exchange(self, head, self._body(head))
                await exchange.run(head)
                if exchange.error:
                    await self._send_error_response(exchange.error)
                if not self._next(exchange):
                    linger = exchange.unread
                    break
                if self._rest:
                    await asyncio.sleep(
                        0
                    )  # whoever sends request upon request still takes turns with the others
        except h11.RemoteProtocolError as fault:
            reason = _REASONS.get(fault.error_status_hint, "bad_request")
            self.refuse("tls_on_plain_port" if self._rest.startswith(_TLS) else reason)
            await self._send_error_response(fault.error_status_hint)
            linger = True
        if self.link.expired and (self._rest or not self._served):
            self.refuse("slow_header" if self._rest else "silent")
        await self.link.finish(linger=linger)

    def refuse(self, reason: str) -> None:
        """Count a refusal."""
        self.shared.refusals.add(self.client[0] if self.client else "", reason)

    # The request

    async def _next_head(self) -> Head | None:
        """Wait for the head of the next request; None when there will be none."""
        link = self.link
        timed = not self._served  # the first head shares the deadline of its connection
        head = self._begin() if self._rest else None
        while head is None:
            link.idle = not self._rest
            if self._rest and not timed:
                timed = True
                link.expect_within(self.shared.limits.header_deadline_s)
            data = await link.read()
            if not data:
                return None
            if self._rest:
                room = self._most - len(self._rest)
                data, self._behind = data[:room], data[room:]
                self._rest += data
                self.connection.receive_data(data)
                head = self._parse(self._rest)
            else:
                self._rest = data.lstrip(b"\r\n")  # old clients end a body with a line break of no account
                head = self._begin() if self._rest else None
        link.idle = link.fresh = False
        link.expect_nothing()
        self._served += 1
        return head

    def _begin(self) -> Head | None:
        """Look at the first bytes of a request; None while its head is incomplete."""
        arrived = self._rest
        end = arrived.find(b"\r\n\r\n", 0, self._most) + 4
        if end < 4:  # none that ends within the limit and as it should
            self._rest, self._behind = arrived[: self._most], arrived[self._most :]
            self._feed(self._rest)
            return self._parse(self._rest)
        raw, self._behind = arrived[:end], arrived[end:]  # h11 would copy a long body twice
        head = self.shared.known.get(raw)
        if head is not None:
            self._skipped = head.raw
            return head
        self._feed(raw)
        head = self._parse(raw)
        if head is not None and not self.connection.trailing_data[0]:
            self.shared.known.add(raw, head)
        return head

    def _feed(self, data: bytes) -> None:
        limit = self.shared.limits.header_bytes
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
        self.connection.receive_data(data)
        self._skipped = b""

    def _parse(self, seen: bytes) -> Head | None:
        """Let h11 read the head. It has seen these bytes."""
        try:
            event = self.connection.next_event()
        except h11.RemoteProtocolError:
            better = mended(seen)
            if better is None:
                raise
            seen = better
            self._feed(seen)
            event = self.connection.next_event()
        if not isinstance(event, h11.Request):
            return None
        return accepted(
            event,
            seen,
            self.shared.limits.header_bytes,
            waits=self.connection.they_are_waiting_for_100_continue,
        )

    def catch_up(self) -> None:
        """Show h11 the head that it did not need to see until now."""
        if self._skipped:
            self._feed(self._skipped)
            self.connection.next_event()

    def _body(self, head: Head) -> Declared | Chunked:
        behind, self._behind, self._rest = self._behind, b"", b""
        if head.length is None:
            return Chunked(self.link, self.connection, behind)
        if not self._skipped:
            behind = self.connection.trailing_data[0] + behind
        return Declared(self.link, behind, head.length)

    def _next(self, exchange: Exchange) -> bool:
        """Make ready for the next request, if there can be one."""
        if exchange.body.arrived:
            exchange.body.skip()
        if not exchange.again or self.link.stopping:
            return False
        self._rest = exchange.body.rest.lstrip(b"\r\n")
        self.link.expect_within(self.shared.limits.keep_alive_s)
        return True

    async def _maybe_recycle(self) -> None:
        """Leave it to `_next`, when the application is done."""

    async def _send_error_response(self, status_code: int) -> None:
        head = self.shared.answers.get(status_code, [(b"content-length", b"0")], last=True)
        if head is not None:
            await self.link.write(head.raw)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response | h11.InformationalResponse):
            event = replace(event, reason=phrase(event.status_code))
        await super()._send_h11_event(event)

    async def _transmit(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            await self.link.write(event.data)
