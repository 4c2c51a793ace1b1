"""Whose turn it is: polls with one key are asked one after the other, spaced, each with a higher nonce.

A nonce must rise over restarts, also after a kill and when the clock goes back. Blocks of numbers are put on
disk before the first of them is used; what was left of a block is never used.
"""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from gateway import clock
from gateway.outbox import Outbox, PollCursor, polls

_BLOCK = 100
_SLACK_S = 0.02  # the other side measures at its own end of the line


class Turns:
    """The turns of all polls, by key."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._keys: dict[str, _Key] = {}

    @asynccontextmanager
    async def take(self, key: str | None, spacing_s: float) -> AsyncIterator[int]:
        """Wait for a turn; give the nonce. Raises `StoreUnavailable` when a nonce cannot be made sure of."""
        if key is None:
            yield 0
            return
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _Key(self._outbox, key)
            known.rest(spacing_s)  # nobody knows when the life before this one asked last
        async with known.lock:
            while (wait_s := known.free_at - clock.steady()) > 0:
                await clock.sleep(wait_s)
            nonce = await known.nonce()
            try:
                yield nonce
            finally:  # an answer that took long has not let the other side rest either
                known.rest(spacing_s)


class _Key:
    def __init__(self, outbox: Outbox, key: str) -> None:
        self.lock = anyio.Lock()
        self.free_at = 0.0
        self._outbox = outbox
        # By a hash: nobody should have to know whether a key is a secret to read the store.
        self._name = f"nonce.{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
        self._next = 0
        self._reserved = 0  # numbers below are ours to use

    def rest(self, spacing_s: float) -> None:
        """Let nobody ask for so long."""
        self.free_at = clock.steady() + spacing_s + (_SLACK_S if spacing_s else 0)

    async def nonce(self) -> int:
        if self._next >= self._reserved:
            self._next, self._reserved = await self._outbox.write(self._reserve)
        self._next += 1
        return self._next - 1

    def _reserve(self, conn: sqlite3.Connection) -> tuple[int, int]:
        """Put the end of a new block on disk, on the writer's thread; used only when that is committed."""
        known = polls.load(conn, self._name).get("reserved", 0)
        now = clock.now_ms()
        # In seconds: the one vendor who asks for a nonce keeps it in 32 bits.
        first = max(known if isinstance(known, int) else 0, self._next, now // 1000)
        polls.save(conn, PollCursor(self._name, {"reserved": first + _BLOCK}), now)
        return first, first + _BLOCK
