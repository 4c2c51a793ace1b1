"""By which id the gateway speaks where nobody has written one, and what a renamed host changes about it: nothing."""

import json
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from site_under_test import SMALL_SITE, Daemon, free_port

from gateway.commands import main
from gateway.config import loads
from gateway.daemon import naming
from gateway.faults import Faults
from gateway.simulate.broker import Broker
from gateway.simulate.subscriber import Subscriber

PROGRAM = str(Path(__file__).parents[1] / "renamed_host.py")
SINK = '[sinks.home]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:{port}"\n'


class Host:
    """A box whose host gets another name between two starts, and a broker beside it."""

    def __init__(self, directory: Path) -> None:
        (directory / "broker").mkdir()
        self.broker = Broker(directory / "broker").start()
        self.far_end = Subscriber(
            "127.0.0.1", self.broker.port, topics=("gateway/+/status",), version=self.broker.version
        ).start()
        port = free_port()
        self.config = directory / "config.toml"
        self.text = SMALL_SITE.format(port=port, directory=directory) + SINK.format(port=self.broker.port)
        self.config.write_text(self.text)
        self.daemon = Daemon(directory, self.config, port)

    def start(self, name: str) -> None:
        self.daemon.program = (PROGRAM, name)
        self.daemon.start(wait_s=300)

    def until(self, topic: str, state: str) -> None:
        """Wait until this is the last thing that was said on a topic."""
        deadline = time.monotonic() + 60
        while [state] != [json.loads(one.payload)["state"] for one in self.said() if one.topic == topic][-1:]:
            assert time.monotonic() < deadline, f"{self.said()}\n{self.daemon.tail()}"
            time.sleep(0.05)

    def said(self) -> list:
        return [one for one in self.far_end.arrivals if one.payload]

    def status(self) -> dict:
        return json.loads(self.daemon.asked("status", "--json").stdout)

    def doubt(self) -> list[str]:
        return [fault["sentence"] for fault in self.status()["faults"] if fault["code"] == naming.CODE]

    def close(self) -> None:
        if self.daemon.running:
            self.daemon.stop(signal.SIGKILL)
        self.far_end.stop()
        self.broker.close()


@pytest.fixture
def host(tmp_path):
    built = Host(tmp_path)
    yield built
    built.close()


def test_a_renamed_host_goes_on_under_the_id_that_is_known(host):
    """Topics stay and a fault says how both are called, until a person writes an id; that one is taken and logged once."""
    host.start("raspberrypi")
    host.until("gateway/raspberrypi/status", "online")
    assert "as every new box is" in host.doubt()[0]
    assert 0 == host.daemon.stop()
    host.until("gateway/raspberrypi/status", "offline")

    host.start("shop7")
    host.until("gateway/raspberrypi/status", "online")
    assert ("raspberrypi", 1) == (host.status()["gateway"], len(host.doubt()))
    assert "called shop7 now" in host.doubt()[0]
    assert "as raspberrypi" in host.doubt()[0]
    checked = json.loads(host.daemon.asked("check", "--json").stdout)
    assert checked["hash"] == host.status()["config_hash"]

    host.config.write_text(f'{host.text}[gateway]\nid = "shop7"\n')
    done = host.daemon.asked("reload")
    assert 0 == done.returncode, done.stderr
    host.until("gateway/shop7/status", "online")
    host.until("gateway/raspberrypi/status", "offline")
    assert [] == host.doubt()
    assert 1 == host.daemon.log.read_text().count("gateway_id_changed")

    host.config.write_text(host.text)  # the id that was taken once stays also when the line is gone
    assert 0 == host.daemon.asked("reload").returncode
    assert ("shop7", []) == (host.status()["gateway"], host.doubt())
    assert {"gateway/raspberrypi/status", "gateway/shop7/status"} == {one.topic for one in host.said()}


@pytest.mark.parametrize(
    ("written", "host", "sink", "doubted"),
    [
        ("", "raspberrypi", SINK, True),
        ('[gateway]\nname = "Hall"\n', "localhost", SINK, True),
        ('[gateway]\nid = "raspberrypi"\n', "raspberrypi", SINK, False),
        ('[gateway]\nid = "lobby-1"\n', "raspberrypi", SINK, False),
        ("", "lobby-1", SINK, False),
        ("", "raspberrypi", "", False),
        ("", "raspberrypi", SINK + "enabled = false\n", False),
    ],
)
def test_the_name_of_every_new_box_is_doubted(written, host, sink, doubted, monkeypatch):
    """The fault stands when a sink speaks under a name that each new host has and that nobody has chosen."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    faults = Faults()
    config = loads(written + sink.format(port=1883))
    naming.look(config, faults)
    assert doubted == (naming.CODE in {fault.code for fault in faults})
    naming.look(loads('[gateway]\nid = "lobby-1"\n' + sink.format(port=1883)), faults)
    assert [] == list(faults)


def test_the_check_says_that_no_id_is_written(tmp_path):
    """A configuration with a sink and no id is fine, and `gateway check` says what the gateway is called then."""
    file = tmp_path / "config.toml"
    for text, told in ((SINK, True), ('[gateway]\nid = "lobby-1"\n' + SINK, False), ("", False)):
        file.write_text(text.format(port=1883))
        done = CliRunner().invoke(main, ["check", str(file)])
        assert 0 == done.exit_code, done.output
        assert told == ("names no id of the gateway" in done.output)
