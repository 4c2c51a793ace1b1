"""The seven methods over a real socket, plain or with TLS; trouble on demand."""

import asyncio
import json
import ssl
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from gateway.event import Json
from gateway.simulate.camlytics_cloud.gate import Gate
from gateway.simulate.camlytics_cloud.methods import Methods
from gateway.simulate.camlytics_cloud.world import World
from gateway.simulate.receiver.certificates import Authority
from gateway.simulate.receiver.listening import Listening

_ROOT = "/service/api/v1/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """What the next request gets instead of its answer."""

    status: int = 200
    code: int = 0
    msg: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # instead of the envelope
    breaks: bool = False  # the connection breaks in the middle of the answer

    def content(self) -> bytes:
        return self.body if self.body is not None else _envelope(self.code, self.msg, None)


class Cloud:
    """Listens on 127.0.0.1. ``limit`` cuts an answer without a word, oldest first."""

    def __init__(
        self,
        world: World,
        gate: Gate,
        *,
        limit: int | None = None,
        directory: Path | None = None,
        dated: bool = True,
        port: int = 0,
    ) -> None:
        self.world = world
        self.gate = gate
        self.script: deque[Says] = deque()
        self.answers: Counter[str] = Counter()  # good ones, by method
        self.targets: deque[str] = deque(maxlen=10_000)
        self.port = port
        self.ca_file: Path | None = None
        self._dated = dated
        self._context: ssl.SSLContext | None = None
        if directory is not None:  # with TLS: the certificate to trust is written there
            authority = Authority()
            self.ca_file = directory / "cloud-ca.pem"
            authority.write(self.ca_file)
            self._context = authority.server_context(
                ("127.0.0.1", "localhost"), expired=False, ask_client=False
            )
        self._listening: Listening | None = None
        self.methods = Methods(world, limit)

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen; the first time on a free port unless one was given, afterwards on the same."""
        if self._listening is None:
            self._listening = Listening(self._serve, self.port, self._context)
            self.port = self._listening.port
        return self

    def stop(self) -> None:
        """Break all connections and listen no more; world and port remain."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.end()

    # The wire

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            method, target, _ = first.split(" ")
            says = self.outcome(method, target, headers)
            body = says.content()
            writer.write(self._head(says, len(body) + 100 * says.breaks) + body)
            await writer.drain()
            if says.breaks:
                writer.transport.abort()
                return

    def outcome(self, method: str, target: str, headers: Mapping[str, str]) -> Says:
        """Decide what one request gets."""
        self.targets.append(target)
        path, _, query = target.partition("?")
        name = path.removeprefix(_ROOT)
        if method != "GET" or not path.startswith(_ROOT) or name not in self.methods.names:
            return Says(status=404, code=404, msg="Not found")
        wrong = self.gate.verdict(target, headers, self.world.clock.now())
        if wrong is not None:
            wait = {"Retry-After": "1"} if wrong[0] == self.gate.busy_status else {}
            return Says(status=wrong[0], code=wrong[1], msg=wrong[2], headers=wait)
        if self.script:
            return self.script.popleft()
        self.answers[name] += 1
        return Says(body=_envelope(0, "success", list(self.methods.give(name, dict(parse_qsl(query))))))

    def _head(self, says: Says, length: int) -> bytes:
        phrase = HTTPStatus(says.status).phrase
        fields = {**self.head_fields(says), "Content-Length": str(length)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {says.status} {phrase}\r\n{lines}\r\n".encode("latin-1")

    def head_fields(self, says: Says) -> dict[str, str]:
        """Give the header fields of an answer; its date is how a client learns the cloud's clock."""
        fields = {"Content-Type": "application/json", **says.headers}
        if self._dated:
            moment = datetime.fromtimestamp(int(self.world.clock.now()), UTC)
            fields["Date"] = format_datetime(moment, usegmt=True)
        return fields


def _envelope(code: int, msg: str, result: Json) -> bytes:
    return json.dumps({"msg": msg, "result": result, "code": code}).encode()
