"""Starts a real MQTT broker for the demo and the tests: only on 127.0.0.1, and gone when we are gone.

A broker that is killed forgets what it acknowledged since its last save, and iotcore keeps all in memory:
after `kill` a consumer may miss what the broker lost, which is no loss of the gateway's.
"""

import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from gateway.errors import GatewayError
from gateway.simulate.ports import free_port

_GUARD = Path(__file__).with_name("guard.py")
_SYSTEM_PATHS = "/usr/sbin:/usr/local/sbin"  # where Debian puts it, and where no user's PATH looks
_LARGEST_MESSAGE = 4_194_304
_READY_S = 10.0

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
max_queued_messages 0
persistence true
persistence_location {directory}/
autosave_interval 1
log_dest stderr
log_type error
log_type warning
"""
_IOTCORE = """\
id = 0
[router]
id = 0
max_connections = 200
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "local"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = {largest}
max_inflight_count = 200
dynamic_filters = true
"""


class Broker:
    """mosquitto when it is installed, else iotcore. Start and stop block for a moment."""

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        program: Literal["mosquitto", "iotcore"] | None = None,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="broker-") if directory is None else None
        self._directory = directory or Path(self._temporary.name if self._temporary else ".")
        self._mosquitto = find_mosquitto() if program != "iotcore" else None
        if not self._mosquitto and (program == "mosquitto" or not importlib.util.find_spec("iotcore")):
            raise GatewayError(
                "There is no MQTT broker to start. Install mosquitto (apt install mosquitto), or the one that"
                " comes with pip: pip install 'site-gateway[demo]'."
            )
        self.program = "mosquitto" if self._mosquitto else "iotcore"
        self.version: Literal["5", "3.1.1"] = "5" if self._mosquitto else "3.1.1"  # the one that clients use
        self.port = port or free_port()
        self.log = self._directory / f"{self.program}.log"
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> Self:
        """Start it and wait until it takes connections; on the same port each time."""
        if self.running:
            return self
        command = [sys.executable, "-P", str(_GUARD), *self._command()]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for us, and the broker has to live until everything has left.
            guard = subprocess.Popen(  # noqa: S603 - our own program and a file that we wrote
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        self._guard = guard
        self._pid = int((guard.stdout and guard.stdout.readline()) or 0)
        last = time.monotonic() + _READY_S
        while not self._takes_connections():
            if guard.poll() is not None or time.monotonic() > last:
                self.kill()
                raise GatewayError(f"{self.program} did not start on port {self.port}; {self.log} says why.")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End it in good order; mosquitto keeps sessions, queued and retained messages."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it for good and remove its files, when nobody named a directory for them."""
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _command(self) -> list[str]:
        if self._mosquitto:
            path = self._directory / "mosquitto.conf"
            path.write_text(
                _MOSQUITTO.format(port=self.port, user=getpass.getuser(), directory=self._directory)
            )
            return [self._mosquitto, "-c", str(path)]
        path = self._directory / "iotcore.toml"
        path.write_text(_IOTCORE.format(port=self.port, largest=_LARGEST_MESSAGE))
        return [sys.executable, "-P", "-m", "iotcore", "--config", str(path), "--log-level", "CRITICAL"]

    def _end(self, how: signal.Signals) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        if guard.poll() is None and self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, how)
        for pipe in (guard.stdin, guard.stdout):
            if pipe is not None:
                pipe.close()  # the guard ends the broker now, in case it did not hear
        guard.wait()

    def _takes_connections(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=0.2):
            return True
        return False


def find_mosquitto() -> str | None:
    """Tell where mosquitto is installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATHS}")
