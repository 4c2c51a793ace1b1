"""The pictures that the owner chose to keep: files beside the log that nobody but the gateway's user can open.

A picture is on disk before the event that refers to it is, and its row comes with that event. What is left
without a row, after a crash between the two, is swept. An event never waits for room for its picture.
"""

import hashlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio
import structlog
from anyio import to_thread

from gateway import clock
from gateway.album.files import jpeg, write_durably
from gateway.errors import StoreUnavailable
from gateway.event import Event, Json
from gateway.faults import Faults
from gateway.outbox import Appended, Outbox, Picture, persons, pictures

log = structlog.get_logger()

FOLDER = "pictures"
_DAY_MS = 86_400_000
_LOOK_S = 15.0
_TIDY_S = 600.0
_ENDING = ".jpg"

Choice = Callable[[sqlite3.Connection], list[str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner decided about pictures."""

    keep: bool = False
    days: int = 7
    max_bytes: int = 500 * 2**20


@dataclass(slots=True)
class Removed:
    """Pictures removed since the start, by reason."""

    age: int = 0
    room: int = 0
    orphans: int = 0
    given_up: int = 0  # never kept: the disk had no room


@dataclass(slots=True)
class _Files:
    """What only one thread at a time may touch."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    flying: Counter[str] = field(default_factory=Counter)  # written, their rows are not committed yet


class Album:
    """Keeps pictures within the owner's limits."""

    def __init__(self, outbox: Outbox, faults: Faults, limits: Limits) -> None:
        self.limits = limits
        self.removed = Removed()
        self.folder = outbox.settings.directory / FOLDER
        self._outbox = outbox
        self._faults = faults
        self._files = _Files()
        self._fresh_bytes = 0  # since the limits were last looked at
        self._full = anyio.Event()

    async def keep(
        self, events: Sequence[Event], stated: Mapping[str, str], append: Callable[..., Awaitable[Appended]]
    ) -> Appended:
        """Write the pictures of these events, then have the events appended; ``stated`` is Base64 by event id."""
        if not stated or not self.limits.keep:
            return await append(events)
        # Shielded: the log takes the events even if the device hangs up now, and they must find their pictures.
        with anyio.CancelScope(shield=True):
            # In a thread: a picture is megabytes of text, and the disk takes its time.
            told, rows = await to_thread.run_sync(self._take, events, stated)
            new = 0
            try:
                appended = await append(told, shown=rows)
                new = appended.new
            finally:
                await to_thread.run_sync(self._landed, rows, new < len(events))
        self._fresh_bytes += sum(row.bytes for row in rows)
        if self._fresh_bytes > self.limits.max_bytes // 20:
            self._full.set()
        return appended

    async def run(self) -> None:
        """Sweep once, then keep the pictures within their limits, for ever."""
        await self.sweep(None)
        since = -_TIDY_S
        while True:
            space = self._outbox.room.look()
            if (missing := space.disk_reserve + space.disk_reserve // 10 - space.disk_free) > 0:
                await self._trimmed(lambda conn: pictures.beyond(conn, pictures.total(conn)[1] - missing))
            if self._full.is_set() or clock.steady() - since >= _TIDY_S:
                self._full, self._fresh_bytes, since = anyio.Event(), 0, clock.steady()
                await self.tidy()
            with anyio.move_on_after(_LOOK_S):
                await self._full.wait()

    async def tidy(self) -> None:
        """Remove what has had its days, and the oldest of what is too much."""
        limits, now = self.limits, clock.now_ms()

        def old(conn: sqlite3.Connection) -> list[str]:
            if not clock.trusted():
                return []  # nobody knows how old anything is
            pictures.date_anew(conn, now)
            return pictures.older_than(conn, now - limits.days * _DAY_MS)

        self.removed.age += await self._forgotten(old, "age")
        await self._trimmed(lambda conn: pictures.beyond(conn, limits.max_bytes))

    async def _trimmed(self, choose: Choice) -> None:
        self.removed.room += await self._forgotten(choose, "room")

    async def _forgotten(self, choose: Choice, reason: str) -> int:
        """Forget rows first and files second, so that no row ever names a file that is gone."""
        try:
            names = await self._outbox.write(choose)
        except StoreUnavailable:
            return 0  # the writer says why; the next round tries again
        if names:
            await self.sweep(names)
            log.info("pictures_removed", reason=reason, pictures=len(names))
        return len(names)

    async def sweep(self, names: Iterable[str] | None) -> None:
        """Remove files that no row names: these, or whatever lies about."""
        found = await to_thread.run_sync(self._sweep, None if names is None else set(names))
        if names is None and found:
            self.removed.orphans += found
            log.info("pictures_removed", reason="without an event", pictures=found)

    def held(self) -> dict[str, object]:
        """Say what is kept, for the status."""
        with self._outbox.looking() as conn:
            count, size = pictures.total(conn)
        gone = self.removed
        return {
            "kept": count,
            "bytes": size,
            "removed_age": gone.age,
            "removed_room": gone.room,
            "removed_orphans": gone.orphans,
            "given_up": gone.given_up,
        }

    # In a thread

    def _take(
        self, events: Sequence[Event], stated: Mapping[str, str]
    ) -> tuple[Sequence[Event], Sequence[Picture]]:
        told: list[Event] = []
        rows: list[Picture] = []
        for event in events:
            text = stated.get(event.id)
            told.append(event if text is None else self._with_picture(event, text, rows))
        return told, rows

    def _landed(self, rows: Sequence[Picture], in_doubt: bool) -> None:
        """Remove again what the log has no row for: the push was refused, or repeats one that says otherwise."""
        names = {row.hash for row in rows}
        with self._files.lock:
            self._files.flying.subtract(row.hash for row in rows)
            self._files.flying += Counter()  # forgets the zeros
        if names and in_doubt:
            self._sweep(names)

    def _with_picture(self, event: Event, text: str, rows: list[Picture]) -> Event:
        content = jpeg(text)
        if content is None:
            return _saying(event, {"picture": "damaged"})
        name = hashlib.sha256(content).hexdigest()
        try:
            self._keep(name, content)
        except OSError as error:
            self._give_up(error)
            return event
        self._faults.clear("pictures_given_up")
        person = event.personal.get(persons.MARK)
        rows.append(
            Picture(
                hash=name,
                event=event.id,
                device=event.device.id,
                person=person if isinstance(person, str) else None,
                bytes=len(content),
            )
        )
        return _saying(event, said_of(name))

    def _keep(self, name: str, content: bytes) -> None:
        space = self._outbox.room.space
        if space.disk_free - len(content) < space.disk_reserve:
            raise OSError(28, "No space left on device")
        with self._files.lock:
            path = self.folder / f"{name}{_ENDING}"
            if not path.exists():
                write_durably(path, content)
            self._files.flying[name] += 1

    def _give_up(self, error: OSError) -> None:
        self.removed.given_up += 1
        sentence = (
            f"Pictures are not kept now, because they cannot be written ({error.strerror}); events are kept."
        )
        if self._faults.report("pictures_given_up", "", sentence):
            log.warning("picture_given_up", reason=error.strerror)

    def _sweep(self, names: set[str] | None) -> int:
        with self._files.lock:
            if names is None:
                found = self.folder.iterdir() if self.folder.is_dir() else ()
                names = {path.name.removesuffix(_ENDING) for path in found}
            # Read after what flies: a picture is in one of the two at every moment.
            names -= self._files.flying.keys()
            with self._outbox.looking() as conn:
                names -= pictures.known(conn, names)
            for name in names:
                for path in (self.folder / f"{name}{_ENDING}", self.folder / name):
                    path.unlink(missing_ok=True)
            return len(names)


def said_of(name: str) -> dict[str, Json]:
    """Give what an event says of a picture that is kept."""
    return {"picture": "kept", "picture_sha256": name}


def _saying(event: Event, said: Mapping[str, Json]) -> Event:
    return replace(event, data={**event.data, **said})
