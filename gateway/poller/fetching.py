"""One connection to a polled system: one ask, one answer, within one deadline and one size.

The client is imported when the first poll starts. It has no deadline for a whole exchange, so each has one
of its own; redirects and proxies from the environment are never followed.
"""

import ssl
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio

from gateway import clock, wary
from gateway.poller.trouble import broken, late, redirected
from gateway.source import Answer, Ask

if TYPE_CHECKING:
    import httpx2

_CLOSE_S = 2.0
# What the client lets through unwrapped: an alert of TLS 1.3 after the handshake, a stream closed under it.
_BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


def trust() -> ssl.SSLContext:
    """Say whom polled systems must be vouched for by: the system's authorities."""
    return ssl.create_default_context()


class Fetcher:
    """The way to one endpoint."""

    def __init__(self, endpoint: str) -> None:
        import httpx2  # noqa: PLC0415 - a gateway that polls nothing does not pay for it

        self._httpx = httpx2
        self._endpoint = endpoint.rstrip("/")
        self._client: httpx2.AsyncClient | None = None

    async def fetch(self, ask: Ask) -> Answer:
        """Ask, or raise `PollUnavailable` with the step that failed and what to do about it."""
        try:
            with anyio.fail_after(ask.timeout_s):
                return await self._exchange(ask)
        except TimeoutError as error:
            raise late(self._endpoint, ask.timeout_s) from error
        except (self._httpx.HTTPError, self._httpx.InvalidURL, *_BROKEN) as error:
            await self.close()
            raise broken(self._endpoint, error) from error

    async def close(self) -> None:
        """Close the connection, without waiting for a far end that does not."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(_CLOSE_S, shield=True):
                try:
                    await client.aclose()
                except (self._httpx.HTTPError, *_BROKEN):
                    pass  # it was broken already; there is nothing left to close

    async def _exchange(self, ask: Ask) -> Answer:
        client = self._opened()
        headers = {"accept": "application/json", "user-agent": "site-gateway", "accept-encoding": "identity"}
        request = client.build_request(
            "GET",
            self._endpoint + "/",
            headers={**headers, **ask.headers},
            extensions={
                "target": ask.target.encode("ascii")
            },  # as it was signed, whatever a URL would make of it
        )
        response = await client.send(request, stream=True)
        try:
            if response.is_redirect:
                raise redirected(self._endpoint, response.status_code, response.headers.get("location", ""))
            body, cut = await _body(response, ask.max_bytes)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            received_at=clock.now(),
            target=ask.target,
            cut=cut,
        )

    def _opened(self) -> "httpx2.AsyncClient":
        if self._client is None:
            secure = self._endpoint.startswith("https:")
            self._client = wary.client(verify=trust() if secure else False)
        return self._client


async def _body(response: "httpx2.Response", most: int) -> tuple[bytes, bool]:
    """Give the body, and whether it was given up because it is longer than it may be."""
    body = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > most:
                return bytes(memoryview(body)[:most]), True
    return bytes(body), False
