"""What the listener grants to those who connect, and the count of what it refused."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The configured bounds of one listener; the body has its own in `gateway.guard`."""

    header_bytes: int = 16_384
    connections: int = 256
    connections_per_address: int = 32
    keep_alive_s: float = 75.0  # devices keep their connection between two pushes
    header_deadline_s: float = 10.0  # from the connection, or from the first byte of the next request
    write_stall_s: float = 30.0  # a client that reads nothing of its answer for so long is cut off
    drain_bytes: int = 8_000_000  # after a refusal we go on reading, so that the client can read the answer
    drain_s: float = 2.0


class Refusals:
    """Counts refusals by reason and passes them on.

    At accept: not_allowed, too_many, too_many_from_address. On TLS: tls (no handshake), tls_on_plain_port.
    On the head: silent, slow_header, header_too_large, http_version, bad_request.
    """

    def __init__(self, tell: Callable[[str, str], None] | None) -> None:
        self.by_reason: Counter[str] = Counter()
        self._tell = tell

    def add(self, address: str, reason: str) -> None:
        self.by_reason[reason] += 1
        if self._tell is not None:
            self._tell(address, reason)
