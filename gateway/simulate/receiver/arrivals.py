"""What a far end took, in the order in which it came.

Two deliveries are the same fact when event id and revision agree; their content must agree then too,
except for ``late``, which says something about the delivery and not about the fact.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that arrived; its place in the ledger is its order."""

    id: str
    revision: int
    digest: bytes  # SHA-256 of the data as canonical JSON without ``late``
    at: float  # monotonic seconds
    request: int
    data: Mapping[str, Any] | None  # kept when asked for


class Arrivals:
    """All deliveries, with what is unique and what came again."""

    def __init__(self, *, keep_data: bool) -> None:
        self._keep_data = keep_data
        self.deliveries: list[Delivery] = []
        self.first: dict[tuple[str, int], bytes] = {}  # (id, revision) → digest
        self.duplicates: list[tuple[str, int]] = []
        self.conflicts: list[tuple[str, int]] = []  # came again with other content

    def take(self, events: Sequence[Mapping[str, Any]], request: int) -> None:
        """Enter the events of one request."""
        at = monotonic()
        for event in events:
            data = event["data"]
            key = (str(event["eventid"]), int(event["revision"]))
            digest = canonical_digest(data)
            known = self.first.setdefault(key, digest)
            if known is not digest:
                self.duplicates.append(key)
                if known != digest:
                    self.conflicts.append(key)
            kept = data if self._keep_data else None
            self.deliveries.append(Delivery(*key, digest, at, request, kept))

    def __len__(self) -> int:
        return len(self.deliveries)

    @property
    def unique(self) -> int:
        return len(self.first)

    @property
    def ids(self) -> list[str]:
        """The event ids in the order of their arrival, with repetitions."""
        return [delivery.id for delivery in self.deliveries]

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Give the data of every delivery in order; only when it was kept."""
        for delivery in self.deliveries:
            if delivery.data is None:
                raise ValueError("this receiver was not asked to keep what it gets")
            yield delivery.data


def canonical_digest(data: Mapping[str, Any]) -> bytes:
    """Hash what a consumer must see alike each time."""
    content = {name: value for name, value in data.items() if name != "late"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()
