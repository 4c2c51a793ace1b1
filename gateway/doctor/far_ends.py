"""Every far end of a configuration, each as a check of its own: the way to it, then what it says itself."""

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from gateway.config import Config
from gateway.doctor import far_https, far_mqtt, far_polls, names, way
from gateway.doctor.box import Box, Check, hindered, well, wrong
from gateway.doctor.finding import Finding
from gateway.errors import ConfigError


def checks(config: Config) -> list[Check]:
    """Give the checks of name resolution, of each sink and of each system that is polled."""
    return [
        Check(names.CHECK, lambda box: names.look(box, hosts(box.config)), names.CODES),
        *(_sink(config, name) for name in config.sinks),
        *(_poll(config, family, name) for family, name in far_polls.found(config)),
        *([] if any(sink.enabled for sink in config.sinks.values()) else [_no_sink()]),
    ]


def certificates(config: Config) -> Iterator[Finding]:
    """Say of each sink with TLS until when certificates hold: for a daemon that looks once a day."""
    for name, section in config.sinks.items():
        if section.enabled and section.tls:
            kind = far_mqtt if section.type == "mqtt" else far_https
            try:
                yield from way.ends(kind.far_end(config, name))
            except (
                ConfigError,
                OSError,
                ValueError,
            ) as error:  # a file of TLS that is gone since the start, say
                yield hindered(f"sink {name}", f"Its settings cannot be used: {error}", name)


def hosts(config: Config) -> list[str]:
    """Name the hosts that this configuration connects to."""
    sinks = (sink.endpoint for sink in config.sinks.values() if sink.enabled)
    return [urlsplit(endpoint).hostname or "" for endpoint in (*sinks, *far_polls.endpoints(config))]


def _sink(config: Config, name: str) -> Check:
    kind = far_mqtt if config.sinks[name].type == "mqtt" else far_https
    return Check(f"sink {name}", partial(_look, name=name), kind.CODES | way.CODES)


def _look(box: Box, name: str) -> Iterator[Finding]:
    check, section = f"sink {name}", box.config.sinks[name]
    if not section.enabled:
        yield well(check, "It is switched off (enabled = false): nothing is sent there.", name)
        return
    kind = far_mqtt if section.type == "mqtt" else far_https
    try:
        yield from kind.look(box, name)
    except (ConfigError, OSError, ValueError) as error:  # a file of TLS that is gone since the start, say
        yield wrong(check, "config_rejected", f"Its settings cannot be used: {error}", name)


def _poll(_config: Config, family: str, name: str) -> Check:
    look = partial(far_polls.look, family=family, name=name)
    return Check(f"{family} {name}", look, far_polls.CODES | way.CODES)


def _no_sink() -> Check:
    said = "Events are received and kept, but nothing is forwarded yet."

    def look(_box: Box) -> Iterator[Finding]:
        yield wrong("sinks", "no_sink", said)

    return Check("sinks", look, frozenset({"no_sink"}))
