"""Accepts connections on a bound socket, within limits, and ends them in order.

`asyncio.Server` is not used: its `wait_closed` waits for other things on 3.11, 3.12 and 3.13, and it knows a
connection only after the TLS handshake, too late to count it.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from logging import Logger
from typing import cast

from gateway.listener.http11 import Http11, Peer
from gateway.listener.limits import Limits, Refusals
from gateway.listener.link import Link
from gateway.listener.shared import App, Shared

_BACKLOG = 512
_ACCEPTS_AT_ONCE = 64
_PAUSE_S = 1.0
_LAST_S = 1.0  # after the grace, for handlers to notice that they were cancelled


class Listener:
    """Serves one ASGI application on one socket. A unix socket has no addresses and so no limit for each."""

    def __init__(
        self,
        app: App,
        sock: socket.socket,
        *,
        limits: Limits,
        allow: Callable[[str], bool] | None = None,
        tls: ssl.SSLContext | None = None,
        on_refused: Callable[[str, str], None] | None = None,
        server_log: Logger,
    ) -> None:
        self._sock = sock
        self._limits = limits
        self._allow = allow
        self._tls = tls
        self._log = server_log
        self._refusals = Refusals(on_refused)
        self._shared = Shared(app=app, limits=limits, refusals=self._refusals, log=server_log)
        self._open: dict[asyncio.Task[None], Link | None] = {}
        self._from: Counter[str] = Counter()
        self._pause: asyncio.TimerHandle | None = None
        self._stopping = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """How many requests the application is working on."""
        return self._shared.in_flight

    @property
    def refused(self) -> Mapping[str, int]:
        """How often something was refused, by reason."""
        return self._refusals.by_reason

    async def start(self) -> None:
        """Begin to accept."""
        self._sock.setblocking(False)
        self._sock.listen(_BACKLOG)
        self._resume()

    def _resume(self) -> None:
        self._pause = None
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as fault:
                self._cannot_accept(fault)
                return
            self._admit(sock, _client(peer))

    def _cannot_accept(self, fault: OSError) -> None:
        """Wait a moment: the connection stays in the backlog, and the loop must not spin on it."""
        self._log.error("cannot accept connections: %s; the next try is in %g s", fault.strerror, _PAUSE_S)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        self._pause = loop.call_later(_PAUSE_S, self._resume)

    def _admit(self, sock: socket.socket, client: Peer) -> None:
        address = client[0] if client else ""
        reason = self._objection(address)
        if reason:
            sock.close()
            self._refusals.add(address, reason)
            return
        self._from[address] += 1
        task = asyncio.get_running_loop().create_task(self._serve(sock, client))
        self._open[task] = None
        task.add_done_callback(lambda ended: self._forget(ended, address))

    def _objection(self, address: str) -> str:
        if address and self._allow is not None and not self._allow(address):
            return "not_allowed"
        if len(self._open) >= self._limits.connections and not self._retire_idle():
            return "too_many"
        if address and self._from[address] >= self._limits.connections_per_address:
            return "too_many_from_address"
        return ""

    def _retire_idle(self) -> bool:
        """Close the connection that has been open longest of those between two requests; it can come again."""
        for link in self._open.values():
            if link is not None and link.idle and not link.stopping:
                link.stop(at_once=True)
                return True
        return False

    def _forget(self, task: asyncio.Task[None], address: str) -> None:
        del self._open[task]
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]

    async def _serve(self, sock: socket.socket, client: Peer) -> None:
        link = None
        try:
            link = await self._connect(sock)
            self._open[cast("asyncio.Task[None]", asyncio.current_task())] = link
            if self._stopping:  # it was accepted in the last moment, and is answered all the same
                link.stop()
            await Http11(self._shared, link, client, _server(sock), tls=self._tls is not None).serve()
        except OSError:  # the client is gone, or no TLS came about
            if link is None:
                self._refusals.add(client[0] if client else "", "tls")
        except Exception:  # noqa: BLE001 - a fault in one connection must not pass in silence
            self._log.exception("a connection ended by a fault of the listener")
        finally:
            if link is None:
                sock.close()
            else:
                link.abort()

    async def _connect(self, sock: socket.socket) -> Link:
        """Wrap the socket; with TLS, shake hands within the time that a head may take."""
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        _, link = await loop.connect_accepted_socket(
            lambda: Link(self._limits),
            sock,
            ssl=self._tls,
            ssl_handshake_timeout=self._limits.header_deadline_s if self._tls else None,
        )
        return link

    async def stop(self, grace_s: float) -> None:
        """Close what is idle now, let the application finish its answers, and cut off the rest after the grace."""
        self._stopping = True
        if self._pause is not None:
            self._pause.cancel()
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
        for task, link in self._open.items():
            if link is not None:
                link.stop()
            elif self._tls is not None:
                task.cancel()
        try:
            await self._ended_within(grace_s)
        finally:
            for task, link in self._open.items():
                task.cancel()
                if link is not None:
                    link.abort()
        await self._ended_within(_LAST_S)

    async def _ended_within(self, seconds: float) -> None:
        if self._open:
            await asyncio.wait(set(self._open), timeout=seconds)


def _client(peer: object) -> Peer:
    """Take address and port out of what `accept` says; an IPv4 client of an IPv6 socket is an IPv4 client."""
    if not isinstance(peer, tuple):
        return None  # a unix socket
    address, port = peer[:2]
    return address.removeprefix("::ffff:").partition("%")[0], port


def _server(sock: socket.socket) -> Peer:
    name = sock.getsockname()
    return (name[0], name[1]) if isinstance(name, tuple) else None
