"""Where the events go: a mosquitto and an HTTPS receiver, each a process of its own."""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from broker import Broker, Listening
from processor import pinned

_HERE = Path(__file__).parent
_SYS_COUNT = "$SYS/broker/publish/messages/received"


class FarEnds:
    """Both, as a context."""

    def __init__(self, directory: Path, cpu: int | None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.secret_file = directory / "signing-secret"
        self.secret_file.write_text("whsec_" + base64.b64encode(os.urandom(32)).decode())
        self.secret_file.chmod(0o600)
        self._broker = Broker(directory, cpu=cpu)
        self.broker_port = self._broker.port
        self.url = self.ca_file = ""
        self._directory = directory
        self._cpu = cpu
        self._upstream: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        self._broker.__enter__()
        self._upstream = subprocess.Popen(
            pinned(self._cpu, sys.executable, str(_HERE / "upstream.py"), str(self._directory)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = json.loads(self._upstream.stdout.readline())
        self.url, self.ca_file = told["url"], told["ca"]
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.__exit__()
        if self._upstream is not None:
            self._upstream.stdin.close()
            self._upstream.wait(10)

    def upstream(self, word: str = "count") -> dict[str, int]:
        """Ask the HTTPS receiver what it took; "forget" empties its ledger."""
        self._upstream.stdin.write(word + "\n")
        self._upstream.stdin.flush()
        return json.loads(self._upstream.stdout.readline())

    def published(self) -> int:
        """Ask the broker how many messages were published to it since it started; it counts once a second."""
        with Listening(self.broker_port, _SYS_COUNT) as listening:
            time.sleep(2.5)
            return int(listening.messages[-1][1]) if listening.messages else 0
