"""Where each thing is published, and how large its packet is.

A topic part is a slug: a wildcard or a separator that came from a device must never reach a topic.
"""

import re

from gateway.errors import ConfigError, Rejected

_SLUG = re.compile(r"[a-z0-9_-]{1,128}")
_NOT_IN_BASE = re.compile(r"[+#\x00-\x1f\x7f]|//|^/|/$|^\$|^$")
_LONGEST_BASE = 200
_MOST_REMEMBERED = 10_000

# A PUBLISH can say no more than this about its own length, whatever the broker allows.
LARGEST_PACKET = 268_435_455


class Topics:
    """The topics of one gateway below one base."""

    def __init__(self, base: str, gateway_id: str) -> None:
        if _NOT_IN_BASE.search(base) or len(base) > _LONGEST_BASE:
            raise ConfigError(
                f"The MQTT base topic {base!r} cannot be used: it must not be empty, start with $, start or end "
                f"with /, have an empty level, + or # in it, or be longer than {_LONGEST_BASE} characters."
            )
        if not _SLUG.fullmatch(gateway_id):
            raise ConfigError(
                f"The gateway id {gateway_id!r} cannot be part of an MQTT topic: use only a-z, 0-9, _ and -."
            )
        self.root = f"{base}/{gateway_id}"
        self.status = f"{self.root}/status"
        self._events: dict[str, str] = {}

    def event(self, device: str) -> str:
        """Name the topic of a device's events, or raise `Rejected` when the id cannot be part of one."""
        topic = self._events.get(device)
        if topic is None:
            topic = self._of(device, "event")
            if len(self._events) >= _MOST_REMEMBERED:
                self._events.clear()
            self._events[device] = topic
        return topic

    def state(self, device: str) -> str:
        """Name the topic of a device's newest state, or raise `Rejected`."""
        return self._of(device, "state")

    def _of(self, device: str, leaf: str) -> str:
        if not _SLUG.fullmatch(device):
            raise Rejected(f"The device id {device!r} cannot be part of an MQTT topic.")
        return f"{self.root}/{device}/{leaf}"


def packet_size(topic: str, payload: bytes, version: int) -> int:
    """Count the bytes of a QoS 1 PUBLISH as a broker's Maximum Packet Size counts them."""
    rest = 2 + len(topic.encode()) + 2 + (1 if version == 5 else 0) + len(payload)
    length_bytes = 1 + (rest > 127) + (rest > 16_383) + (rest > 2_097_151)
    return 1 + length_bytes + rest
