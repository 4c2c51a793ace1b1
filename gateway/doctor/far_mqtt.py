"""An MQTT sink as it is looked at: the way to the broker, a login, a test event and its acknowledgement."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio

from gateway import clock
from gateway.config import Config
from gateway.config.sink_sections import MqttSection
from gateway.doctor import way
from gateway.doctor.box import Box, untold, well
from gateway.doctor.finding import Finding
from gateway.doctor.way import FarEnd
from gateway.errors import SinkUnavailable
from gateway.outlets import mqtt_options

if TYPE_CHECKING:
    from gateway.sinks.mqtt import MqttOptions

CODES = frozenset({
    *("mqtt_login", "mqtt_lost", "mqtt_name", "mqtt_no_qos_1", "mqtt_not_authorised"),
    *("mqtt_refused", "mqtt_timeout", "mqtt_tls", "mqtt_unasked", "mqtt_unreachable", "mqtt_unwilling"),
    "mqtt_version",
})  # fmt: skip
_PATIENCE_S = 3.0
_LEAST_S = 0.5


def far_end(config: Config, name: str) -> FarEnd:
    """Say where the broker is."""
    return _far_end(_section(config, name), _options(config, name))


def _section(config: Config, name: str) -> MqttSection:
    section = config.sinks[name]
    if not isinstance(section, MqttSection):
        raise TypeError(f"{name} is no MQTT sink")
    return section


def _options(config: Config, name: str) -> "MqttOptions":
    return mqtt_options(config, name, _section(config, name))


def _far_end(section: MqttSection, options: "MqttOptions") -> FarEnd:
    from gateway.sinks.mqtt import trouble  # noqa: PLC0415 - a box without a broker does not pay for it

    def explain(error: Exception, after_s: float) -> SinkUnavailable:
        return trouble.out_of_reach(error, replace(options, connect_timeout_s=after_s))

    own = section.cert_file.path if section.cert_file and section.tls else None
    return FarEnd(f"sink {options.name}", options.name, options.host, options.port, options.tls, explain, own)


def look(box: Box, name: str) -> Iterator[Finding]:
    """Go as far as it goes."""
    end_s = clock.steady() + way.TOTAL_S
    options = _options(box.config, name)
    end = _far_end(_section(box.config, name), options)
    reached = True
    for finding in way.look(box, end):
        reached = reached and finding.code in ("", "certificate_expires", "name_filtered")
        yield finding
    if not reached:
        return
    left_s = end_s - clock.steady()
    # Two waits: for the login, and for the acknowledgement.
    patience_s = max(min(_PATIENCE_S, options.connect_timeout_s, left_s / 2), _LEAST_S)
    yield from _spoken(end, replace(options, connect_timeout_s=patience_s))


def _spoken(end: FarEnd, options: "MqttOptions") -> Iterator[Finding]:
    from gateway.sinks.mqtt.probe import probe  # noqa: PLC0415 - see above

    try:
        time = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        proven = anyio.run(lambda: probe(options, test_id=f"test:{uuid4()}", time=time))
    except SinkUnavailable as error:
        if error.fault == "mqtt_client_id":
            said = f"{error} That is the id of this look alone; `gateway status` says whether the sink's own is taken."
            yield untold(end.check, said, end.subject)
        else:
            yield way.fault(end, error)
        return
    who = f"user {options.username!r}" if options.username else "a client without user and password"
    yield well(end.check, f"Login: the broker takes {who}, in MQTT {options.version_name}.", end.subject)
    heard = "; nobody listens there, which is fine" if proven.nobody_listens else ""
    said = f"Publish: a test event on {proven.topic} was acknowledged{heard}."
    yield well(end.check, said, end.subject)
