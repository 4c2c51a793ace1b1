"""What a person can set about one MQTT sink; a mistake is a `ConfigError` before anything connects."""

import ssl
from dataclasses import dataclass, field

from gateway.errors import ConfigError

_VERSIONS = {5: "5", 4: "3.1.1"}
_MOST_INFLIGHT = 65_535  # packet identifiers have 16 bits


@dataclass(frozen=True, kw_only=True)
class MqttOptions:
    """One broker, and how to behave towards it."""

    name: str
    host: str
    port: int = 1883
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str = ""  # empty: "<gateway_id>-<name>"
    base: str = "gateway"
    gateway_id: str
    version: int = 5  # 5, or 4 for MQTT 3.1.1
    keepalive_s: int = 30
    window: int = 500  # the largest batch
    inflight: int = 100  # unacknowledged PUBLISHes; the broker's Receive Maximum may make it less
    max_packet_bytes: int | None = None  # for brokers that have a limit and cannot announce it (3.1.1)
    timeout_s: float = 30.0  # no acknowledgement for this long: the broker is gone
    connect_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        wrong = [sentence for sentence in self._mistakes() if sentence]
        if wrong:
            raise ConfigError("\n".join(wrong))
        if not self.client_id:
            object.__setattr__(self, "client_id", f"{self.gateway_id}-{self.name}")

    def _mistakes(self) -> tuple[str, ...]:
        where = f"mqtt sink {self.name!r}"
        return (
            "" if self.host else f"{where}: host is empty; name the broker.",
            "" if 0 < self.port < 65_536 else f"{where}: port {self.port} is not between 1 and 65535.",
            "" if self.version in _VERSIONS else f"{where}: version must be 5, or 4 for MQTT 3.1.1.",
            "" if self.window > 0 else f"{where}: window must be at least 1.",
            ""
            if 0 < self.inflight <= _MOST_INFLIGHT
            else f"{where}: inflight must be between 1 and {_MOST_INFLIGHT}.",
            f"{where}: a password needs a username; MQTT cannot send it alone."
            if self.password is not None and self.username is None
            else "",
        )

    @property
    def endpoint(self) -> str:
        """The broker's address for people; never with the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @property
    def version_name(self) -> str:
        return _VERSIONS[self.version]
