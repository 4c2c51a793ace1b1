"""Devices of the peer table: they push one after the other on their own connection and note what was acknowledged."""

import http.client
import threading
import time
from typing import Self

from load import Generator
from peer_far_end import keys_in


class Pushers:
    """Devices that push until they are told to stop, or until the system is gone; as a context."""

    def __init__(
        self,
        generator: Generator,
        port: int,
        path: str,
        *,
        devices: int,
        workload: str = "W1",
        per_s: float = 0,
    ) -> None:
        self.acknowledged: dict[str, float] = {}  # key: when it was sent (perf_counter)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._make = lambda device: generator.own_body(workload, device)
        self._type = generator.workloads[workload].content_type
        self._port, self._path, self._pause = port, path, 1 / per_s if per_s else 0.0
        self._threads = [
            threading.Thread(target=self._push, args=(90_000 + device,), daemon=True)
            for device in range(devices)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def until(self, count: int, seconds: float) -> None:
        """Wait until so many pushes were acknowledged; a system that takes no more must not be waited for."""
        deadline = time.monotonic() + seconds
        while len(self.acknowledged) < count:
            pushing = any(thread.is_alive() for thread in self._threads)
            if not pushing or time.monotonic() > deadline:
                raise SystemExit(f"bench: {len(self.acknowledged)} of {count} pushes were acknowledged")
            time.sleep(0.05)

    def _push(self, device: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stop.is_set():
            with self._lock:
                body = self._make(device)
            key = keys_in(body.decode())[0]
            sent = time.perf_counter()
            try:
                connection.request("POST", self._path + key, body, {"Content-Type": self._type})
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException):
                return  # it was ended
            if reply.status == 200:
                with self._lock:
                    self.acknowledged[key] = sent
            if self._pause:
                self._stop.wait(self._pause)
