"""The gateway itself, as the process that it is on a site: the demo only starts it, asks it and stops it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from gateway.errors import GatewayError
from gateway.simulate import guard

# Asks the daemon on a control socket; raises `GatewayError` when it does not answer.
Ask: TypeAlias = Callable[[Path, str], Mapping[str, Any]]

_READY_S = 30.0
_STOP_S = 30.0
_OF_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Daemon:
    """A gateway with a configuration of its own; a guard ends it should the demo be killed. Its calls block."""

    def __init__(self, config: Path, socket: Path, log: Path, ask: Ask) -> None:
        self.config, self.log = config, log
        self.socket, self._ask = socket, ask
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start it and wait until it takes pushes."""
        command = [sys.executable, "-P", str(Path(guard.__file__)), *self._command("run")]
        own = {name: value for name, value in os.environ.items() if name not in _OF_SYSTEMD}
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the demo, which stops everything in its order.
            self._guard = subprocess.Popen(  # noqa: S603 - this very program
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=own,
            )
        self._pid = int((self._guard.stdout and self._guard.stdout.readline()) or 0)
        last = time.monotonic() + _READY_S
        while not self._answers():
            if not self.running or time.monotonic() > last:
                raise GatewayError(f"The gateway did not start. The end of {self.log}:\n{self.last_lines()}")
            time.sleep(0.05)

    def ask(self, path: str) -> Mapping[str, Any]:
        """Read something of the running daemon."""
        return self._ask(self.socket, path)

    def stop(self) -> int | None:
        """Ask it to stop as systemd does; give its exit status, or None when it had to be ended by force."""
        started = self._guard
        if started is None:
            return None
        if self.running and self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = started.wait(_STOP_S)
        self.close()
        return status

    def close(self) -> None:
        """End it in every case."""
        started, self._guard = self._guard, None
        if started is not None:
            for pipe in (started.stdin, started.stdout):
                if pipe is not None:
                    pipe.close()  # for the guard the sign to end what still runs
            started.wait()

    def accounts(self) -> list[dict[str, Any]]:
        """Read every sink's account, checked against the log, as `gateway sinks` tells it."""
        told = subprocess.run(  # noqa: S603 - this very program
            self._command("sinks", "--json"), capture_output=True, check=False, timeout=60
        )
        try:
            rows: list[dict[str, Any]] = json.loads(told.stdout)
        except ValueError:
            reason = told.stderr.decode(errors="replace").strip()
            raise GatewayError(f"The account cannot be read: {reason}") from None
        return rows

    def last_lines(self, number: int = 12) -> str:
        """Give the end of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-number:])
        except OSError as error:
            return str(error)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gateway", "-c", str(self.config), *words]

    def _answers(self) -> bool:
        try:
            return bool(self.ask("/status"))
        except GatewayError:
            return False
