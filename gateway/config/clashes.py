"""What options say about each other: rules that no single option can break alone.

Each rule yields `Clash`: the places involved, the first of which gives the line. A rule is not asked about
places whose value was wrong already, so no mistake is a consequence of another.
"""

from collections.abc import Callable, Iterator, Mapping

from gateway.config import pin_clashes, rule_clashes, zone_clashes
from gateway.config.clash import Clash
from gateway.config.lines import Place
from gateway.config.model import Config
from gateway.config.sink_sections import HttpsSection, MqttSection

_SOCKET_PATH_MAX = 107  # bytes in sockaddr_un, less the closing NUL


def clashes(config: Config) -> Iterator[Clash]:
    """Yield every clash in a configuration whose options are all valid by themselves."""
    for rule in _RULES:
        yield from rule(config)


def _limits(config: Config) -> Iterator[Clash]:
    for section, smaller, larger in (
        ("listen", "connections_per_address", "connections"),
        ("listen", "xml_bytes", "max_bodies_bytes"),
        ("listen", "json_bytes", "max_bodies_bytes"),
        ("listen", "other_bytes", "max_bodies_bytes"),
        ("callbacks", "body_bytes", "max_bodies_bytes"),
        ("store", "letters_per_sender", "letters_max"),
        ("store", "letters_bytes", "max_bytes"),
    ):
        options = getattr(config, section)
        if getattr(options, smaller) > getattr(options, larger):
            yield Clash(
                ((section, smaller), (section, larger)),
                f"is more than {section}.{larger} ({getattr(options, larger)})",
                f"lower it, or raise {larger}",
            )


def _socket_path(config: Config) -> Iterator[Clash]:
    if len(bytes(config.socket)) > _SOCKET_PATH_MAX:
        yield Clash(
            (("runtime", "socket"), ("store", "path")),
            f"the path of the socket would be longer than the {_SOCKET_PATH_MAX} bytes that Linux allows",
            'write a short one, such as: socket = "/tmp/gateway.sock"',
        )


def _callbacks(config: Config) -> Iterator[Clash]:
    section, listen = config.callbacks, config.listen
    if not section.enabled:
        return
    if not section.secret_file:
        yield Clash(
            (("callbacks", "enabled"), ("callbacks", "secret_file")),
            "would let everybody in, because no secret_file says what the header must hold",
            "write the value into a file that only the gateway can read, and add secret_file",
        )
    everywhere = {"0.0.0.0", "::"}
    same_host = section.host == listen.host or not everywhere.isdisjoint({section.host, listen.host})
    if section.port and section.port == listen.port and same_host:
        yield Clash(
            (("callbacks", "port"), ("listen", "port"), ("callbacks", "host"), ("listen", "host")),
            "is the port of the devices too, and what comes out of the internet must not get there",
            "give the callbacks a port of their own, such as 8089",
        )


def _monitoring(config: Config) -> Iterator[Clash]:
    section = config.monitoring
    if not section.enabled or not section.port:
        return
    others = [("listen", config.listen.host, config.listen.port)]
    if config.callbacks.enabled:
        others.append(("callbacks", config.callbacks.host, config.callbacks.port))
    everywhere = {"0.0.0.0", "::"}
    for name, host, port in others:
        same_host = section.host == host or not everywhere.isdisjoint({section.host, host})
        if section.port == port and same_host:
            yield Clash(
                (("monitoring", "port"), (name, "port"), ("monitoring", "host"), (name, "host")),
                f"is the port of [{name}] too, and only one of them can have it",
                "give monitoring a port of its own, such as 9188",
            )


def _sources(config: Config) -> Iterator[Clash]:
    paths: dict[Place, object] = {
        ("sources", name, "path"): source.path for name, source in config.sources.by_name().items()
    }
    for place, first in _doubles(paths):
        yield Clash(
            (place, first),
            f"is the path of [{first[0]}.{first[1]}] too, so it cannot tell them apart",
            "give each source a path of its own",
        )


def _devices(config: Config) -> Iterator[Clash]:
    for name, device in config.devices.items():
        if device.token is None and device.id is None:
            yield Clash(
                (("devices", name), ("devices", name, "token"), ("devices", name, "id")),
                "says nothing about how to know the device",
                'add token = "..." (a path that only this device uses) or id = "..." (as `gateway devices` shows it)',
            )
        for option in ("address", "path_secret_file"):
            if device.id is None and getattr(device, option):
                yield Clash(
                    (("devices", name, option), ("devices", name, "id")),
                    "pins nothing, because the section does not say which device it is about",
                    'add id = "..." (as `gateway devices` shows it)',
                )
    for option in ("token", "id"):
        values: dict[Place, object] = {
            ("devices", name, option): getattr(device, option) for name, device in config.devices.items()
        }
        for place, first in _doubles(values):
            yield Clash(
                (place, first), f"is the {option} of [{first[0]}.{first[1]}] too", "each device has its own"
            )


def _camlytics(config: Config) -> Iterator[Clash]:
    used = {name: section for name, section in config.camlytics.items() if section.enabled}
    endpoints: dict[Place, object] = {
        ("camlytics", name, "endpoint"): section.endpoint.lower() for name, section in used.items()
    }
    for place, first in _doubles(endpoints):
        yield Clash(
            (place, first),
            f"is the endpoint of [{first[0]}.{first[1]}] too, so everything would be counted twice",
            "make one section of the two, with the rules of both",
        )
    tokens: dict[Place, object] = {
        ("devices", name, "token"): device.token for name, device in config.devices.items()
    }
    tokens |= {("camlytics", name, "token"): section.token for name, section in config.camlytics.items()}
    for place, first in _doubles(tokens):
        if place[0] == "camlytics":
            yield Clash(
                (place, first), f"is the token of [{first[0]}.{first[1]}] too", "each has a token of its own"
            )
    for name, section in config.camlytics.items():
        rules: dict[Place, object] = {
            ("camlytics", name, "rules", number): rule.rule.strip().casefold()
            for number, rule in enumerate(section.rules)
        }
        for place, first in _doubles(rules):
            yield Clash((place, first), "is about a rule that was named before", "keep one of the two")


def _camlytics_cloud(config: Config) -> Iterator[Clash]:
    for name, account in config.camlytics_cloud.items():
        at = ("camlytics_cloud", name)
        for has, lacks in (("key_file", "secret_file"), ("secret_file", "key_file")):
            if getattr(account, has) and not getattr(account, lacks):
                yield Clash(((*at, has), (*at, lacks)), f"is of no use without {lacks}", f"add {lacks}")
        if account.endpoint.startswith("http:") and not account.insecure_http:
            yield Clash(
                ((*at, "endpoint"), (*at, "insecure_http")),
                "sends the key and everything else in the clear",
                "begin it with https://, or add insecure_http = true where the network is trusted",
            )
    keys: dict[Place, object] = {
        ("camlytics_cloud", name, "key_file"): account.key_file.reveal()
        for name, account in config.camlytics_cloud.items()
        if account.key_file and account.enabled
    }
    for place, first in _doubles(keys):
        yield Clash(
            (place, first),
            f"holds the key of [{first[0]}.{first[1]}] too, so everything would be polled twice",
            "make one account of the two, with all its locations",
        )


def _each_sink(config: Config) -> Iterator[Clash]:
    for name, sink in config.sinks.items():
        at = ("sinks", name)
        for has, lacks in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(sink, has) and not getattr(sink, lacks):
                yield Clash(((*at, has), (*at, lacks)), f"is of no use without {lacks}", f"add {lacks}")
        if not sink.tls:
            for option in ("ca_file", "cert_file", "key_file"):
                if getattr(sink, option):
                    secure = "mqtts" if isinstance(sink, MqttSection) else "https"
                    yield Clash(
                        ((*at, option), (*at, "endpoint")),
                        "is not used, because the endpoint has no TLS",
                        f"begin the endpoint with {secure}://, or take this option out",
                    )
        yield from _mqtt(at, sink) if isinstance(sink, MqttSection) else _https(at, sink)


def _tls_files(config: Config) -> Iterator[Clash]:
    """Try certificates and keys as the sink will, because a wrong one would otherwise end the next start."""
    tried = [
        (name, sink)
        for name, sink in config.sinks.items()
        if sink.ca_file or (sink.cert_file and sink.key_file)
    ]
    if not tried:
        return
    import ssl  # noqa: PLC0415 - slow to import, and most configurations do not need it here

    for name, sink in tried:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if sink.ca_file:
            try:
                context.load_verify_locations(sink.ca_file.path)
            except (ssl.SSLError, OSError):
                at = ("sinks", name, "ca_file")
                yield Clash((at,), "holds no certificate that can be read", "copy the file again, as PEM")
        if sink.cert_file and sink.key_file:
            places = (("sinks", name, "key_file"), ("sinks", name, "cert_file"))
            try:
                context.load_cert_chain(
                    sink.cert_file.path, sink.key_file.path, password=b""
                )  # never asks for one
            except ssl.SSLError as error:
                if error.reason == "KEY_VALUES_MISMATCH":
                    yield Clash(
                        places, "does not belong to the certificate in cert_file", "take the key of that one"
                    )
                else:
                    yield Clash(
                        places, "cannot be read together with cert_file", "copy both files again, as PEM"
                    )


def _mqtt(at: Place, sink: MqttSection) -> Iterator[Clash]:
    # A default that is larger than a chosen window is cut to it and needs no correction by a person.
    if sink.inflight > sink.window and "inflight" in sink.model_fields_set:
        yield Clash(
            ((*at, "inflight"), (*at, "window")),
            f"is more than the window ({sink.window}), so it is never reached",
            "lower inflight, or raise window",
        )
    if sink.password_file and sink.username is None and sink.version == "3.1.1":
        yield Clash(
            ((*at, "password_file"), (*at, "username"), (*at, "version")),
            "MQTT 3.1.1 allows no password without a user",
            "add username",
        )


def _https(at: Place, sink: HttpsSection) -> Iterator[Clash]:
    if not sink.tls and not sink.insecure_http:
        yield Clash(
            ((*at, "endpoint"), (*at, "insecure_http")),
            "sends everything in the clear",
            "begin it with https://, or add insecure_http = true where the network is trusted",
        )
    if sink.batch > sink.window:
        yield Clash(
            ((*at, "batch"), (*at, "window")),
            f"is more than the window ({sink.window}), so it is never reached",
            "lower batch, or raise window",
        )


def _twins(config: Config) -> Iterator[Clash]:
    mqtt = {
        name: sink for name, sink in config.sinks.items() if isinstance(sink, MqttSection) and sink.enabled
    }
    https = {
        name: sink for name, sink in config.sinks.items() if isinstance(sink, HttpsSection) and sink.enabled
    }
    brokers = {name: (sink.host, sink.port) for name, sink in mqtt.items()}
    clients: dict[Place, object] = {
        ("sinks", name, "client_id"): (where, config.client_id(name)) for name, where in brokers.items()
    }
    topics: dict[Place, object] = {
        ("sinks", name, "base"): (where, mqtt[name].base) for name, where in brokers.items()
    }
    urls: dict[Place, object] = {("sinks", name, "endpoint"): sink.endpoint for name, sink in https.items()}
    for place, first in _doubles(clients):
        yield _twin(place, first, "has the client id of", "the broker throws one out when the other comes")
    for place, first in _doubles(topics):
        yield _twin(place, first, "has the endpoint and base of", "every event would be there twice")
    for place, first in _doubles(urls):
        yield _twin(place, first, "is the endpoint of", "every event would arrive there twice")


def _twin(place: Place, first: Place, problem: str, consequence: str) -> Clash:
    others = tuple((*at[:2], option) for at in (place, first) for option in ("endpoint", "enabled"))
    return Clash(
        (place, first, *others),
        f"{problem} [{first[0]}.{first[1]}] too: {consequence}",
        f"give each sink its own {place[-1]}, or take one of them out",
    )


def _doubles(values: Mapping[Place, object]) -> Iterator[tuple[Place, Place]]:
    """Yield each place whose value another place before it has, with that first place."""
    first: dict[object, Place] = {}
    for place, value in values.items():
        if value is not None and first.setdefault(value, place) != place:
            yield place, first[value]


_RULES: tuple[Callable[[Config], Iterator[Clash]], ...] = (
    _limits,
    _socket_path,
    _callbacks,
    _monitoring,
    _sources,
    _devices,
    pin_clashes.pins,
    _camlytics,
    _camlytics_cloud,
    _each_sink,
    _tls_files,
    _twins,
    zone_clashes.zones,
    rule_clashes.rules,
)
