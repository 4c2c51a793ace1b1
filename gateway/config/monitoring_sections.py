"""The options of the monitoring port; `config.example.toml` explains each."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field

from gateway.config.addresses import CheckedNetwork, ListenHost, Network
from gateway.config.fields import Listed, NotEmpty, Seconds
from gateway.config.sections import Section


def _loopback() -> tuple[Network, ...]:
    return ip_network("127.0.0.0/8"), ip_network("::1/128")


class MonitoringSection(Section):
    enabled: bool = False
    host: ListenHost = "127.0.0.1"
    port: int = Field(default=9188, ge=0, le=65_535)
    allow: Annotated[tuple[CheckedNetwork, ...], Listed, NotEmpty] = Field(default_factory=_loopback)
    stuck_after_s: Seconds = Field(default=900.0, ge=10, le=7 * 86_400)
