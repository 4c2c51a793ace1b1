"""What the owner says about one Camlytics: where it is, which way its events come, and what its rules mean."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal
from urllib.parse import urlsplit

from gateway.event import slug

SOURCE = "camlytics"
FAMILY = "camlytics"

Direction = Literal["in", "out", "ignore"]
Mode = Literal["poll", "webhook", "hourly", "daily"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one line or area of Camlytics means, by the name that a person gave it there."""

    rule: str
    direction: Direction | None = None  # None: an area, which is joined and left
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One PC on which Camlytics runs."""

    name: str
    endpoint: str = ""
    mode: Mode = "poll"
    zone: tzinfo = UTC  # in which its PC states local time
    rules: tuple[Rule, ...] = ()
    origins: frozenset[str] = frozenset({"pedestrian", "unknown"})  # lower case: what counts as a person
    token: str | None = None  # of the URL to which its webhooks go
    start: Literal["oldest", "now"] = "oldest"
    period_s: float = 2.0
    wait_s: float = 20.0  # for how long an ask may wait for the next event
    limit: int = 500
    check_totals: bool = True
    peers: tuple[str, ...] = ()  # the names of the other instances
    run: str = ""  # of the gateway: another one means that there was a pause of unknown length

    @property
    def host(self) -> str:
        """Give the host of its endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    def rule(self, name: str) -> Rule | None:
        """Find what a rule means; names are told apart without regard to case."""
        wanted = name.strip().casefold()
        return next((rule for rule in self.rules if rule.rule.strip().casefold() == wanted), None)

    def device(self, channel: str) -> str:
        """Name the device of one of its channels."""
        return f"{FAMILY}-{self.name}-{slug(channel)}"

    def owns(self, device: str) -> bool:
        """Say whether a device is one of its channels; "hall-2" may be an instance beside "hall"."""
        owners = [one for one in (self.name, *self.peers) if device.startswith(f"{FAMILY}-{one}-")]
        return max(owners, key=len, default="") == self.name
