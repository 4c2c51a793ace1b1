"""The one writer: group commit with every caller waiting for its own commit.

Jobs gather in memory while a commit runs in a thread; the next commit takes all of them. Nobody is told
that a job is done before the transaction that holds it is on disk. A lone job is never delayed. When
more than one caller is at work the writer first lets the event loop turn, so that requests which are
already read join the same commit.

Trouble of the disk is everybody's: the whole transaction is refused, and tried again by whoever wants to.
A bug, or a row that the tables do not take, is one job's own: the others are done without it. Damage of
the file is the end: nobody may write to it any more, so `run` raises `StoreDamaged`.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from gateway.errors import GatewayError, StoreFull, StoreUnavailable
from gateway.outbox.damage import StoreDamaged, is_damage

T = TypeVar("T")

_MAX_BATCH = 500
# At most this share of the observed commit time is spent on waiting for company.
_LINGER_SHARE = 0.2
_LINGER_MAX_S = 0.004
_LINGER_TURN_S = 0.0005
# What a statement did wrong, and not the disk.
_BUGS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
)


@dataclass(slots=True)
class Job(Generic[T]):
    """Something to do inside a transaction, and who waits for it."""

    work: Callable[[sqlite3.Connection], T]
    done: "asyncio.Future[T]"
    error: GatewayError | None = None
    result: T | None = None

    def do(self, conn: sqlite3.Connection) -> None:
        """Do the work, perhaps for the second time: the first transaction may have been rolled back."""
        self.error = self.result = None
        try:
            self.result = self.work(conn)
        except StoreDamaged:
            raise
        except GatewayError as refused:  # the job's own word: it must not have written anything
            self.error = refused

    def fail(self, bug: Exception) -> None:
        """Tell the caller about its bug."""
        if not self.done.done():
            self.done.set_exception(bug)

    def tell(self, error: GatewayError | None) -> None:
        """Tell the caller how it went, unless it went away; the work stays done."""
        if self.done.done():
            return
        if error is not None or self.error is not None:
            self.done.set_exception(error or self.error or StoreUnavailable())
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type]  # set by the work just done


@dataclass(frozen=True, slots=True)
class Lone:
    """Something to do between two transactions."""

    work: Callable[[sqlite3.Connection], None]
    done: "asyncio.Future[None]"


class Writer:
    """Runs jobs on the writing connection, many to a transaction."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        max_jobs: int,
        before_commit: Callable[[sqlite3.Connection], Any],
        after_commit: Callable[[Any], None],
        after_rollback: Callable[[], None],
    ) -> None:
        self._conn = conn
        self._max_jobs = max_jobs
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._after_rollback = after_rollback
        self._jobs: deque[Job[Any]] = deque()
        self._lone: deque[Lone] = deque()
        self._wake = asyncio.Event()
        self._limiter = CapacityLimiter(1)
        self._suspects = 0  # so many of the next jobs are done one by one
        self._stopping = False
        self._damage: StoreDamaged | None = None
        self._commit_s = 0.001
        self._company = 1
        self.commits = 0
        self.busy_since: float | None = None  # monotonic; a commit that hangs shows here
        self._resting = True  # there is nothing to do
        self._step_since = time.monotonic()  # of what the writer does now, in a commit or beside it
        self.refused = asyncio.Event()  # a transaction failed; whoever waits for that clears it
        self.failure: str | None = None  # why the last transaction failed, None after a good one

    async def submit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in the next transaction and return when it is on disk.

        Raises `StoreUnavailable` when the queue is full or the transaction failed; nothing of the job
        is on disk then. When the caller is cancelled the work is done all the same.
        """
        if self._damage is not None:
            raise self._damage
        if self._stopping:
            raise StoreUnavailable("The gateway is stopping.")
        if len(self._jobs) >= self._max_jobs:
            raise StoreUnavailable(
                f"The store is behind: {len(self._jobs)} commits are waiting for the disk."
            )
        job: Job[T] = Job(work, asyncio.get_running_loop().create_future())
        self._given()
        self._jobs.append(job)
        self._wake.set()
        return await job.done

    async def alone(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do work that no transaction can hold, between two of them, while everybody waits.

        Raises `StoreUnavailable` when it fails; the store is as it was then.
        """
        if self._damage is not None or self._stopping:
            raise self._damage or StoreUnavailable("The gateway is stopping.")
        lone = Lone(work, asyncio.get_running_loop().create_future())
        self._given()
        self._lone.append(lone)
        self._wake.set()
        await lone.done

    @property
    def hanging_s(self) -> float:
        """For how long the writer has been at one step of its work, in a commit or beside it; 0 while it has none."""
        has_work = not self._resting or self._jobs or self._lone
        return time.monotonic() - self._step_since if has_work else 0.0

    def _given(self) -> None:
        """Count a hang from here when there was nothing to do until now."""
        if self._resting and not self._jobs and not self._lone:
            self._step_since = time.monotonic()

    def nudge(self) -> None:
        """Make a transaction even if no job waits: something lazy should be on disk now."""
        self._wake.set()

    def damaged(self, damage: StoreDamaged) -> None:
        """Take no more, refuse what waits, and have `run` raise: somebody found the file damaged."""
        self._damage = damage
        self.failure = str(damage)
        while self._jobs:
            self._jobs.popleft().tell(damage)
        self._wake.set()

    async def run(self) -> None:
        """Commit until `stop` was called and every job is done; raises `StoreDamaged` when the file is."""
        while self._damage is None:
            self._resting, self._step_since = False, time.monotonic()
            while self._lone:
                await self._do_alone(self._lone.popleft())
            if not self._jobs and not self._wake.is_set():
                self._resting = True
                if self._stopping:
                    return
                await self._wake.wait()
            self._resting, self._step_since = False, time.monotonic()
            self._wake.clear()
            if self._company > 1:
                await self._gather()
            size = min(len(self._jobs), 1 if self._suspects else _MAX_BATCH)
            batch = [self._jobs.popleft() for _ in range(size)]
            self._suspects = max(self._suspects - 1, 0)
            self._company = max(size, self._company // 2)
            await self._commit(batch)
            if self._jobs:
                self._wake.set()
        self._resting = True
        raise self._damage

    def stop(self) -> None:
        """Take no more jobs and end `run` after the last one."""
        self._stopping = True
        self._wake.set()

    async def _do_alone(self, lone: "Lone") -> None:
        self.busy_since = self._step_since = time.monotonic()
        try:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(lone.work, self._conn, limiter=self._limiter)
        except (sqlite3.Error, OSError) as error:
            if not lone.done.done():
                lone.done.set_exception(_explain(error))
            if is_damage(error):
                self.damaged(StoreDamaged(str(error)))
        else:
            if not lone.done.done():
                lone.done.set_result(None)
        finally:
            self.busy_since = None

    async def _gather(self) -> None:
        """Wait for company, but never longer than a small part of what the commit will cost anyway."""
        deadline = time.monotonic() + min(self._commit_s * _LINGER_SHARE, _LINGER_MAX_S)
        before = -1
        while len(self._jobs) < self._company:
            if len(self._jobs) > before:
                before = len(self._jobs)
                await anyio.lowlevel.checkpoint()
            elif deadline - time.monotonic() > _LINGER_TURN_S:
                await anyio.sleep(_LINGER_TURN_S)
            else:
                return

    async def _commit(self, batch: list[Job[Any]]) -> None:
        self.busy_since = self._step_since = started = time.monotonic()
        try:
            # Shielded: a commit that has begun is always waited for, whoever is being cancelled.
            with anyio.CancelScope(shield=True):
                error, told = await to_thread.run_sync(self._transact, batch, limiter=self._limiter)
        except Exception as bug:  # noqa: BLE001 - a bug in one job must not take the others' events with it
            self._isolate(batch, bug)
            return
        finally:
            self.busy_since = None
        self.failure = None if error is None else str(error)
        if error is not None:
            self.refused.set()
        try:
            if error is None:
                self.commits += 1
                self._commit_s += 0.2 * (time.monotonic() - started - self._commit_s)
                self._after_commit(told)
        finally:
            # What is on disk is on disk, also when somebody who follows the log fails.
            for job in batch:
                job.tell(error)
        if isinstance(error, StoreDamaged):
            self.damaged(error)

    def _isolate(self, batch: list[Job[Any]], bug: Exception) -> None:
        """Have the jobs of a transaction that broke done one by one; the one with the bug fails alone."""
        if not batch:
            raise bug
        if len(batch) == 1:
            batch[0].fail(bug)
        else:
            self._jobs.extendleft(reversed(batch))
            self._suspects = len(batch)

    def _transact(self, batch: list[Job[Any]]) -> tuple[GatewayError | None, Any]:
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.do(self._conn)
            told = self._before_commit(self._conn)
            self._conn.execute("COMMIT")
        except StoreDamaged as damaged:
            self._roll_back()
            return damaged, None
        except _BUGS:
            self._roll_back()
            raise
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            return _explain(error), None
        except BaseException:
            # A bug in a job: nothing of this transaction may stay half done.
            self._roll_back()
            raise
        return None, told

    def _roll_back(self) -> None:
        if self._conn.in_transaction:
            # SQLite has rolled back by itself after some errors (disk full, I/O); then this one says so.
            with contextlib.suppress(sqlite3.Error):
                self._conn.execute("ROLLBACK")
        self._after_rollback()


def _explain(error: sqlite3.Error | OSError) -> StoreUnavailable:
    """Say in a sentence why the disk did not take the transaction."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if is_damage(error):
        return StoreDamaged(f"The store's file is damaged ({name}: {error}); what can be read will be saved.")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull("The disk or the store is full: free some space, or raise store.max_bytes.")
    return StoreUnavailable(f"The store cannot write ({name}: {error}): check the disk.")
