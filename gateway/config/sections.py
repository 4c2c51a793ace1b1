"""The sections of the configuration beside the sinks; `config.example.toml` explains each option.

A default that is written here is written in `config.example.toml` too: a test compares them.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.config.addresses import CheckedNetwork, DeviceNetwork, ListenHost, Network, PathToken, UrlPath
from gateway.config.fields import (
    Folder,
    Listed,
    NotEmpty,
    OneOrMore,
    Seconds,
    Size,
    Slug,
    Text,
    home,
    slugged,
)
from gateway.config.secrets import PathWord
from gateway.config.wording import wrong

KIB = 2**10
MIB = 2**20
GIB = 2**30
DAY_S = 86_400
LEAST_BALLAST = 4 * MIB  # as much as is gathered in the write-ahead log before it is folded back
_LOCAL = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
    *("fc00::/7", "fe80::/10", "::1/128"),
)
_SYSTEM_STORE = Path("/var/lib/gateway")
SYSTEM_RUNTIME = Path("/run/gateway")
SOCKET = "gateway.sock"
# This process is the gateway; a command asks one.
_RUNS: ContextVar[bool] = ContextVar("runs", default=False)


class Section(BaseModel):
    """What all sections are: no unknown options, no conversion between types, no change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _ballast(value: int) -> int:
    if 0 < value < LEAST_BALLAST:
        raise wrong("is too little to note anything with", allowed="0 for none, or at least 4 MiB")
    return value


def host_id() -> str:
    """Say what a gateway is called after its host."""
    return slugged(socket.gethostname().split(".", 1)[0]) or "gateway"


def usable(folder: Path) -> bool:
    """Say whether a folder is ours to use, or to make: for root, and for the user that owns it or the one above it."""
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - its own method may raise
        folder = folder.parent
    return os.geteuid() == 0 or os.access(folder, os.W_OK)


def is_of_others(folder: Path) -> bool:
    """Say whether a system folder is there and not ours: a gateway runs on this box, or did, and we may not ask it."""
    return os.path.exists(folder) and not usable(folder)  # noqa: PTH110 - as above


@contextmanager
def running() -> Iterator[None]:
    """Be the gateway itself: started by an ordinary user, for a trial, it keeps to his own folder."""
    token = _RUNS.set(True)
    try:
        yield
    finally:
        _RUNS.reset(token)


def _store_path() -> Path:
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd may list several
    if given:
        return Path(given)
    own = home() / ".local/share/gateway"
    # A command is about the gateway of the box, and says that it needs sudo, unless a trial runs.
    trial = _RUNS.get() or os.path.lexists(own / SOCKET)
    return _SYSTEM_STORE if usable(_SYSTEM_STORE) or (is_of_others(_SYSTEM_STORE) and not trial) else own


def _local_networks() -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in _LOCAL)


class GatewaySection(Section):
    id: Slug = Field(default_factory=host_id)
    name: Text = ""

    @property
    def id_written(self) -> bool:
        """A person has chosen the id; else it comes from somewhere else."""
        return "id" in self.model_fields_set


class ListenSection(Section):
    host: ListenHost = "0.0.0.0"
    port: int = Field(default=8088, ge=0, le=65_535)
    allow: Annotated[tuple[CheckedNetwork, ...], Listed, NotEmpty] = Field(default_factory=_local_networks)
    connections: int = Field(default=256, ge=1, le=10_000)
    connections_per_address: int = Field(default=32, ge=1, le=10_000)
    header_bytes: Size = Field(default=16 * KIB, ge=KIB, le=MIB)
    header_deadline_s: Seconds = Field(default=10.0, gt=0, le=300)
    keep_alive_s: Seconds = Field(default=75.0, gt=0, le=3600)
    body_deadline_s: Seconds = Field(default=30.0, gt=0, le=600)
    xml_bytes: Size = Field(default=256 * KIB, ge=KIB, le=8 * MIB)
    json_bytes: Size = Field(default=2_000_000, ge=KIB, le=64 * MIB)
    other_bytes: Size = Field(default=64 * KIB, ge=KIB, le=8 * MIB)
    max_bodies_bytes: Size = Field(default=64 * MIB, ge=MIB, le=GIB)


class StoreSection(Section):
    path: Folder = Field(default_factory=_store_path)
    keep_days: int = Field(default=30, ge=1, le=3650)
    max_bytes: Size = Field(default=2 * GIB, ge=16 * MIB)
    min_free_bytes: Size = Field(default=200 * MIB, ge=0)
    ballast_bytes: Annotated[Size, AfterValidator(_ballast)] = Field(default=32 * MIB, ge=0, le=GIB)
    when_full: Literal["refuse", "drop_oldest"] = "refuse"
    letters_max: int = Field(default=1000, ge=1, le=1_000_000)
    letters_per_sender: int = Field(default=100, ge=1, le=1_000_000)
    letters_bytes: Size = Field(default=50 * MIB, ge=MIB)
    commit_queue: int = Field(default=2000, ge=1, le=100_000)


class RuntimeSection(Section):
    socket: Folder | None = None  # `Config.socket` says which one is used
    log_format: Literal["auto", "journal", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    stop_grace_s: Seconds = Field(default=5.0, ge=0, le=60)


class EventsSection(Section):
    late_after_s: Seconds = Field(default=300.0, gt=0, le=DAY_S)
    late_after_count_s: Seconds = Field(default=1800.0, gt=0, le=7 * DAY_S)


class SourceSection(Section):
    enabled: bool = True
    path: UrlPath | None = None


class SourcesSection(Section):
    people_counter: SourceSection = SourceSection()
    face_terminal: SourceSection = SourceSection()
    camlytics: SourceSection = SourceSection()

    def by_name(self) -> Mapping[str, SourceSection]:
        """Give the options of each source, by the source's name."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class DeviceSection(Section):
    token: PathToken | None = None
    id: Slug | None = None
    address: Annotated[tuple[DeviceNetwork, ...], OneOrMore, NotEmpty] | None = None
    path_secret_file: PathWord = None
    name: Text = ""
    silent_after_s: Seconds | None = Field(default=None, ge=0, le=365 * DAY_S)
    swapped: bool = False
