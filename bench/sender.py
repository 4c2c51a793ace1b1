"""A sender in Python, for latency and for quiet devices; rates are wrk's business.

Blocking sockets, one request at a time on each connection, as the devices do it.
"""

import socket
import time
from typing import Self

from load import BadRun, Generator


class Sender:
    """One device on one keep-alive connection."""

    def __init__(self, generator: Generator, port: int, workload: str, device: int) -> None:
        self._generator = generator
        self._workload = workload
        self._device = device
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def push(self) -> tuple[bytes, float, float]:
        """Send one new event; give its body, when it was sent (perf_counter) and how long the reply took (s)."""
        body = self._generator.own_body(self._workload, self._device)
        kind = self._generator.workloads[self._workload].content_type
        head = f"POST /push HTTP/1.1\r\nHost: gateway\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        request = head.encode() + body
        sent = time.perf_counter()
        self._socket.sendall(request)
        self._read_reply()
        return body, sent, time.perf_counter() - sent

    def _read_reply(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise BadRun(f"a push was answered with {head[:60]!r}")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields[b"content-length"]):
            body += self._more()

    def _more(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise BadRun("the connection was closed instead of a reply")
        return data
