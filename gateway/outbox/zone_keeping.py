"""The event loop's side of the zones: when one is due, and what a person says about it."""

from collections.abc import Mapping

from gateway.event import Json
from gateway.outbox.appending import Appender
from gateway.outbox.desk import Write


class ZoneKeeping:
    """Has the writer look at the zones."""

    def __init__(self, appender: Appender, write: Write) -> None:
        self._appender, self._write = appender, write

    @property
    def next_reset(self) -> int | None:
        """When the next zone is due to be reset, in ms; None when none ever is."""
        return self._appender.occupancy.next_reset

    def take_damaged(self) -> set[str]:
        """Name the zones whose state the disk had damaged, each once; "" for what all zones have in common."""
        found = set(self._appender.occupancy.damaged)
        self._appender.occupancy.damaged -= found
        return found

    async def look(self) -> None:
        """Reset the zones that are due, and take over the configured ones if they are new."""
        await self._write(lambda _conn: None)

    async def put(self, zone: str, people: int | None) -> Mapping[str, Json]:
        """Say how many people are in a zone now, None to reset it; give what the log says about it."""
        return await self._write(lambda _conn: self._appender.set_occupancy(zone, people))
