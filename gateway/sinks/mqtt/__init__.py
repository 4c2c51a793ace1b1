"""The MQTT sink: events on non-retained topics, newest states and the gateway's status on retained ones."""

from gateway.sinks.mqtt.options import MqttOptions
from gateway.sinks.mqtt.sink import MqttSink

__all__ = ["MqttOptions", "MqttSink"]
