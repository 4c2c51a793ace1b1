"""The interface over a real socket: no login, plain HTTP, a long poll that ends with the first event."""

import asyncio
import json
from collections import Counter, deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl

from gateway.event import Json
from gateway.simulate.camlytics.api import Api
from gateway.simulate.camlytics.pc import Pc
from gateway.simulate.receiver.listening import Listening

_ROOT = "/v1/json/"
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """What the next request gets instead of its answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/html"
    location: str = ""
    delay_s: float = 0.0
    breaks: bool = False  # the connection breaks in the middle of the answer


class Camlytics:
    """Listens from `start` to `stop`. ``script`` holds what the next requests get instead of an answer."""

    def __init__(self, pc: Pc, *, port: int = 0, host: str = "127.0.0.1", inclusive: bool = False) -> None:
        self.pc = pc
        self.api = Api(pc, inclusive=inclusive)
        self.port = port
        self.script: deque[Says] = deque()
        self.always: Says | None = None  # what every request gets
        self.answers: Counter[str] = Counter()
        self.targets: deque[str] = deque(maxlen=10_000)
        self._host = host
        self._listening: Listening | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen; the first time on a free port unless one was given, afterwards on the same."""
        if self._listening is None:
            self._listening = Listening(self._serve, self.port, None, host=self._host)
            self.port = self._listening.port
        return self

    def stop(self) -> None:
        """Switch the PC off: break all connections and listen no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split("\r\n", 1)[0].split(" ")
            self.targets.append(target)
            says = self.script.popleft() if self.script else self.always or await self._answer(method, target)
            await asyncio.sleep(says.delay_s)
            writer.write(_head(says, len(says.body) + 100 * says.breaks) + says.body)
            await writer.drain()
            if says.breaks:
                writer.transport.abort()
                return

    async def _answer(self, method: str, target: str) -> Says:
        path, _, text = target.partition("?")
        query = dict(parse_qsl(text))
        name = path.removeprefix(_ROOT)
        give = {
            "events": self.api.events,
            "channels": self.api.channels,
            "events/totals/rule": self.api.totals_rule,
            "events/totals/type": self.api.totals_type,
        }.get(name)
        if method != "GET" or not path.startswith(_ROOT) or give is None:
            return Says(status=404, body=b"Not found")
        try:
            rows = give(query)
            wait_s, loop = float(query.get("timeout", 0)), asyncio.get_running_loop()
            end, last = self.pc.clock.now() + wait_s, loop.time() + wait_s  # a clock may stand still
            while not rows and name == "events" and self.pc.clock.now() < end and loop.time() < last:
                await asyncio.sleep(_LOOK_S)
                rows = give(query)
        except ValueError as error:
            return Says(status=400, body=str(error).encode())
        self.answers[name] += 1
        return _json(rows)


def _json(rows: list[Json]) -> Says:
    return Says(body=json.dumps(rows).encode(), content_type="application/json; charset=utf-8")


def _head(says: Says, length: int) -> bytes:
    fields = {"Content-Type": says.content_type, "Content-Length": str(length)}
    if says.location:
        fields["Location"] = says.location
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {says.status} {HTTPStatus(says.status).phrase}\r\n{lines}\r\n".encode("latin-1")
