"""The receiver's server: plain asyncio in a thread of its own, so that anything can run beside it.

The events of a request are in the ledger before its answer is on the way.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from gateway.simulate.receiver.arrivals import Arrivals
from gateway.simulate.receiver.behaviour import Fault, Outcome, Request
from gateway.simulate.receiver.certificates import Authority
from gateway.simulate.receiver.checking import Malformed, cloud_events, signature_holds, unpacked
from gateway.simulate.receiver.listening import Listening

_DRIP_S = 0.05


class Receiver:
    """An HTTPS endpoint on 127.0.0.1 that takes CloudEvents.

    ``script`` holds outcomes for the next requests, first come first used; ``decide`` is asked when the
    script is empty; when it has no opinion either, the request is taken. A request that is not in order
    gets 401 or 400 and uses up no outcome of the script, except for a RESET, which strikes before the
    request is read. Both may be changed at any time.
    """

    def __init__(
        self,
        directory: Path,
        *,
        secrets: tuple[str, ...] = (),
        bearer: str | None = None,
        tls: bool = True,
        names: tuple[str, ...] = ("127.0.0.1", "localhost"),
        expired: bool = False,
        ask_client: bool = False,
        keep_data: bool = False,
        port: int = 0,
    ) -> None:
        self.secrets = secrets
        self.bearer = bearer
        self.port = port
        self.script: deque[Outcome] = deque()
        self.decide: Callable[[Request], Outcome | None] | None = None
        self.ledger = Arrivals(keep_data=keep_data)
        self.requests = 0
        self.connections = 0
        self.bad_signatures = 0
        self.bad_logins = 0
        self.malformed: list[str] = []
        self.ca_file = directory / "receiver-ca.pem"
        self.authority: Authority | None = None
        self._context: ssl.SSLContext | None = None
        if tls:
            self.authority = Authority()
            self.authority.write(self.ca_file)
            self._context = self.authority.server_context(names, expired=expired, ask_client=ask_client)
        self._listening: Listening | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/events"

    def start(self) -> Self:
        """Listen; the first time on a free port unless one was given, afterwards on the same."""
        if self._listening is None:
            self._listening = Listening(self._serve, self.port, self._context)
            self.port = self._listening.port
        return self

    def stop(self) -> None:
        """Break all connections and listen no more; ledger and port remain."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def open_connections(self) -> int:
        return self._listening.open_connections if self._listening else 0

    def wait_for(self, unique: int, *, timeout_s: float = 10.0) -> bool:
        """Wait in a foreign thread until so many different events are here; False when they do not come."""
        deadline = monotonic() + timeout_s
        while self.ledger.unique < unique:
            if monotonic() > deadline:
                return False
            sleep(0.01)
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while await self._one(reader, writer):
            pass

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Deal with one request; say whether the connection may carry another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.requests += 1
        number = self.requests
        length = int(headers.get("content-length", "0"))
        if self.script and self.script[0].fault is Fault.RESET:
            self.script.popleft()
            await reader.readexactly(min(length, 10))
            writer.transport.abort()
            return False
        packed = await reader.readexactly(length)
        outcome = self._outcome(number, first, headers, packed)
        return await _reply(writer, outcome)

    def _outcome(self, number: int, first: str, headers: Mapping[str, str], packed: bytes) -> Outcome:
        method, path, _version = first.split(" ")
        if method != "POST":
            return Outcome(status=405)
        if self.bearer is not None and headers.get("authorization") != f"Bearer {self.bearer}":
            self.bad_logins += 1
            return Outcome(status=401, body=b"wrong bearer token")
        try:
            body = unpacked(packed, headers.get("content-encoding", ""))
            if self.secrets and not signature_holds(self.secrets, headers, body):
                self.bad_signatures += 1
                return Outcome(status=401, body=b"the signature does not hold")
            events = cloud_events(body, headers.get("content-type", ""))
        except Malformed as error:
            self.malformed.append(str(error))
            return Outcome(status=400, body=str(error).encode())
        request = Request(number, path, headers, body, len(packed), events)
        outcome = self.script.popleft() if self.script else self.decide and self.decide(request)
        outcome = outcome or Outcome()
        if outcome.takes:
            self.ledger.take(request.events, number)
        return outcome


async def _reply(writer: asyncio.StreamWriter, outcome: Outcome) -> bool:
    """Answer as the outcome says; say whether the connection may carry another request."""
    await asyncio.sleep(outcome.delay_s)
    match outcome.fault:
        case Fault.NO_REPLY:
            return False
        case Fault.HANG:
            await asyncio.Event().wait()  # until the receiver stops
        case Fault.DRIP:
            writer.write(_head(outcome, 1_000_000))
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(_DRIP_S)
        case Fault.CUT:
            writer.write(_head(outcome, len(outcome.body) + 100) + outcome.body)
        case _:
            writer.write(_head(outcome, len(outcome.body)) + outcome.body)
    await writer.drain()
    return outcome.fault is Fault.NONE


def _head(outcome: Outcome, length: int) -> bytes:
    phrase = HTTPStatus(outcome.status).phrase if outcome.status in set(HTTPStatus) else "Unknown"
    fields = {**outcome.headers, "Content-Length": str(length)}
    if outcome.status == HTTPStatus.NO_CONTENT:
        del fields["Content-Length"]
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {outcome.status} {phrase}\r\n{lines}\r\n".encode("latin-1")
