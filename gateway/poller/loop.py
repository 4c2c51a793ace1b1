"""The loop of one poll: ask, read, keep events and with the last of them the place, wait; or say what is wrong."""

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import anyio
import structlog
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import checkpoint

from gateway import clock
from gateway.errors import PollUnavailable, StoreUnavailable, Unreadable
from gateway.event import Event, Json
from gateway.faults import Faults
from gateway.intake import Intake
from gateway.outbox import Outbox, PollCursor, polls
from gateway.poller.fetching import Fetcher
from gateway.poller.shelf import Shelf
from gateway.poller.standing import Standing
from gateway.poller.trouble import refused, too_large
from gateway.poller.troubles import Troubles
from gateway.poller.turns import Turns
from gateway.reading.json_body import marks
from gateway.retry import Backoff
from gateway.source import Answer, Aside, Ask, Page, Poll, TakesOver

log = structlog.get_logger()

# What is longer, or has more parts, is read in a thread: it would hold up the replies to devices.
_THREAD_FROM = 131_072  # bytes
_HEAVY = 1_000  # parts; some ten milliseconds
_PIECE = 500  # events of a transaction; some ten milliseconds
_BACKOFF = Backoff(base_s=1.0, cap_s=60.0)
_STORE_S = 5.0  # the store says itself what is wrong with it
_PATIENCE = 2  # failures in a row before a system that did answer is said not to
_SHOWN = 300
_LONGEST_BREATH_S = 1.0


class Loop:
    """Drives one poll until it is cancelled."""

    def __init__(
        self,
        poll: Poll,
        outbox: Outbox,
        intake: Intake,
        faults: Faults,
        troubles: Troubles,
        turns: Turns,
        reading: CapacityLimiter,
        tell: Callable[[Standing], None],
    ) -> None:
        self.poll = poll
        self.standing = Standing(name=poll.name, source=poll.source)
        self._outbox = outbox
        self._intake = intake
        self._faults = faults
        self._troubles = troubles
        self._turns = turns
        self._reading = reading
        self._tell = tell
        self._rng = random.Random()
        self._shelf = Shelf(outbox, poll.name, poll.source)
        self._cursor: Mapping[str, Json] | None = None
        self._failures = 0
        self._noticed: set[str] = set()
        self._breath_s = 0.0  # between full pages, so that the pushes of devices get their turn at the store

    async def run(self) -> None:
        """Ask for ever."""
        fetcher = Fetcher(self.poll.endpoint)
        try:
            while True:
                await clock.sleep(await self._round(fetcher))
        finally:
            await fetcher.close()

    def forget_notices(self) -> None:
        """Clear what was said about a poll that is no longer driven."""
        for code in self._noticed:
            self._faults.clear(code, self.poll.name)
        self._noticed.clear()

    async def _round(self, fetcher: Fetcher) -> float:
        """Ask once; give the seconds until the next time."""
        try:
            if self._cursor is None:
                self._cursor = await self._outbox.write(self._place)
            answer = await self._answer(fetcher, self._cursor)
            page = await self._page(answer, self._cursor)
            await self._keep(answer, page)
        except PollUnavailable as error:
            return self._failed(error)
        except StoreUnavailable as error:
            log.warning("poll_not_kept", poll=self.poll.name, reason=str(error))
            self._cursor = None  # what is on disk counts
            return _STORE_S
        self._well(page)
        return self._breath_s if page.more else self.poll.period_s

    def _place(self, conn: sqlite3.Connection) -> Mapping[str, Json]:
        """Read how far it has got, on disk."""
        cursor = polls.load(conn, self.poll.name)
        if isinstance(self.poll, TakesOver):
            return self.poll.taken_over(cursor, polls.told_until(conn, self.poll.source), clock.now())
        return cursor

    async def _answer(self, fetcher: Fetcher, cursor: Mapping[str, Json]) -> Answer:
        async with self._turns.take(self.poll.key, self.poll.spacing_s) as nonce:
            try:
                ask: Ask = self.poll.ask(cursor, clock.now(), nonce)
            except Exception as bug:  # a bug of ours: it is said with backoff, and the other polls go on
                log.exception("source_failed", source=self.poll.source, poll=self.poll.name)
                raise PollUnavailable(
                    f"the gateway failed on where to go on ({type(bug).__name__}).", fault="poll_unreadable"
                ) from bug
            self.standing = replace(self.standing, asks=self.standing.asks + 1)
            return await fetcher.fetch(ask)

    async def _page(self, answer: Answer, cursor: Mapping[str, Json]) -> Page:
        """Have the answer read; one that cannot be read leaves the place where it is."""
        try:
            if len(answer.body) >= _THREAD_FROM or marks(answer.body) > _HEAVY:
                return await to_thread.run_sync(self.poll.read, answer, cursor, limiter=self._reading)
            return self.poll.read(answer, cursor)
        except PollUnavailable:
            raise
        except Unreadable as unreadable:
            reason = str(unreadable)
            if not 200 <= answer.status <= 299:
                raise refused(self.poll.endpoint, answer) from unreadable
        except (
            Exception
        ) as bug:  # a bug of ours must not end the poll, and the far end keeps what we cannot read
            log.exception("source_failed", source=self.poll.source, poll=self.poll.name)
            reason = f"the gateway failed on it ({type(bug).__name__})"
        if answer.cut:
            reason = f"it is longer than {len(answer.body)} bytes"
        if await self._shelf.whole(answer, reason):
            log.warning("poll_unreadable", poll=self.poll.name, reason=reason)
        if answer.cut:
            raise too_large(self.poll.endpoint, len(answer.body))
        raise PollUnavailable(
            f"{self.poll.endpoint}: its answer to {_path(answer)} could not be read: {reason[:_SHOWN]}.",
            fault="poll_unreadable",
        )

    async def _keep(self, answer: Answer, page: Page) -> None:
        """Put everything of a page on disk, in pieces: the place moves with the last, and a stop waits for one only."""
        began = clock.steady()
        with anyio.CancelScope(shield=True):
            if page.aside:
                await self._set_aside(answer, page.aside, page.left_out)
        if page.reading.events or page.save:
            for events, last in _pieces(page.reading.events):
                with anyio.CancelScope(shield=True):
                    await self._keep_piece(answer, events, page.cursor if last else None)
                await checkpoint()
        self._cursor = page.cursor
        self._breath_s = min(max(clock.steady() - began, 0.0), _LONGEST_BREATH_S)

    async def _keep_piece(
        self, answer: Answer, events: Sequence[Event], cursor: Mapping[str, Json] | None
    ) -> None:
        place = None if cursor is None else PollCursor(self.poll.name, cursor)
        try:
            new = (await self._intake.keep(events, answer.received_at, path=_path(answer), cursor=place)).new
        except StoreUnavailable:
            raise
        except Unreadable:
            new = await self._keep_singly(answer, events, place)
        except Exception:  # a bug of ours must not hold up for ever what comes behind this page
            log.exception("append_failed", source=self.poll.source, poll=self.poll.name)
            new = await self._keep_singly(answer, events, place)
        self.standing = replace(self.standing, events=self.standing.events + new)

    async def _keep_singly(self, answer: Answer, events: Sequence[Event], place: PollCursor | None) -> int:
        """Keep what can be kept of events that the store does not take together; the place moves last."""
        new = 0
        failed: list[Aside] = []  # all of them: they were read, and are nowhere else
        for event in events:
            try:
                new += (await self._intake.keep([event], answer.received_at, path=_path(answer))).new
            except StoreUnavailable:
                raise
            except Unreadable as unreadable:
                failed.append(_as_aside(event, str(unreadable)))
            except Exception as bug:  # the same: this event becomes a letter, and the others are kept
                log.exception("append_failed", source=self.poll.source, poll=self.poll.name)
                failed.append(_as_aside(event, f"the gateway failed on it ({type(bug).__name__})"))
        if failed:
            await self._set_aside(answer, failed, 0)
        if place is not None:
            await self._intake.keep([], answer.received_at, cursor=place)
        return new

    async def _set_aside(self, answer: Answer, asides: Sequence[Aside], left_out: int) -> None:
        if not (new := await self._shelf.records(answer, asides, left_out)):
            return
        sentence = f"{new} records of {self.poll.endpoint} could not be read: {asides[0].reason[:_SHOWN]}."
        if self._faults.report("records_unreadable", self.poll.name, sentence):
            log.warning("poll_records_unreadable", poll=self.poll.name, reason=asides[0].reason)

    # What is told

    def _failed(self, error: PollUnavailable) -> float:
        self._failures += 1
        if self._failures >= _PATIENCE or self.standing.answers is None:
            if self._troubles.report(self.poll.name, error.fault, str(error)):
                log.warning("poll_failed", poll=self.poll.name, reason=str(error))
            self._stand(answers=False, trouble=str(error))
        return _BACKOFF.delay(self._failures, self._rng, retry_after_s=error.retry_after_s)

    def _well(self, page: Page) -> None:
        self._failures = 0
        self._troubles.clear(self.poll.name)
        self._notice(page)
        self.standing = replace(self.standing, heard=clock.now(), heard_steady=clock.steady())
        self._stand(answers=True, trouble="")

    def _stand(self, *, answers: bool, trouble: str) -> None:
        changed = self.standing.answers is not answers
        since = clock.now() if changed else self.standing.since
        self.standing = replace(self.standing, answers=answers, since=since, trouble=trouble)
        if changed:
            self._tell(self.standing)

    def _notice(self, page: Page) -> None:
        """Report what stands by this page, and clear what no longer does."""
        standing = {notice.code for notice in page.reading.notices}
        for code in self._noticed - standing:
            self._faults.clear(code, self.poll.name)
        for notice in page.reading.notices:
            sentence = f"{self.poll.name}: {notice.sentence}"
            self._faults.report(notice.code, self.poll.name, sentence, notice.action, again=False)
        self._noticed = standing


def _pieces(events: Sequence[Event]) -> Iterator[tuple[Sequence[Event], bool]]:
    """Give events as many at a time as hold up nobody, and whether these are the last; none are one piece, too."""
    for start in range(0, max(len(events), 1), _PIECE):
        yield events[start : start + _PIECE], start + _PIECE >= len(events)


def _path(answer: Answer) -> str:
    return answer.target.partition("?")[0]


def _as_aside(event: Event, reason: str) -> Aside:
    return Aside(
        reason=reason, body=repr((event.id, event.kind, event.time, event.data)).encode("utf-8", "replace")
    )
