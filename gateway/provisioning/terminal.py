"""The push configuration of a face terminal: set it, read it back, and ask for a sign of life.

Nothing else is ever asked of a terminal, and its only setting that is ever written is where it pushes events.
What asks a server whether to open the door is another setting, and has no place here.
"""

import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio

from gateway import wary
from gateway.errors import GatewayError
from gateway.provisioning.route import word_in

_SUBSCRIBE = "/v1/event/subscribe"
_PING = "/v2/datasync/ping"
_ANSWER_BYTES = 65_536
_LOGIN = (401, 403)
_NOT_THERE = (404, 405, 501)


class TerminalTrouble(GatewayError):
    """The terminal did not do what it was asked, with the reason in one word."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason  # refused, timeout, no_route, name, login, no_setting, answer or broken


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a terminal says that it pushes; it may say nothing (the maker's own example is empty)."""

    dest: str | None = None
    enabled: bool | None = None

    @property
    def stated(self) -> bool:
        """Say whether the terminal told anything."""
        return self.dest is not None

    def leads_to(self, url: str) -> bool:
        """Say whether it pushes to the same port of the same host; any path is understood there, if the word is right."""
        dest = self.dest or ""
        return (
            self.enabled is not False
            and _place(dest) == _place(url)
            and word_in(url) in (None, word_in(dest))
        )


class Terminal:
    """One terminal that listens on its web port."""

    def __init__(self, endpoint: str, *, timeout_s: float = 5.0) -> None:
        try:
            parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
            port = parts.port
        except ValueError:  # brackets that do not close, or a port that is no number
            parts, port = urlsplit(""), 0
        if port is None:
            port = 443 if parts.scheme == "https" else 80
        if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.username:
            raise GatewayError(
                f"{endpoint[:100]!r} is no address of a terminal; write 192.168.1.50 or http://192.168.1.50:80."
            )
        self.host, self.port = parts.hostname, port
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._timeout_s = timeout_s
        import httpx2  # noqa: PLC0415 - the daemon starts faster without it, and rarely talks to a terminal

        self._httpx = httpx2

    @property
    def place(self) -> str:
        """Name it for a person."""
        return f"{self.host}:{self.port}"

    async def subscribe(self, dest: str) -> None:
        """Have it push its events to this URL. Raises `TerminalTrouble`."""
        await self._ask("POST", _SUBSCRIBE, {"event_dest": dest, "enabled": True})

    async def subscription(self) -> Subscription:
        """Read where it pushes. Raises `TerminalTrouble`."""
        data = await self._ask("GET", _SUBSCRIBE)
        if not isinstance(data, Mapping) or not isinstance(data.get("event_dest"), str):
            return Subscription()
        enabled = data.get("enabled")
        return Subscription(data["event_dest"], enabled if isinstance(enabled, bool) else None)

    async def ping(self) -> None:
        """Ask for a sign of life, which newer firmware gives without a login. Raises `TerminalTrouble`."""
        await self._ask("GET", _PING)

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> object:
        """Ask once and give the `data` of the answer; nothing is tried twice, and no redirect is followed."""
        try:
            with anyio.fail_after(self._timeout_s):
                status, text = await self._exchange(method, path, body)
        except (TimeoutError, self._httpx.TimeoutException) as error:
            sentence = (
                f"{self.place} did not answer within {self._timeout_s:g} s: check the address, that the terminal is on,"
                " and that no firewall or guest network lies between."
            )
            raise TerminalTrouble("timeout", sentence) from error
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            raise self._unreached(error) from error
        return self._understood(status, text)

    async def _exchange(self, method: str, path: str, body: Mapping[str, object] | None) -> tuple[int, bytes]:
        # Without `trust_env` a proxy of this box never sees what is meant for a device in the same room.
        async with (
            wary.client(verify=self._url.startswith("https:")) as client,
            client.stream(method, self._url + path, json=body) as answer,
        ):
            return answer.status_code, await _beginning(answer.aiter_raw())

    def _unreached(self, error: BaseException) -> TerminalTrouble:
        causes = list(_causes(error))
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            sentence = (
                f"Nothing listens on {self.place}: check the terminal's address (its own menu shows it) and its port,"
                " and that its web interface is switched on."
            )
            return TerminalTrouble("refused", sentence)
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return TerminalTrouble("name", f"{self.host} is no name that this box can resolve.")
        if any(isinstance(cause, self._httpx.ConnectError | OSError) for cause in causes[:1]):
            return TerminalTrouble("no_route", f"There is no way to {self.place} ({_plain(str(error))}).")
        sentence = f"{self.place} broke off without an answer: it may be no face terminal, or want https://."
        return TerminalTrouble("broken", sentence)

    def _understood(self, status: int, text: bytes) -> object:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):  # the latter of brackets in brackets
            answer = None
        told = answer if isinstance(answer, dict) else {}
        code = told.get("code")
        if status in _LOGIN or code in _LOGIN:
            sentence = (
                f"{self.place} wants a login for this setting. Set it on the terminal's own page instead: event_dest and"
                " enabled, and nothing else."
            )
            raise TerminalTrouble("login", sentence)
        if status in _NOT_THERE:
            sentence = (
                f"{self.place} has no such setting (HTTP {status}): it is another sort of device, or its firmware is older"
                " than guide 0.0.8."
            )
            raise TerminalTrouble("no_setting", sentence)
        if status != 200 or code != 200:
            said = f"code {_plain(str(code))}, {_plain(str(told.get('msg', '')))}" if told else "no JSON"
            raise TerminalTrouble("answer", f"{self.place} did not take it: HTTP {status}, {said}.")
        return told.get("data")


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """Read an answer, and no more of it than any honest one has."""
    read = b""
    async for chunk in chunks:
        read += chunk
        if len(read) > _ANSWER_BYTES:
            break
    return read[:_ANSWER_BYTES]


def _place(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None
    return parts.scheme, parts.hostname, port


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    here: BaseException | None = error
    while here is not None and here not in found:
        found.append(here)
        here = here.__cause__ or here.__context__
    return found


def _plain(text: str) -> str:
    """Make a stranger's words safe to show."""
    return "".join(char for char in text if char.isprintable())[:100]
