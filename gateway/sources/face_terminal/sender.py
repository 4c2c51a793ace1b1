"""Says which terminal sent a push: a record carries the serial number, an alarm does not.

An event's id comes from what the post itself says (`Sender.identity`). What the gateway remembers about
the address only names the device (`Sender.device`): else an alarm that is sent again after the address
book has changed would count as another one.
"""

from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Unreadable
from gateway.event import Device, Json, device_id
from gateway.source import Post
from gateway.sources.face_terminal.values import Unit, instant, text, unix_ms

SOURCE = "face_terminal"
FAMILY = "terminal"

_SERIAL_MAX = 128
_MODEL_MAX = 64
_SANE_FROM_MS = 946_684_800_000  # the year 2000
_SANE_TO_MS = 4_102_444_800_000  # the year 2100


@dataclass(frozen=True, slots=True)
class Sender:
    """The terminal behind one post."""

    identity: str  # out of the post alone
    device: Device
    sent_at: datetime | None


def sender_of(post: Post, serial: str) -> Sender:
    """Identify the terminal; ``serial`` may be empty."""
    serial = serial[:_SERIAL_MAX]
    identity = device_id(
        FAMILY, serial=serial or None, mac=None, label=None, token=post.token, address=post.address
    )
    known = None if serial or post.token else post.known_device
    device = Device(
        id=known or identity,
        source=SOURCE,
        serial=serial or None,
        address=post.address,
        hardware=text(post.headers.get("model"))[:_MODEL_MAX] or None,
    )
    return Sender(identity, device, _sent_at(post))


def header_serial(post: Post) -> str:
    """Return the serial number in the header `sn`, which newer firmware sends with each push."""
    return text(post.headers.get("sn"))


def body_serial(data: "dict[str, Json]") -> str:
    """Return the serial number that the body states."""
    return text(data.get("deviceSN"))


def _sent_at(post: Post) -> datetime | None:
    try:
        ms = unix_ms(post.headers.get("timestamp"), "the header timestamp", Unit.SECONDS)
    except Unreadable:
        return None  # a header is a hint: the record is in the body
    return instant(ms) if ms is not None and _SANE_FROM_MS <= ms < _SANE_TO_MS else None
