"""One request and its answer: hypercorn's ASGI stream, pulled by the application.

An answer of declared length is written here, head and body in one piece; any other is left to hypercorn.
"""

from typing import TYPE_CHECKING, Any, cast

import h11
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import (
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    TaskGroup,
)
from hypercorn.utils import suppress_body

from gateway.listener.answers import AnswerHead
from gateway.listener.head import Head
from gateway.listener.incoming import Chunked, Declared

if TYPE_CHECKING:
    from gateway.listener.http11 import Http11


class Exchange(HTTPStream):
    """What is known about the request that the connection is at."""

    def __init__(self, protocol: "Http11", head: Head, body: Declared | Chunked) -> None:
        super().__init__(
            protocol.app,
            protocol.config,
            protocol.context,
            cast("TaskGroup", self),  # `spawn_app` is all that a stream asks of it
            protocol.ssl,
            protocol.client,
            protocol.server,
            protocol.stream_send,
            STREAM_ID,
        )
        self._protocol = protocol
        self._shared = protocol.shared
        self._link = protocol.link
        self._waits = head.waits
        self._given = False  # the application has the end of the body
        self._fault = 0  # the status for a body that makes no sense
        self._head: AnswerHead | None = None  # of an answer of declared length
        self._held = b""  # the bytes of the head, until there is some body to go with them
        self._owed = 0  # what is missing to the declared length
        self._bodiless = False
        self.body = body
        self.lasting = head.lasting  # as far as is known, another request may follow
        self.answered = False  # something of the answer has been sent
        self.whole = False  # the answer is complete
        self.gone = False  # the client has closed, or what it sends makes no sense
        self.hung_up = False  # the application wants no answer

    async def run(self, head: Head) -> None:
        """Let hypercorn describe the request to the application, and the application answer it."""
        request = head.request
        await self.handle(
            Request(
                stream_id=STREAM_ID,
                headers=head.headers.copy(),
                http_version=request.http_version.decode(),
                method=request.method.decode().upper(),
                raw_path=request.target,
                state=ConnectionState({}),
            )
        )
        del self.scope, self.task_group  # they lead back here: without them nothing is left to the collector

    async def spawn_app(self, _app: object, _config: object, scope: Any, send: object) -> None:
        """Run the application to its end, in the task of the connection."""
        scope["extensions"] = {"gateway.close": self._hang_up, "gateway.arrived": self.body.arrived}
        shared = self._shared
        shared.in_flight += 1
        try:
            await shared.app(scope, self._receive, send)
        except Exception:  # whatever goes wrong in the application costs one request, not the listener
            # Without the path: it may hold a device's secret word.
            shared.log.exception("no answer to %s: the application failed", scope["method"])
        finally:
            shared.in_flight -= 1
        self.closed = True

    @property
    def again(self) -> bool:
        """Another request may follow."""
        return self.whole and self.lasting and self.body.complete and not self.gone and not self.hung_up

    @property
    def unread(self) -> bool:
        """The client is still there and sending."""
        if self._fault and not self.hung_up:
            return True  # it has to be able to read what was wrong
        return not self.gone and not self.hung_up and not (self.body.complete and not self.body.rest)

    @property
    def error(self) -> int:
        """The status to answer with because the application gave no answer; 0 when there is nothing to say."""
        if self.answered or self.hung_up or (self.gone and not self._fault):
            return 0
        return self._fault or 500

    def _hang_up(self) -> None:
        """Let the connection end without an answer: `scope["extensions"]["gateway.close"]`."""
        self.hung_up = True

    # The request

    async def _receive(self) -> ASGIReceiveEvent:
        """Give the application what has arrived of the body, or wait for more."""
        body = self.body
        if not self.gone and not self._given:
            if self._waits and not body.arrived:
                self._waits = False
                await self._link.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            try:
                data = await body.read()
            except h11.RemoteProtocolError:
                self._fault = 400  # whatever h11 calls it: that depends on how the bytes were cut
                self._protocol.refuse("bad_request")
                data = b""
            if data or body.complete:
                self._given = body.complete
                return {"type": "http.request", "body": data, "more_body": not body.complete}
            self.gone = True
        await self._disconnected()
        return {"type": "http.disconnect"}

    async def _disconnected(self) -> None:
        """Wait until the client goes away. What it sends meanwhile is its next request: a little is kept."""
        while not self.gone and not self.whole:
            if len(self.body.rest) > self._shared.limits.header_bytes:
                await self._link.lost()
                self.gone = True
            elif data := await self._link.read():
                self.body.rest += data
            else:
                self.gone = True

    # The answer

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Take the next piece of the answer; None is hypercorn's own sign for the end of the application."""
        if message is None or self.closed:
            return
        if message["type"] == "http.response.start" and self.state is ASGIHTTPState.REQUEST:
            message = self._begin(message)
            if self._head is not None:
                return
        elif message["type"] == "http.response.body" and self._head and self.state is ASGIHTTPState.RESPONSE:
            await self._send(message)
            return
        self.answered = True
        await super().app_send(message)
        self.whole = self.state is ASGIHTTPState.CLOSED
        self.lasting = self._protocol.connection.our_state is h11.DONE

    def _begin(self, message: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
        """Find out who writes this answer, and whether another can follow it."""
        status = message["status"]
        headers = [(name, value) for name, value in message.get("headers", ())]
        self.lasting = self.lasting and self.body.arrived and not self._link.stopping
        head = self._shared.answers.get(status, headers, last=not self.lasting)
        if head is None:
            self._protocol.catch_up()
            return message if self.lasting else {**message, "headers": [*headers, (b"connection", b"close")]}
        self._head = head
        self._held = head.raw
        self._bodiless = suppress_body(self.scope["method"], status)
        self._owed = 0 if self._bodiless else head.length
        self.lasting = not head.last
        self.state = ASGIHTTPState.RESPONSE
        return message

    async def _send(self, message: HTTPResponseBodyEvent) -> None:
        """Write the body, and the head with the first of it: some devices read only once."""
        body = b"" if self._bodiless else message.get("body", b"")
        if len(body) > self._owed:
            raise RuntimeError("the answer is longer than its Content-Length")
        self._owed -= len(body)
        data, self._held = self._held + body, b""
        self.answered = True
        if not message.get("more_body", False):
            self.state = ASGIHTTPState.CLOSED
            self.whole = True
            self.lasting = self.lasting and not self._owed
        await self._link.write(data)
