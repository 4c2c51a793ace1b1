"""What happens to events between a source and the log, the same for pushes and polls.

`keep` returns when what it was given is on disk and not before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.event import Event
from gateway.outbox import Outbox, PollCursor


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the events of one push or page."""

    new: int = 0
    duplicates: int = 0
    held: int = 0  # of a device that nobody has adopted yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the owner decided about devices; replaced as a whole when the configuration is reloaded."""

    swapped: frozenset[str] = frozenset()  # device ids whose inside is outside


class Intake:
    """Puts events on disk."""

    def __init__(self, outbox: Outbox, policy: Policy) -> None:
        self.policy = policy
        self._outbox = outbox

    async def keep(
        self,
        events: Sequence[Event],
        received_at: datetime,
        *,
        path: str = "",
        cursor: PollCursor | None = None,
    ) -> Kept:
        """Keep events, and with them how far the poll that brought them has got.

        Raises `StoreUnavailable` when nothing of it is on disk, `Unreadable` for what could not be given back.
        """
        appended = await self._outbox.append(events, received_at, path, cursor=cursor)
        return Kept(appended.new, appended.duplicates)
