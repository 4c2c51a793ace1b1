"""A later event that is sent ahead, to tell a far end that refuses some events from one that refuses everything.

What a whole batch was refused for may be a mistake of ours or the far end's own trouble: a wrong path, a changed
schema, a wrong clock. When something else is taken right after it, it was about these events. The witness is sent
again in its place: it is never noted as delivered here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import structlog

from gateway.errors import SinkUnavailable
from gateway.outbox import Entry, LogReader

log = structlog.get_logger()

_KINDS = 3  # so many other kinds are tried


class Witness:
    """Asks a far end about other events than those that it has just refused."""

    def __init__(
        self,
        sink: str,
        reader: LogReader,
        send: Callable[[Entry], Awaitable[Mapping[int, str]]],
        note: Callable[[Entry], Awaitable[None]],
    ) -> None:
        """Have ``note`` put it on disk that the far end may have had an event, before ``send`` sends it ahead."""
        self._sink = sink
        self._reader = reader
        self._send = send
        self._note = note

    async def is_taken(self, refused: Sequence[Entry], last: int) -> bool:
        """Say whether the far end takes something behind these events, up to ``last``, and refuses these for good.

        One that was repaired in between would take them, too: one of them is asked about once more.
        """
        witness = await self._ask(refused, last, lambda reasons: not reasons)
        if witness is None:
            return False
        alike = [entry for entry in refused if entry.kind == witness.kind]
        try:
            again = await self._send((alike or refused)[-1])
        except SinkUnavailable as error:
            again = error.refused
        if again:
            log.info("refusals_believed", sink=self._sink, events=len(refused), taken=witness.id)
        return bool(again)

    async def gets_through(self, failed: Entry, last: int) -> bool:
        """Say whether the sink gets a verdict on something behind this event, and fails on it again by a bug of ours."""
        if await self._ask([failed], last, lambda _reasons: True) is None:
            return False
        try:
            await self._send(failed)
        except SinkUnavailable:
            return False
        except Exception:  # the bug again, on this event and not on the other
            log.exception("sink_failed", sink=self._sink, events=1)
            return True
        return False  # what failed on everything has gone by itself: the event is sent again in its place

    async def _ask(self, about: Sequence[Entry], last: int, proves: Callable[[object], bool]) -> Entry | None:
        """Give the first later event whose verdict proves something."""
        async for entry in self._candidates(about, last):
            await self._note(entry)
            try:
                proven = proves(await self._send(entry))
            except SinkUnavailable as error:
                if not error.refused:
                    return None  # it is away by now
            except Exception:  # a bug of ours on this event says nothing about the others
                log.exception("sink_failed", sink=self._sink, events=1)
            else:
                if proven:
                    return entry
        return None

    async def _candidates(self, about: Sequence[Entry], last: int) -> AsyncIterator[Entry]:
        """Give a few later events, the likeliest first: of other kinds, of another device, the next, the newest."""
        after = about[-1].seq
        kinds, asked = {entry.kind for entry in about}, set[int]()
        for _ in range(_KINDS):
            found = await self._reader.unlike(after, last, kinds=kinds)
            if found is None:
                break
            kinds.add(found.kind)
            asked.add(found.seq)
            yield found
        for found in (
            await self._reader.unlike(after, last, devices={entry.device for entry in about}),
            await self._reader.unlike(after, last),
            await self._reader.newest(after, last),
        ):
            if found is not None and found.seq not in asked:
                asked.add(found.seq)
                yield found
