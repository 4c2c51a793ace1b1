"""What the options of the gateway itself say about each other: its limits, its socket and its ports."""

from collections.abc import Iterator

from gateway.config.clash import Clash
from gateway.config.model import Config

_SOCKET_PATH_MAX = 107  # bytes in sockaddr_un, less the closing NUL
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


def daemon(config: Config) -> Iterator[Clash]:
    """Yield limits above what holds them, a socket that Linux cannot open, and ports that two want."""
    yield from _limits(config)
    yield from _socket_path(config)
    yield from _callbacks(config)
    yield from _monitoring(config)


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
    if section.port and section.port == listen.port and _meet(section.host, listen.host):
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
    for name, host, port in others:
        if section.port == port and _meet(section.host, host):
            yield Clash(
                (("monitoring", "port"), (name, "port"), ("monitoring", "host"), (name, "host")),
                f"is the port of [{name}] too, and only one of them can have it",
                "give monitoring a port of its own, such as 9188",
            )


def _meet(host: str, other: str) -> bool:
    """Say whether a port of the one is taken for the other as well."""
    return host == other or not _EVERYWHERE.isdisjoint({host, other})
