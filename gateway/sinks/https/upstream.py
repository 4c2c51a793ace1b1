"""The far end: one signed request, one answer, within one deadline.

The client has no deadline for a whole exchange (each byte of a dripping answer starts its read timeout
anew), so every request runs inside its own. The connection is kept between requests, but given up
before the usual five seconds after which servers close an idle one, so that no request meets its end.
"""

import ssl
import zlib
from contextlib import aclosing
from time import time
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from gateway import wary
from gateway.errors import SinkUnavailable
from gateway.sinks.https.failure import unanswered
from gateway.sinks.https.options import HttpsOptions
from gateway.sinks.https.signature import Signer
from gateway.sinks.https.verdict import Answer, named, quoted

if TYPE_CHECKING:
    import httpx2

_CLOSE_S = 2.0
_ANSWER_BYTES = 8192
_GZIP_FROM = 1000  # bytes; a smaller body fits one packet anyway
_THREAD_FROM = 65_536  # bytes; compressing and signing more than this would hold up the replies to devices


class Upstream:
    """The receiver at the endpoint, as one connection."""

    def __init__(self, options: HttpsOptions, content_type: str) -> None:
        # The client is imported here, so that a gateway without this sink does not pay for it.
        import httpx2  # noqa: PLC0415 - see the line above

        self._httpx = httpx2
        self._options = options
        self._signer = Signer(options.secrets)
        secure = options.endpoint.startswith("https:")
        self._tls = (options.tls or ssl.create_default_context()) if secure else False
        self._hidden = options.hidden
        self._headers = {
            **options.headers,
            "accept-encoding": "identity",
            "content-type": content_type,
            "user-agent": "site-gateway",
        }
        if options.bearer is not None:
            self._headers["authorization"] = f"Bearer {options.bearer}"
        self._client: httpx2.AsyncClient | None = None

    async def open(self) -> None:
        """Begin with a new client; the receiver is reached by the next request."""
        await self.close()
        self._client = wary.client(verify=self._tls)

    async def close(self) -> None:
        """Close the connection, without waiting for a far end that does not."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(_CLOSE_S, shield=True):
                try:
                    await client.aclose()
                except (self._httpx.HTTPError, *_BROKEN):
                    pass  # it was broken already; there is nothing left to close

    async def post(self, request_id: str, body: bytes) -> Answer:
        """Send one body and read the whole answer, or raise `SinkUnavailable`."""
        if self._client is None:
            await self.open()
        if len(body) < _THREAD_FROM:
            headers, content = self._prepared(request_id, body)
        else:
            headers, content = await anyio.to_thread.run_sync(self._prepared, request_id, body)
        heard: list[int] = []
        try:
            with anyio.fail_after(self._options.timeout_s):
                return await self._exchange(headers, content, heard)
        except TimeoutError as error:
            raise SinkUnavailable(self._late(heard), fault="https_timeout") from error
        except (self._httpx.HTTPError, self._httpx.InvalidURL, *_BROKEN) as error:
            raise unanswered(error, self._options.place) from error

    def _prepared(self, request_id: str, body: bytes) -> tuple[dict[str, str], bytes]:
        headers = {**self._headers, **self._signer.headers(request_id, int(time()), body)}
        if self._options.gzip and len(body) >= _GZIP_FROM:
            headers["content-encoding"] = "gzip"
            body = zlib.compress(body, level=1, wbits=31)
        return headers, body

    async def _exchange(self, headers: dict[str, str], content: bytes, heard: list[int]) -> Answer:
        assert self._client is not None  # noqa: S101 - `post` opened it; this is for the type checker
        async with self._client.stream(
            "POST", self._options.endpoint, content=content, headers=headers
        ) as response:
            heard.append(response.status_code)
            text = (await _beginning(response)).decode("utf-8", "replace")
            return Answer(response.status_code, response.headers, quoted(text, hide=self._hidden))

    def _late(self, heard: list[int]) -> str:
        limit = f"within {self._options.timeout_s:g} s"
        if heard:
            began = f"{self._options.place} began to answer {named(heard[0])} but did not end"
            return f"{began} {limit}; the gateway tries again"
        return (
            f"{self._options.place} did not answer {limit}; the gateway tries again. "
            "If it lasts: check the network, and whether the receiver is overloaded"
        )


# What the client lets through unwrapped: an alert of TLS 1.3 after the handshake, a stream closed under it.
_BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


async def _beginning(response: "httpx2.Response") -> bytes:
    """Read the answer to its end, or as much as anybody would want to see of it."""
    text = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            text += chunk
            if len(text) >= _ANSWER_BYTES:
                break
    return bytes(text[:_ANSWER_BYTES])
