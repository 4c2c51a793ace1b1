"""Ask the running daemon over its unix socket."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    import httpx2

_TIMEOUT_S = 10.0
_MOST_BYTES, _PIECE_BYTES = 64 << 20, 64 << 10  # of an answer; the log of all events has no business here


def _bounded(answer: "httpx2.Response") -> bytes:
    """Give what was answered; whoever took the socket over does not fill the memory of a command."""
    told = bytearray()
    for piece in answer.iter_bytes(_PIECE_BYTES):
        told += piece
        if len(told) > _MOST_BYTES:
            raise GatewayError("The gateway's answer has no end: it is given up.")
    return bytes(told)


def _lines(answer: "httpx2.Response") -> Iterator[bytes]:
    """Give line after line as they come, bounded as above."""
    begun = bytearray()
    for piece in answer.iter_bytes():
        first, *more = piece.split(b"\n")
        begun += first
        for one in more:
            yield bytes(begun)
            begun = bytearray(one)
        if len(begun) > _MOST_BYTES:
            raise GatewayError("The gateway's answer has no end: it is given up.")


class DaemonDown(GatewayError):
    """No daemon answers on the control socket."""

    def told_with(self, advice: str) -> str:
        """Give the sentence, and behind it what to do about a daemon that does not run."""
        return f"{self} {advice}"


class NotAllowed(DaemonDown):
    """This user may not open the control socket: whether a daemon runs, he cannot tell."""

    def told_with(self, advice: str) -> str:
        """Give the sentence alone, which says what to do."""
        del advice
        return str(self)


class Client:
    """One connection to the daemon. Every call raises `DaemonDown` when there is none."""

    def __init__(self, socket: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s

    def get(self, path: str, **query: str) -> dict[str, object]:
        """Read something."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        """Do something; raises `GatewayError` with the daemon's sentence when it refuses."""
        return self._ask("POST", path, json=body)

    def tail(self) -> Iterator[dict[str, object]]:
        """Follow the pushes as they come."""
        import httpx2  # noqa: PLC0415 - a command that does not need it starts faster

        try:
            with self._client(None) as client, client.stream("GET", "/tail") as answer:
                for line in _lines(answer):
                    if line.strip():
                        yield json.loads(line)
        except httpx2.TransportError as error:
            raise self._down(error) from error

    def _ask(self, method: str, path: str, **how: object) -> dict[str, object]:
        import httpx2  # noqa: PLC0415 - a command that does not need it starts faster

        try:
            with (
                self._client(self._timeout_s) as client,
                client.stream(method, path, **how) as answer,  # type: ignore[arg-type]  # params and json
            ):
                told = _bounded(answer)
        except (httpx2.TransportError, OSError) as error:
            raise self._down(error) from error
        try:
            body: dict[str, object] = json.loads(told)
        except ValueError as error:
            raise GatewayError(
                f"The gateway failed on this request ({answer.status_code}): its log says why."
            ) from error
        if answer.status_code >= 400:
            raise GatewayError(str(body.get("problem", f"The daemon answered {answer.status_code}.")))
        return body

    def _client(self, timeout_s: float | None) -> "httpx2.Client":
        import httpx2  # noqa: PLC0415 - a command that does not need it starts faster

        # No TLS on a unix socket; without this the client reads every authority of the system first.
        transport = httpx2.HTTPTransport(uds=str(self._socket), verify=False)
        return httpx2.Client(
            transport=transport, base_url="http://gateway", timeout=timeout_s, trust_env=False
        )

    def _down(self, error: Exception) -> DaemonDown:
        import httpx2  # noqa: PLC0415 - a command that does not need it starts faster

        if isinstance(error, httpx2.TimeoutException):
            return DaemonDown(
                f"The gateway does not answer: {self._socket} is open, and nothing came in {self._timeout_s:.0f} s."
            )
        if isinstance(error.__cause__, PermissionError) or "Permission" in str(error):
            return NotAllowed(f"This user may not open {self._socket}: run the command with sudo.")
        return DaemonDown(f"The gateway is not running (nothing answers on {self._socket}).")
