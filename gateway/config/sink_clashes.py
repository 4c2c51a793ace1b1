"""What the options of sinks say about each other, inside of one and between two."""

from collections.abc import Iterator

from gateway.config.clash import Clash, doubles
from gateway.config.lines import Place
from gateway.config.model import Config
from gateway.config.sink_sections import HttpsSection, MqttSection


def sinks(config: Config) -> Iterator[Clash]:
    """Yield the clashes of every sink, certificates that cannot be used, and sinks that get in the way of each other."""
    yield from _each_sink(config)
    yield from _tls_files(config)
    yield from _twins(config)


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
    for place, first in doubles(clients):
        yield _twin(place, first, "has the client id of", "the broker throws one out when the other comes")
    for place, first in doubles(topics):
        yield _twin(place, first, "has the endpoint and base of", "every event would be there twice")
    for place, first in doubles(urls):
        yield _twin(place, first, "is the endpoint of", "every event would arrive there twice")


def _twin(place: Place, first: Place, problem: str, consequence: str) -> Clash:
    others = tuple((*at[:2], option) for at in (place, first) for option in ("endpoint", "enabled"))
    return Clash(
        (place, first, *others),
        f"{problem} [{first[0]}.{first[1]}] too: {consequence}",
        f"give each sink its own {place[-1]}, or take one of them out",
    )
