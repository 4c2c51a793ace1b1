"""Everything of one site in one directory: broker, subscriber, upstream, and the gateway between them."""

import asyncio
import base64
import importlib.util
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, Self

from gateway.errors import GatewayError
from gateway.simulate.broker import Broker
from gateway.simulate.demo.cable import Cable
from gateway.simulate.demo.daemon import Ask, Daemon
from gateway.simulate.receiver import Outcome, Receiver
from gateway.simulate.subscriber import Subscriber

MQTT_SINK, HTTPS_SINK = "broker", "upstream"
GATEWAY_ID = "demo"
_LONGEST_SOCKET = 100  # Linux allows 107 bytes
_QUIET_S = 0.3
_AT_MOST_S = 5.0
_CONFIG = """\
# Written by `gateway demo`. Everything in it is on this machine, and the secret is a new one each time.

[gateway]
id = "{id}"
name = "The demo"

# All of it lives on this machine, so all of it goes by the same clock, whoever sets that.
[clock]
trust = "plausible"

[site]
zone = "UTC"

[listen]
host = "127.0.0.1"
port = 0

[store]
path = {store}
max_bytes = "1 GiB"
min_free_bytes = "20 MiB"

[runtime]
socket = {socket}
log_format = "console"
stop_grace_s = 4

[sinks.{mqtt}]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{mqtt_port}"
version = "{mqtt_version}"
backoff_max_s = 2

[sinks.{https}]
type = "https"
endpoint = "{upstream}"
ca_file = {ca_file}
secret_file = {secret_file}
batch = 50
backoff_max_s = 2
timeout_s = 5
"""


class Site:
    """Nothing of it outlives `aclose`, which may be called at any time and more than once."""

    def __init__(self, directory: Path, ask: Ask, program: Literal["mosquitto", "iotcore"] | None) -> None:
        if importlib.util.find_spec("trustme") is None:
            raise GatewayError(
                "The demo needs two more packages, for a broker and for certificates. Install them with:"
                f" {sys.executable} -m pip install 'site-gateway[demo]'"
            )
        self._things = AsyncExitStack()
        (directory / "broker").mkdir()
        self.broker = Broker(directory / "broker", program=program)
        self._secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.upstream = Receiver(directory, secrets=(self._secret,), keep_data=True)
        self.subscriber = Subscriber(
            self.broker.host, self.broker.port, topics=("gateway/+/+/event",), version=self.broker.version
        )
        self.cable = Cable(self.broker.port)
        self.directory = directory
        self.daemon = Daemon(directory / "config.toml", self._socket(), directory / "gateway.log", ask)
        self.url = ""  # known once the gateway runs

    async def start(self) -> Self:
        """Start all of it, the far ends first."""
        self._at_end(self.broker.stop)
        await asyncio.to_thread(self.broker.start)
        self._at_end(self.subscriber.stop)
        await asyncio.to_thread(self.subscriber.start)
        self._at_end(self.upstream.stop)
        await asyncio.to_thread(self.upstream.start)
        self._things.push_async_callback(self.cable.pull)
        await self.cable.plug()
        self._write_config()
        self._at_end(self.daemon.close)
        await asyncio.to_thread(self.daemon.start)
        told = await asyncio.to_thread(self.daemon.ask, "/status")
        self.url = f"http://{told['listen']}/"
        return self

    async def aclose(self) -> None:
        """End whatever still runs, the gateway first."""
        await self._things.aclose()

    async def stop_broker(self) -> None:
        """Pull the cable, let the broker hand on what it has acknowledged, and stop it."""
        await self.cable.pull()
        last, seen = time.monotonic() + _AT_MOST_S, -1
        while seen != self.subscriber.distinct and time.monotonic() < last:
            seen = self.subscriber.distinct
            await asyncio.sleep(_QUIET_S)
        await asyncio.to_thread(self.broker.stop)

    async def start_broker(self) -> None:
        """Start it, wait until the subscriber is there again, and plug the cable in."""
        await asyncio.to_thread(self.broker.start)
        last = time.monotonic() + _AT_MOST_S
        while not self.subscriber.connected and time.monotonic() < last:  # noqa: ASYNC110 - it lives in a thread
            await asyncio.sleep(0.05)
        await self.cable.plug()

    def spoil_upstream(self) -> None:
        """Let the upstream refuse everything for now."""
        self.upstream.decide = lambda _request: Outcome(status=503)

    def mend_upstream(self) -> None:
        """Let the upstream take what comes."""
        self.upstream.decide = None

    def _at_end(self, end: Callable[[], None]) -> None:
        """Call this at the end, in a thread: it blocks, and the cable has to carry on meanwhile."""
        self._things.push_async_callback(asyncio.to_thread, end)

    def _socket(self) -> Path:
        near = self.directory / "control.sock"
        if len(os.fsencode(near)) <= _LONGEST_SOCKET:
            return near
        elsewhere = tempfile.TemporaryDirectory(prefix="gwdemo-", dir="/tmp")  # its name is short everywhere
        self._at_end(elsewhere.cleanup)
        return Path(elsewhere.name) / "control.sock"

    def _write_config(self) -> None:
        secret_file = self.directory / "signing-secret"
        secret_file.touch(mode=0o600)
        secret_file.write_text(self._secret)
        paths = {
            "store": self.directory / "store",
            "socket": self.daemon.socket,
            "ca_file": self.upstream.ca_file,
            "secret_file": secret_file,
        }
        quoted = {name: json.dumps(str(path)) for name, path in paths.items()}  # a JSON text is a TOML text
        self.daemon.config.write_text(
            _CONFIG.format(
                id=GATEWAY_ID,
                mqtt=MQTT_SINK,
                https=HTTPS_SINK,
                mqtt_port=self.cable.port,
                mqtt_version=self.broker.version,
                upstream=self.upstream.url,
                **quoted,
            )
        )
