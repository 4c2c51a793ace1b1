"""What happens to events between a source and the log, the same for pushes and polls.

`keep` returns when what it was given is on disk and not before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from gateway import clock
from gateway.album import Album
from gateway.errors import Unreadable
from gateway.event import OTHER_WAY, Event, Json, Kind
from gateway.outbox import Caller, Outbox, PollCursor
from gateway.outbox.persons import guarded
from gateway.outbox.polls import devices_of

# More than anybody says at once: a day of minutes does not fit into the largest body of a counter, and of a cloud's
# full records neither do so many. What is polled comes in smaller pieces.
MOST_EVENTS = 2_000
MOST_DEVICES = 100
# Whom the configuration vouches for may bring new devices, and no site has so many of one kind.
MOST_OF_A_SOURCE = 512
_LOOK_AGAIN_S = 60.0  # devices may have been removed meanwhile


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the events of one push or page."""

    new: int = 0
    duplicates: int = 0
    held: int = 0  # of a device that nobody has adopted yet
    ignored: int = 0  # of a device that a person does not want
    apart: bool = False  # some of it is not in the log: it is held, was held before, or is ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the owner decided about devices; replaced as a whole when the configuration is reloaded."""

    swapped: frozenset[str] = (
        frozenset()
    )  # device ids, or what stands behind their family: their inside is outside
    swapped_tokens: frozenset[str] = frozenset()  # the same, known by their path
    personal: frozenset[str] = frozenset()  # the personal fields that some sink wants; no other is kept


class Intake:
    """Puts events on disk."""

    def __init__(self, outbox: Outbox, policy: Policy) -> None:
        self.policy = policy
        self.album: Album | None = None  # keeps pictures, if the owner wants that
        self._outbox = outbox
        self._known: dict[str, set[str]] = {}  # source: its devices, where somebody vouches for them
        self._looked: dict[str, float] = {}  # source: when, in seconds of `clock.steady`

    async def keep(
        self,
        events: Sequence[Event],
        received_at: datetime,
        *,
        path: str = "",
        cursor: PollCursor | None = None,
        pictures: Mapping[str, str] | None = None,
        caller: Caller | None = None,
        unsynced: bool | None = None,
    ) -> Kept:
        """Keep events, and with them how far the poll that brought them has got, and what `Reading.pictures` holds.

        A ``caller`` is given when nobody has vouched for who sent them: events of devices that are not adopted are
        held then. What the configuration names (polls, callbacks) and what the gateway says itself has no caller.

        What came in earlier says by ``unsynced`` whether our clock could be believed then.

        Raises `StoreUnavailable` when nothing of it is on disk, `Unreadable` for what could not be given back.
        """
        if len(events) > MOST_EVENTS:
            raise Unreadable(
                f"it holds {len(events)} events, and nobody sends more than {MOST_EVENTS} at once"
            )
        if caller is not None:
            _check_devices(events)
        else:
            await self._check_newcomers(events)
        events = [self.prepared(event, caller.token if caller else None) for event in events]
        append = partial(
            self._outbox.append,
            received_at=received_at,
            path=path,
            cursor=cursor,
            caller=caller,
            unsynced=unsynced,
        )
        if pictures and self.album is not None:
            appended = await self.album.keep(events, pictures, append)
        else:
            appended = await append(events)
        return Kept(appended.new, appended.duplicates, appended.held, appended.ignored, apart=appended.apart)

    async def _check_newcomers(self, events: Sequence[Event]) -> None:
        """Refuse new devices without end: a system that invents one for each event would fill everything."""
        said: dict[str, set[str]] = {}
        for event in events:
            said.setdefault(event.device.source, set()).add(event.device.id)
        for source, ids in said.items():
            known = self._known.get(source, set())
            if ids <= known:
                continue
            if len(known | ids) > MOST_OF_A_SOURCE or source not in self._known:
                known = await self._look_up(source, known)
            if not ids <= known and len(known | ids) > MOST_OF_A_SOURCE:
                raise Unreadable(
                    f"there are {len(known)} devices of {source} already, and no more are taken up"
                )
            self._known[source] = known | ids

    async def _look_up(self, source: str, known: set[str]) -> set[str]:
        now = clock.steady()
        if source in self._looked and now - self._looked[source] < _LOOK_AGAIN_S:
            return known
        self._looked[source] = now
        return await self._outbox.write(lambda conn: devices_of(conn, source))

    def prepared(self, event: Event, token: str | None = None) -> Event:
        """Give an event as the owner wants it, before anything else sees it; doing it twice changes nothing."""
        policy, device = self.policy, event.device.id
        swapped = (
            device in policy.swapped
            or device.partition("-")[2] in policy.swapped
            or token in policy.swapped_tokens
        )
        # What no sink wants goes no further.
        return facing(guarded(event, self._outbox.key, policy.personal), swapped=swapped)


def facing(event: Event, *, swapped: bool) -> Event:
    """Turn a count round if its device looks the wrong way, and back if it does not any more.

    Who turned back inside has turned back outside then, so these change places too.
    """
    if event.kind != Kind.COUNT or (event.data.get("swapped") is True) == swapped:
        return event
    data: dict[str, Json] = {
        OTHER_WAY.get(name, name): value for name, value in event.data.items() if name != "swapped"
    }
    return replace(event, data={**data, "swapped": True} if swapped else data)


def _check_devices(events: Sequence[Event]) -> None:
    """Refuse a push of more devices than can stand behind one."""
    devices = len({event.device.id for event in events})
    if devices > MOST_DEVICES:
        raise Unreadable(f"it speaks of {devices} devices, and at most {MOST_DEVICES} can be in one push")
