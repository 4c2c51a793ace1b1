"""A daemon with both ports, and ways to call the one for callbacks."""

import http.client
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from site_under_test import Daemon, free_port

FIXTURES = Path(__file__).parents[1] / "fixtures"
SECRET = "token 7c5d2f9a41b84f0c-Qx7"
NEWER = "token 0000000000000000-Zz9"
CONFIG = """
[gateway]
id = "gw-callbacks"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{directory}/store"
ballast_bytes = 0
{store}
[runtime]
socket = "{directory}/control.sock"
log_format = "json"
[callbacks]
enabled = {enabled}
port = {callbacks}
{secrets}
{more}
"""


def body_of(source: str, case: str) -> bytes:
    return (FIXTURES / source / case / "body").read_bytes()


INCIDENT = body_of("camio", "incident_offline")
COUNT = body_of("people_counter", "vendor_interval")


class Called:
    """A daemon without sinks, whose callbacks port is open."""

    def __init__(self, directory: Path, **more: str) -> None:
        self.directory = directory
        self.port = free_port()
        for name, text in {"header-old": SECRET, "header-new": NEWER}.items():
            (directory / name).write_text(text + "\n")
            (directory / name).chmod(0o600)
        self._listen = free_port()
        config = directory / "config.toml"
        self.daemon = Daemon(directory, config, self._listen)
        self.configure(**more)

    def configure(
        self, *names: str, enabled: bool = True, store: str = "", more: str = "", port: int | None = None
    ) -> None:
        files = ", ".join(f'"{self.directory}/{name}"' for name in names or ("header-old",))
        self.port = self.port if port is None else port
        self.daemon.config.write_text(
            CONFIG.format(
                port=self._listen,
                directory=self.directory,
                store=store,
                enabled=str(enabled).lower(),
                callbacks=self.port,
                secrets=f"secret_file = [{files}]",
                more=more,
            )
        )

    def start(self) -> "Called":
        self.daemon.start()
        self.until(lambda: self.status()["callbacks"]["listen"], "the callbacks port is not open")
        return self

    def reload(self) -> None:
        before = self.daemon.log.read_text().count("config_reloaded")
        self.daemon.signal(signal.SIGHUP)
        self.until(
            lambda: self.daemon.log.read_text().count("config_reloaded") > before, "the reload did not come"
        )

    def call(
        self,
        body: bytes = INCIDENT,
        headers: tuple[tuple[str, str], ...] = (("Authorization", SECRET),),
        *,
        method: str = "POST",
        path: str = "/camio",
        lan: bool = False,
    ) -> tuple[int, bytes]:
        """Call with raw headers, so that one can be there twice."""
        connection = http.client.HTTPConnection("127.0.0.1", self._listen if lan else self.port, timeout=10)
        try:
            connection.putrequest(method, path)
            for name, value in (("Content-Length", str(len(body))), *headers):
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def rows(self, query: str, *values: object) -> list[tuple]:
        with sqlite3.connect(f"file:{self.directory}/store/gateway.db?mode=ro", uri=True) as conn:
            return conn.execute(query, values).fetchall()

    def status(self) -> dict:
        return json.loads(self.daemon.asked("status", "--json").stdout)

    def faults(self) -> dict[str, dict]:
        return {fault["code"]: fault for fault in self.status()["faults"]}

    def until(self, holds: Callable[[], object], complaint: str, *, wait_s: float = 10.0) -> None:
        deadline = time.monotonic() + wait_s
        while not holds():
            assert time.monotonic() < deadline, f"{complaint}\n{self.daemon.tail()}"
            time.sleep(0.05)

    def everything_written(self) -> bytes:
        """Give every byte that the daemon left: store, WAL, log, copies of the configuration."""
        files = [path for path in self.directory.rglob("*") if path.is_file() and not path.is_socket()]
        return b"\n".join(path.read_bytes() for path in files if not path.name.startswith("header-"))

    def close(self) -> None:
        if self.daemon.running:
            self.daemon.stop()


def taken_port() -> socket.socket:
    """Hold a port that nobody else can have."""
    return socket.create_server(("127.0.0.1", 0))
