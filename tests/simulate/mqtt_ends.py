"""What the tests of broker and subscriber share."""

import socket
import time

from paho.mqtt import publish
from paho.mqtt.client import MQTTv5, MQTTv311

PROGRAMS = ["mosquitto", "iotcore"]


def send(broker, *messages, retain=False):
    """Publish with QoS 1 and wait for each acknowledgement."""
    protocol = MQTTv5 if broker.version == "5" else MQTTv311
    batch = [{"topic": topic, "payload": payload, "qos": 1, "retain": retain} for topic, payload in messages]
    publish.multiple(batch, broker.host, broker.port, protocol=protocol)


def takes_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def until(condition, timeout_s=10.0):
    """Wait until it holds; say whether it did."""
    last = time.monotonic() + timeout_s
    while not (holds := condition()) and time.monotonic() < last:
        time.sleep(0.02)
    return holds
