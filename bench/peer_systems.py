"""The systems of the peer table as processes: how each is installed, configured, started and ended.

Each gets two ways to push, one for either workload, and publishes with QoS 1 to one broker. What each promises at the
moment of its 200 is not the same: ours has committed, ThingsBoard's has put it on a queue in memory, Node-RED's has
nothing but the message in its hands.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, Protocol

from broker import wait_for_port
from processor import pinned
from server import Server, Site

from gateway.simulate.ports import free_port

THINGSBOARD = "3.8.5"
NODE_RED = "5.0.7"
NODE = "22.23.3"  # Node-RED 5 needs 22.9; an older one silently gets Node-RED 4
_PIP = (f"thingsboard-gateway=={THINGSBOARD}", "aiohttp==3.14.5", "requests==2.34.2", "simplejson==4.3.0")


@dataclass(frozen=True)
class Place:
    """Where a system runs: its own directory, the broker it publishes to, its processor."""

    directory: Path
    broker_port: int
    cpu: int | None = None


class System(Protocol):
    """One run of a system; it can be ended and started again on what it kept."""

    port: int
    stop_signal: signal.Signals
    paths: dict[str, str]  # workload: path of the push; what follows it is the event's key

    def start(self) -> None:
        """Start and wait until its port answers."""

    def end(self, how: signal.Signals) -> None:
        """Send the signal and wait until it is gone."""

    @property
    def pid(self) -> int: ...


class Ours:
    name = "this gateway"
    promise = "committed to disk (fsync)"
    paths: ClassVar = {"W1": "/push?", "W2": "/push?"}
    stop_signal = signal.SIGTERM

    def __init__(self, place: Place) -> None:
        ends = SimpleNamespace(broker_port=place.broker_port)
        self._server = Server(Site(directory=place.directory, far_ends=ends, https="", cpu=place.cpu))
        self.port = self._server.port

    @property
    def pid(self) -> int:
        return self._server.pid

    def start(self) -> None:
        self._server.__enter__()

    def end(self, how: signal.Signals) -> None:
        _end(self._server._process, how)


class _Process:
    """A peer: files in a directory and one command."""

    stop_signal = signal.SIGTERM
    paths: ClassVar = {"W1": "/push?", "W2": "/record?"}

    def __init__(self, place: Place) -> None:
        self.port = free_port()
        self._place = place
        self._process: subprocess.Popen | None = None
        place.directory.mkdir(parents=True, exist_ok=True)

    def command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        words, environment = self.command()
        with (self._place.directory / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                pinned(self._place.cpu, *words),
                stdout=log,
                stderr=log,
                cwd=self._place.directory,
                env={**os.environ, **environment},
            )
        wait_for_port(self.port, 60)

    def end(self, how: signal.Signals) -> None:
        _end(self._process, how)


class ThingsBoard(_Process):
    name = f"ThingsBoard IoT Gateway {THINGSBOARD}"
    promise = "on a queue in memory"
    stop_signal = signal.SIGINT  # what its own unit sends
    # Two values of one name in one millisecond become one at a ThingsBoard: each event has a name of its own.
    paths: ClassVar = {"W1": "/push?key=", "W2": "/record?key="}
    level = "INFO"

    def command(self) -> tuple[list[str], dict[str, str]]:
        directory = self._place.directory
        for folder in ("logs", "data"):
            (directory / folder).mkdir(exist_ok=True)
        packages = next((venv() / "lib").glob("python3*/site-packages/thingsboard_gateway"))
        logs = json.loads((packages / "config" / "logs.json").read_text())
        for logger in logs["loggers"].values():
            logger["level"] = self.level
        (directory / "logs.json").write_text(json.dumps(logs))
        (directory / "tb_gateway.json").write_text(json.dumps(self._main()))
        (directory / "rest.json").write_text(json.dumps(self._connector()))
        return [str(venv() / "bin" / "thingsboard-gateway")], {"TB_GW_CONFIG_DIR": f"{directory}/"}

    def _main(self) -> dict:
        unlimited = dict.fromkeys(
            ("rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits",
             "deviceDpRateLimits"), "0:0,",
        )  # fmt: skip
        platform = {
            "host": "127.0.0.1",
            "port": self._place.broker_port,
            "remoteShell": False,
            "remoteConfiguration": False,
            "statistics": {"enable": False},
            "maxPayloadSizeBytes": 4_000_000,
            "security": {"type": "accessToken", "accessToken": "bench"},
            "qos": 1,
        }
        storage = {"type": "sqlite", "data_file_path": f"{self._place.directory}/data/", "max_db_amount": 10}
        connectors = [{"type": "rest", "name": "REST", "configuration": "rest.json"}]
        return {
            "thingsboard": platform | unlimited,
            "storage": storage,
            "grpc": {"enabled": False},
            "connectors": connectors,
        }

    def _connector(self) -> dict:
        def mapping(path: str, value: str, kind: str) -> dict:
            info = {
                "deviceNameExpressionSource": "constant",
                "deviceNameExpression": "Bench",
                "deviceProfileExpressionSource": "constant",
                "deviceProfileExpression": "default",
            }
            series = [{"type": kind, "key": "${key}", "value": value}]
            converter = {"type": "json", "deviceInfo": info, "attributes": [], "timeseries": series}
            return {
                "endpoint": path,
                "HTTPMethods": ["POST"],
                "security": {"type": "anonymous"},
                "converter": converter,
            }

        return {
            "name": "REST",
            "logLevel": self.level,
            "server": {"host": "127.0.0.1", "port": str(self.port), "SSL": False},
            "requestsMapping": {},  # without it the file is taken for an old one
            "mapping": [mapping("/push", "${text}", "string"), mapping("/record", "${data}", "raw")],
        }


class QuietThingsBoard(ThingsBoard):
    name = f"ThingsBoard IoT Gateway {THINGSBOARD}, logging errors only"
    level = "ERROR"


class NodeRed(_Process):
    name = f"Node-RED {NODE_RED}"
    promise = "nothing: it has no store"

    def command(self) -> tuple[list[str], dict[str, str]]:
        directory = self._place.directory
        settings = {
            "uiPort": self.port,
            "uiHost": "127.0.0.1",
            "httpAdminRoot": False,
            "apiMaxLength": "5mb",
            "logging": {"console": {"level": "error", "metrics": False, "audit": False}},
            "telemetry": {"enabled": False},
        }
        (directory / "settings.js").write_text(f"module.exports = {json.dumps(settings)}\n")
        (directory / "flows.json").write_text(json.dumps(self._flow()))
        node, red = tree() / ".bin" / "node", tree() / "node-red" / "red.js"
        words = [
            str(node),
            str(red),
            "-u",
            str(directory),
            "-s",
            str(directory / "settings.js"),
            "flows.json",
        ]
        return words, {"HOME": str(directory)}

    def _flow(self) -> list[dict]:
        broker = {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": "127.0.0.1",
            "port": str(self._place.broker_port),
            "clientid": "node-red",
            "autoConnect": True,
            "protocolVersion": "4",
            "keepalive": "60",
            "cleansession": True,
        }
        out = {
            "id": "out",
            "type": "mqtt out",
            "z": "t",
            "topic": "events",
            "qos": "1",
            "broker": "broker",
            "wires": [],
        }
        reply = {
            "id": "reply",
            "type": "http response",
            "z": "t",
            "statusCode": "200",
            "headers": {},
            "wires": [],
        }
        xml = {
            "id": "xml",
            "type": "xml",
            "z": "t",
            "property": "payload",
            "attr": "",
            "chr": "",
            "wires": [["out", "reply"]],
        }
        doors = [
            {"id": "w1", "type": "http in", "z": "t", "url": "/push", "method": "post", "wires": [["xml"]]},
            {
                "id": "w2",
                "type": "http in",
                "z": "t",
                "url": "/record",
                "method": "post",
                "wires": [["out", "reply"]],
            },
        ]
        # What has no place on the page is taken for a configuration.
        placed = [node | {"x": 100, "y": 40 * row} for row, node in enumerate([out, reply, xml, *doors])]
        return [{"id": "t", "type": "tab", "label": "bench"}, broker, *placed]


SYSTEMS = (Ours, ThingsBoard, QuietThingsBoard, NodeRed)


def venv() -> Path:
    return _home() / "thingsboard"


def tree() -> Path:
    return _home() / "node-red" / "node_modules"


def _home() -> Path:
    return Path(__file__).parent.parent / ".peers"


def install() -> None:
    """Put the peers into environments of their own beside the project; what is there already stays."""
    if not (venv() / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv())], check=True)
        subprocess.run([str(venv() / "bin" / "pip"), "install", "--quiet", *_PIP], check=True)
        (venv() / "ready").touch()
    folder = tree().parent
    if not (folder / "ready").exists():
        npm = shutil.which("npm") or sys.exit("bench: npm is not installed. Install it: apt install npm")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        words = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            f"node@{NODE}",
            f"node-red@{NODE_RED}",
        ]
        subprocess.run(words, cwd=folder, check=True)
        (folder / "ready").touch()


def versions() -> str:
    """Say what is really installed: a wrong Node silently gives another Node-RED."""
    pip = [str(venv() / "bin" / "pip"), "list", "--format=json"]
    packages = json.loads(subprocess.run(pip, capture_output=True, text=True, check=True).stdout)
    thingsboard = next(p["version"] for p in packages if p["name"] == "thingsboard-gateway")
    red = json.loads((tree() / "node-red" / "package.json").read_text())["version"]
    node = subprocess.run(
        [str(tree() / ".bin" / "node"), "--version"], capture_output=True, text=True, check=True
    )
    return f"ThingsBoard IoT Gateway {thingsboard}, Node-RED {red} on Node {node.stdout.strip()}"


def _end(process: subprocess.Popen, how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
