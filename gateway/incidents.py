"""What Camio says is wrong with a camera, as faults that stand and go; Camio tells when one begins and not when it ends.

It follows the log, so a start, a letter that is read again and a device that was adopted all lead to the same
faults. A counter is over when Camio states a good value, or when nothing more was said of it for a time; then the
gateway says so in an event of its own, which is the same event after a crash.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio
import structlog
from anyio import to_thread

from gateway import clock
from gateway.errors import GatewayError
from gateway.event import Json, Kind
from gateway.faults import ACTIONS, Faults
from gateway.intake import Intake
from gateway.outbox import Entry, Flag, LogReader, Outbox, milliseconds, rfc3339
from gateway.outbox.reading import alarms_of
from gateway.sources.camio.counters import COUNTERS
from gateway.sources.camio.envelope import FAMILY
from gateway.sources.camio.incidents import ended_by_quiet

log = structlog.get_logger()

_READ = 1_000
_MOST = 5_000  # cameras times counters
_AGAIN_S = 30.0
_OURS = f"{FAMILY}-"
Order = tuple[int, bool, str]


@dataclass(slots=True)
class _Said:
    """The newest statement about one counter of one camera."""

    order: Order
    entry: Entry
    data: dict[str, Json]
    raised: bool
    heard: float  # steady seconds: when the gateway last heard of it


class Incidents:
    """Keeps the faults of Camio's incidents; one task runs it."""

    def __init__(self, outbox: Outbox, intake: Intake, faults: Faults, quiet_s: float) -> None:
        self.quiet_s = quiet_s
        self._outbox = outbox
        self._intake = intake
        self._faults = faults
        self._said: OrderedDict[str, _Said] = OrderedDict()  # by what stands for camera and counter
        self._news = anyio.Event()
        self._not_before = 0.0

    async def run(self) -> None:
        """Raise and clear for ever."""
        self._outbox.follow(self._wake)
        reader = LogReader(self._outbox.path)
        try:
            place = self._outbox.head
            for entry in await to_thread.run_sync(self._kept, place):
                self._take(entry)
            while True:
                self._news = anyio.Event()
                place = await self._follow(reader, place)
                await self._end_quiet()
                await self._pause()
        finally:
            self._outbox.unfollow(self._wake)
            reader.close()

    def _wake(self) -> None:
        self._news.set()

    def _kept(self, head: int) -> list[Entry]:
        with self._outbox.looking() as conn:
            return alarms_of(conn, FAMILY, head)

    async def _follow(self, reader: LogReader, place: int) -> int:
        while place < (head := self._outbox.head):
            entries: Sequence[Entry] | None = self._outbox.recent(place, _READ)
            if entries is None:
                entries = await reader.read(place, head, _READ)
            for entry in entries:
                if entry.kind == Kind.ALARM and entry.device.startswith(_OURS):
                    self._take(entry)
            place = entries[-1].seq if entries else head
        return place

    def _take(self, entry: Entry) -> None:
        """Take in a statement; which one counts does not depend on the order in which they came."""
        data = json.loads(entry.body)["data"]
        subject = data.get("trace_id")
        if not isinstance(subject, str):
            return
        quiet = data.get("cleared_by") == "quiet"
        time = _ms(data.get("raised_at"), entry.time) if quiet else entry.time
        order = (time, quiet, entry.id)
        known = self._said.get(subject)
        if known is not None and known.order >= order:
            return
        raised = data.get("state") == "raised"
        self._said[subject] = _Said(order, entry, data, raised, clock.steady() - self._age_s(entry))
        self._said.move_to_end(subject)
        if len(self._said) > _MOST:
            gone, _ = self._said.popitem(last=False)
            self._faults.clear("camio_incident", gone)
        self._show(subject, data, entry, raised=raised)

    def _age_s(self, entry: Entry) -> float:
        """Say how long ago something was received, as far as the clock can be believed; else it was just now."""
        if not clock.trusted() or entry.flags & Flag.UNSYNCED:
            return 0.0
        return min(max((clock.now_ms() - entry.received) / 1000, 0.0), self.quiet_s)

    def _show(self, subject: str, data: dict[str, Json], entry: Entry, *, raised: bool) -> None:
        if not raised:
            if self._faults.clear("camio_incident", subject):
                log.info("camio_incident_over", subject=subject, by=data.get("cleared_by"))
            return
        camera, value = data.get("camera") or entry.device, data.get("value")
        said = data.get("description") or data.get("meaning") or f"{data.get('alarm')} is {value}"
        counter = COUNTERS.get(str(data.get("alarm")))
        action = counter.action if counter else ACTIONS["camio_incident"]
        sentence = f"Camio says of camera {camera} at {rfc3339(entry.time)[:19]}Z: {said}"
        if self._faults.report("camio_incident", subject, sentence, action):
            log.warning("camio_incident", subject=subject, value=value)

    # The end that nobody tells

    async def _end_quiet(self) -> None:
        if clock.steady() < self._not_before:
            return
        for said in [said for said in self._said.values() if said.raised and self._left_s(said) <= 0]:
            now = max(clock.now(), _instant(said.entry.time + 1))
            event = ended_by_quiet(said.entry.device, said.data, said.entry.id, now, rfc3339(said.order[0]))
            try:
                await self._intake.keep([event], clock.now())
            except GatewayError as error:  # the store cannot take it now; the fault stands that much longer
                log.warning("camio_incident_not_ended", reason=str(error))
                self._not_before = clock.steady() + _AGAIN_S
                return
            # What was kept comes back through the log; if it was there before, it does not.
            self._take_quiet(said)

    def _take_quiet(self, said: _Said) -> None:
        said.raised = False
        said.order = (said.order[0], True, said.order[2])
        self._faults.clear("camio_incident", str(said.data["trace_id"]))

    def _left_s(self, said: _Said) -> float:
        return said.heard + self.quiet_s - clock.steady()

    async def _pause(self) -> None:
        """Wait for news in the log, or for the end of the next quiet time."""
        left = [self._left_s(said) for said in self._said.values() if said.raised]
        if not left:
            await self._news.wait()
            return
        pause_s = max(min(left), self._not_before - clock.steady(), 0.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._sleep, pause_s, tasks.cancel_scope)
            await self._news.wait()
            tasks.cancel_scope.cancel()

    async def _sleep(self, seconds: float, scope: anyio.CancelScope) -> None:
        await clock.sleep(seconds)
        scope.cancel()


def _ms(value: Json, fallback: int) -> int:
    try:
        return milliseconds(datetime.fromisoformat(str(value)))
    except (ValueError, TypeError):
        return fallback


def _instant(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
