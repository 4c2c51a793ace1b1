"""What pairing a device comes to: the checks before it, the first push, and the sentence when it failed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from gateway.commands import pair_clock
from gateway.commands.asking import CANNOT_TELL, FAULT, plain
from gateway.commands.first_push import Push, Waiting
from gateway.config import Config
from gateway.errors import GatewayError
from gateway.provisioning import port_answers, push_url

_CLOCK_OFF_S = 120
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked for."""

    own: str | None = None  # our address as the device sees it
    port: int | None = None
    timeout_s: float = 120.0


@dataclass(slots=True)
class Told:
    """What came of it, also for programs."""

    url: str = ""
    device: str | None = None
    paired: bool = False
    set: bool = False  # the terminal took the setting
    read_back: str | None = None  # same, empty, other
    push: dict[str, Any] | None = None
    problem: str | None = None
    advice: list[str] = field(default_factory=list)
    status: int = FAULT


class Ended(GatewayError):
    """It cannot go on."""

    def __init__(self, sentence: str, *advice: str, status: int = FAULT) -> None:
        super().__init__(sentence)
        self.advice, self.status = advice, status


def ready(config: Config, waiting: Waiting, own: str, port: int | None, path: str, theirs: str | None) -> str:
    """Make sure that a push could come in, and give the URL for it."""
    status = waiting.begin()
    number = port or int(str(status["listen"]).rpartition(":")[2])
    try:
        url = push_url(own, number, path if path.startswith("/") else f"/{path}")
    except ValueError as error:
        raise Ended(f"{own!r} is no address: devices want numbers such as 192.168.1.10.") from error
    if theirs is not None and not _allowed(config, theirs):
        raise Ended(
            f"The gateway would refuse it: {theirs} is in no network of listen.allow.",
            "Add its network there.",
        )
    problem = (
        None if port else port_answers(own, number)
    )  # another port is another box's: a forwarding router
    if problem:
        raise Ended(problem)
    return url


def _allowed(config: Config, address: str) -> bool:
    ip = ip_address(address)
    return ip.is_loopback or any(ip.version == net.version and ip in net for net in config.listen.allow)


def wait(waiting: Waiting, told: Told, say: Say, timeout_s: float, absent: tuple[str, ...]) -> Push:
    push = waiting.first(timeout_s)
    if push is None:
        seen = waiting.why_not()
        raise Ended(
            f"No push came within {timeout_s:g} s.", *(seen or absent), status=FAULT if seen else CANNOT_TELL
        )
    row = waiting.device(push) or {}
    events = push["events"]
    told.paired = True
    told.device = events[0]["device"]
    told.push = {
        "device": told.device,
        "serial": row.get("serial"),
        "address": push["sender"],
        "path": push["path"],
        "records": len(events),
        "kinds": sorted({str(event["kind"]) for event in events}),
        "outcome": push["outcome"],
        "clock_offset_s": pair_clock.clock_offset_s(waiting, push, min(timeout_s, pair_clock.SETTLE_S)),
    }
    say(_first(told.push, timed=row.get("clock_offset_s") is not None))
    return push


def _first(push: dict[str, Any], *, timed: bool) -> str:
    offset = push["clock_offset_s"]
    unknown = pair_clock.CANNOT_TELL if timed else "not known yet"
    clock = unknown if offset is None else f"{offset} s against ours"
    lines = [
        f"Its first push is here: {push['records']} records ({', '.join(push['kinds'])}) of {plain(push['device'])}",
        f"  serial number {plain(push['serial'] or 'not told')}, from {push['address']}, path {plain(push['path'])}",
        f"  its clock: {clock}",
        f"  what became of it: {plain(push['outcome'])}",
    ]
    if offset is not None and abs(float(offset)) > _CLOCK_OFF_S:
        lines.append("  Give the device a time server: its clock is minutes off.")
    if "held" in str(push["outcome"]):
        lines.append(
            f"  It is held and not counted until you adopt it: gateway adopt {plain(push['device'])}"
        )
    if "ignored" in str(push["outcome"]):
        lines.append(
            f"  It is thrown away, because somebody ignored it: gateway adopt {plain(push['device'])}"
        )
    return "\n".join(lines)
