"""The brokers of the demo: real ones, on loopback only, on one port for life, and never left behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mqtt_ends import PROGRAMS, send, takes_connections, until

from gateway.errors import GatewayError
from gateway.simulate import broker as broker_module
from gateway.simulate.broker import Broker
from gateway.simulate.subscriber import Subscriber


@pytest.fixture(params=PROGRAMS)
def broker(request, tmp_path):
    with Broker(tmp_path, program=request.param) as running:
        yield running


def listeners(port):
    """Give the local addresses, in hex, on which somebody listens on this port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, state = line.split()[1:4]
            if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                found.add(address.rpartition(":")[0])
    return found


def test_a_message_passes(broker):
    """A message of 300 kB that is published reaches a subscriber unchanged."""
    payload = os.urandom(150_000).hex().encode()
    subscriber = Subscriber(broker.host, broker.port, version=broker.version).start()
    send(broker, ("a/b", payload))
    assert until(lambda: subscriber.arrivals)
    subscriber.stop()
    assert ("a/b", payload) == (subscriber.arrivals[0].topic, subscriber.arrivals[0].payload)


def test_it_listens_on_loopback_only(broker):
    """The only listening socket on its port is that of 127.0.0.1."""
    assert {"0100007F"} == listeners(broker.port)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_comes_back_on_its_port(broker, how):
    """After a stop or a kill nobody listens, and after a start the same port takes messages again."""
    port = broker.port
    getattr(broker, how)()
    assert (False, False) == (broker.running, takes_connections(port))
    broker.start()
    assert port == broker.port
    send(broker, ("a", "b"))


def test_restart_is_stop_and_start(broker):
    """After a restart another process serves the same port."""
    before, port = broker._pid, broker.port
    broker.restart()
    assert before != broker._pid
    assert takes_connections(port)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_it_does_not_outlive_its_owner(program, how, tmp_path):
    """When the process that started a broker is killed, the broker's port is free soon after."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom gateway.simulate.broker import Broker\n"
        f"broker = Broker(Path({str(tmp_path)!r}), program={program!r}).start()\n"
        "print(broker.port, flush=True)\ntime.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    port = int(owner.stdout.readline())
    assert takes_connections(port)
    owner.send_signal(how)
    owner.wait()
    owner.stdout.close()
    assert until(lambda: not takes_connections(port))


def test_ctrl_c_is_not_for_the_broker(broker):
    """The broker runs in a session of its own, so that Ctrl-C in a terminal does not end it before us."""
    assert os.getsid(broker._pid) != os.getsid(0)


def test_mosquitto_keeps_what_it_has_over_a_restart(tmp_path):
    """Retained messages are still there after mosquitto was stopped in good order and started again."""
    with Broker(tmp_path, program="mosquitto") as broker:
        send(broker, ("kept", "value"), retain=True)
        broker.restart()
        subscriber = Subscriber(broker.host, broker.port).start()
        assert until(lambda: subscriber.arrivals)
        subscriber.stop()
    assert (b"value", True) == (subscriber.arrivals[0].payload, subscriber.arrivals[0].retained)


def test_without_a_directory_nothing_stays_behind():
    """A broker that was given no directory removes the one it made."""
    with Broker() as broker:
        made = broker.log.parent
        assert made.is_dir()
    assert not made.exists()


def test_mosquitto_comes_first_and_speaks_mqtt_5(tmp_path):
    """Where mosquitto is installed it is taken, with MQTT 5; iotcore says 3.1.1."""
    assert ("mosquitto", "5") == ((chosen := Broker(tmp_path)).program, chosen.version)
    assert "3.1.1" == Broker(tmp_path, program="iotcore").version


def test_without_any_broker_the_message_says_what_to_install(tmp_path, monkeypatch):
    """With neither program there, the error names both ways to get one."""
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)
    monkeypatch.setattr(broker_module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(GatewayError, match=r"apt install mosquitto.*pip install"):
        Broker(tmp_path)


def test_a_taken_port_is_reported_with_the_log(tmp_path):
    """A broker whose port is in use by something that is no broker is not reported as started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(GatewayError, match=rf"port {port}.*mosquitto\.log"):
            Broker(tmp_path, program="mosquitto", port=port).start()
