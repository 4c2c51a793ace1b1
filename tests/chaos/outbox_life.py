"""One life of a real store beside the model of it: how it is opened, killed, troubled and asked."""

import asyncio
import contextlib
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hand_clock import HandClock
from hypothesis.stateful import RuleBasedStateMachine, initialize
from keeping import Running, access, after_crash, count, counter
from outbox_model import EDGE, HELD_PER_DEVICE, KNOWN, PIECE, STRANGERS, ZONE, Fact, Model, Said
from troubled_disk import TroubledDisk

from gateway import clock
from gateway.album import Album, Limits
from gateway.daemon.erasing import Eraser
from gateway.errors import StoreUnavailable, Unadopted
from gateway.event import Device, Event
from gateway.faults import Faults
from gateway.intake import Intake, Policy
from gateway.outbox import Caller, Drafting, Entry, Housekeeper, Position, Rules, adopting, places, statements
from gateway.outbox.connection import FILE_NAME
from gateway.outbox.sums import checked

START = EDGE.astimezone(UTC) + timedelta(hours=12)
CALLER = Caller("192.0.2.7")
POLICY = Policy(personal=frozenset({"user_id", "name"}))
PAD = "x" * 6_000
_RULES = Rules(hold=True, held_per_device=HELD_PER_DEVICE, configured=frozenset(KNOWN))
_NEVER_S = 1e6
_MEMORY = Path("/dev/shm")  # what a disk keeps of a power cut is another experiment's matter
_MS = timedelta(milliseconds=1)


class Tally:
    """What happened in all lives together."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.verbs: Counter[str] = Counter()  # what was done, and had an effect
        self.acknowledged = self.lives = 0


def event_of(said: Said) -> Event:
    """Give a statement as a source makes it."""
    fact = said.fact
    more = {"pad": PAD} if fact.big else {}
    if fact.is_record:
        who = {"user_id": fact.person, "name": f"Name of {fact.person}"}
        device = Device(id=fact.device, source="face_terminal")
        return access(fact.number, device=device, time=fact.time, score=said.value, personal=who, **more)
    return count(
        time=fact.time, enters=said.value, revision=said.revision, device=counter(fact.device), **more
    )


class Life(RuleBasedStateMachine):
    """A store, a clock, a disk and the model; what may happen to them is in `outbox_rules`."""

    tally = Tally()

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        self.directory = Path(self.place.name) / "0"
        self.model = Model()
        self.hand = HandClock(START)
        self.began_s = self.hand.gone_s  # the steady clock at START
        self.set_at: datetime | None = None  # when somebody set a clock that had not been right
        self.sound = False  # the last look at everything found it so
        self.copies = 0
        self.alive = 0  # transactions of this process
        self.positions: dict[str, Position] = {}
        self._before = clock.use(self.hand), adopting.PIECE, places._SOON_S, places._RARELY_S
        # No place reaches the disk by a timer, and every commit takes along what waits, however quickly it comes
        # after the one before: how busy the machine is must not decide what is on disk.
        adopting.PIECE, places._SOON_S, places._RARELY_S = PIECE, _NEVER_S, 0.0

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        self.sound = False
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        try:
            if self.sound:
                self.end_well()
        finally:
            self.do(self.running.stop())
            self.loop.close()
            self.place.cleanup()
            before, adopting.PIECE, places._SOON_S, places._RARELY_S = self._before
            clock.use(before)
        self.tally.lives += 1

    def end_well(self) -> None:
        """Every machine has its own last look."""

    # Beginning and ending

    @initialize()
    def begin(self) -> None:
        self.model.enlist("strict", oldest=True)
        self.model.enlist("live", oldest=True)
        self.start()
        for device in (*KNOWN, *STRANGERS):
            self.state(device, 2, 3, "ada-4711")

    def start(self) -> None:
        self.hand.go(1)
        clock.use(self.hand)
        newest = self.newest()
        clock.anchor(newest, believe=False)
        if newest is not None and not self.hand.synced:
            assert newest <= clock.now()  # a box that does not know the time goes on from what it knows
        self.set_at, self.alive = None, 0
        self.came: dict[int, float] = {}  # steady, by number in the log
        self.do(self._open())

    async def _open(self) -> None:
        more = {"drafting": Drafting(zone=ZONE), "admission": _RULES}
        self.running = await Running.start(self.directory, **more)
        self.outbox = outbox = self.running.outbox
        self.disk = outbox._writer._conn = TroubledDisk(outbox._conn)
        self.intake = Intake(outbox, POLICY)
        self.eraser = Eraser(outbox, Album(outbox, Faults(), Limits()))
        self.housekeeper = Housekeeper(outbox)
        self.positions = {
            name: await outbox.sinks.enlist(name, start="oldest", window=4) for name in self.model.sinks
        }
        await outbox.desk.decide(lambda desk: desk.review(_RULES))

    def stop(self) -> None:
        """Stop as the daemon does; on a disk that takes nothing the last places are not noted."""
        self.do(self.running.stop())
        if self.outbox._places.all_settled:
            self.model.committed()
        else:
            self.model.crashed()

    def copy(self) -> None:
        """Take what a process that is killed now leaves on its disk."""
        self.copies += 1
        self.left = after_crash(self.directory, Path(self.place.name) / str(self.copies))

    def reopen_copy(self) -> None:
        self.do(self.running.abandon())
        self.directory = self.left
        self.model.crashed()
        self.start()

    def jump(self, instant: datetime, *, synced: bool) -> None:
        """Set the clock of the box, by somebody who knows the time or not."""
        was = clock.trusted()
        self.tally.faults["clock jump"] += abs(instant - self.hand.instant) > timedelta(minutes=1)
        self.hand.set(instant, synced=synced)
        if clock.trusted() and not was:
            self.set_at = clock.now()

    # Doing what can fail

    def attempt(
        self, work: Coroutine[Any, Any, Any], then: Callable[[Any], None], *, kill: str | None = None
    ) -> bool:
        """Do one transaction and have the model follow; refused, it must leave no trace in either.

        With ``kill`` the process ends "before" its commit, or "after" it and before anybody is told.
        """
        troubled = self.disk.is_troubled
        if kill == "before":
            self.disk.before = self.copy
        elif kill == "after":
            self.disk.after = self.copy
        copies = self.copies
        try:
            result = self.do(work)
        except StoreUnavailable as refused:
            if isinstance(refused, Unadopted) or not troubled:
                raise
            self.tally.faults["failed commit"] += 1
            self.disk.before = self.disk.after = None
            return False
        self.alive += 1
        killed = self.copies > copies
        if not (killed and kill == "before"):
            before = self.model.head
            then(result)
            self.model.committed()
            self.came |= dict.fromkeys(range(before + 1, self.model.head + 1), self.hand.gone_s)
        if killed:
            self.tally.faults["crash at a commit"] += 1
            self.reopen_copy()
        return True

    def push(self, *said: tuple[Fact, int, int], kill: str | None = None) -> bool:
        """Push statements (fact, revision, value) of one device, and expect what is new of them."""
        received, fact = clock.now(), said[0][0]
        unsynced = not self.hand.synced or (self.set_at is not None and received < self.set_at)
        told = [Said(fact, number, value, received, unsynced, fact.person) for fact, number, value in said]
        fate = self.model.fate(fact.device, told)
        caller = None if fact.device in KNOWN else CALLER
        events = [self.intake.prepared(event_of(one)) for one in told]
        work = self.outbox.append(events, received, caller=caller)
        if fate == "refuse":
            self.refused(work)
            return False
        return self.attempt(work, lambda appended: self.acknowledged(appended, fate, told), kill=kill)

    def state(self, device: str, number: int, value: int, person: str, *, big=False, kill=None) -> None:
        """State facts that nobody has stated before."""
        first, who = len(self.model.facts), person if device.startswith("terminal") else None
        facts = [Fact(first + n, device, who, big) for n in range(number)]
        self.model.facts += facts
        if not self.push(*((fact, 0 if who else 10, value) for fact in facts), kill=kill):
            del self.model.facts[first:]

    def acknowledged(self, appended: Any, fate: str, told: list[Said]) -> None:
        """The device got its answer: from now on we owe what it said."""
        assert appended is not None, "a success without a result"
        self.tally.acknowledged += len(told)
        device = told[0].fact.device
        match fate:
            case "in":
                new = self.model.append(told)
                expected = (new, len(told) - new, 0, 0)
            case "hold":
                held = self.model.hold(device, told)
                expected = (0, len(told) - held, held, 0)
            case _:
                expected = (0, 0, 0, len(told))
        assert expected == (appended.new, appended.duplicates, appended.held, appended.ignored), fate
        done = ("append", "resend", "hold", "drop")
        self.tally.verbs.update(dict(zip(done, expected, strict=True)))

    def refused(self, work: Coroutine[Any, Any, Any]) -> None:
        """There is no room for a stranger: nothing of the push may be anywhere."""
        troubled = self.disk.is_troubled
        try:
            self.do(work)
        except Unadopted:
            self.tally.verbs["turn away"] += 1
            self.model.committed()  # nothing of the push, but the places of the sinks went along
            return
        except StoreUnavailable:
            if troubled:
                return
            raise
        raise AssertionError("a push was taken for which there is no room")

    # Looking

    def newest(self) -> datetime | None:
        if not (self.directory / FILE_NAME).exists():
            return None
        received = self.ask("SELECT max(received) FROM events")[0][0]
        return None if received is None else datetime.fromtimestamp(0, UTC) + received * _MS

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.directory / FILE_NAME)) as conn:
            return conn.execute(query, values).fetchall()

    def at_hand(self, first: int, last: int, number: int) -> list[Entry]:
        """Read a piece of the log as a sink does, from the disk; from memory it must be the same."""
        entries = [Entry(*checked(row)) for row in self.ask(statements.READ_LOG, first, last, number)]
        remembered = self.outbox.recent(first, number)
        if remembered:
            here = [entry for entry in remembered if entry.seq <= last]
            assert [(e.seq, e.id, e.body, e.personal) for e in entries] == [
                (e.seq, e.id, e.body, e.personal) for e in here
            ]
        return entries
