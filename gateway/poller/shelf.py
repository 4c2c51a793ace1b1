"""Puts unreadable answers on the shelf of letters: what is new about them, and not one per try."""

import hashlib
from collections.abc import Sequence

from anyio import to_thread

from gateway import clock
from gateway.outbox import Outbox
from gateway.redact import redact_body
from gateway.source import Answer, Aside

_LETTER_BYTES = 65_536
_AGAIN_S = 86_400.0  # the same trouble is worth a second letter after a day
_MOST_A_DAY = 5  # whole answers, whatever their reasons
_MOST_MARKS = 1_000


class Shelf:
    """The letters of one poll."""

    def __init__(self, outbox: Outbox, poll: str, source: str) -> None:
        self._outbox = outbox
        self._poll = poll
        self._source = source
        self._kept: dict[str, float] = {}  # reason: when, in seconds of `clock.steady`
        self._marks: dict[bytes, None] = {}  # of records that were kept: a poll may meet them again
        self.letters = 0

    async def whole(self, answer: Answer, reason: str) -> bool:
        """Keep an answer that could not be read at all; False when a letter tells the same already."""
        now = clock.steady()
        self._kept = {why: at for why, at in self._kept.items() if now - at < _AGAIN_S}
        if reason in self._kept or len(self._kept) >= _MOST_A_DAY:
            return False
        await self._keep(reason, answer, answer.body, whole=True)
        self._kept[reason] = now
        return True

    async def records(self, answer: Answer, asides: Sequence[Aside], left_out: int = 0) -> int:
        """Keep records that could not be read, each once; those of one answer share a letter while they fit.

        ``left_out`` more could not be read: the first letter says so. Gives how many there are that are news.
        """
        marks = {hashlib.blake2b(aside.body, digest_size=8).digest(): aside for aside in asides}
        asides = [aside for mark, aside in marks.items() if mark not in self._marks]
        if not asides:
            return 0
        for number, together in enumerate(_parcels(asides)):
            more = f" (and {len(together) - 1} more records)" if len(together) > 1 else ""
            if left_out and not number:
                more += f" (and {left_out} that are in no letter)"
            body = together[0].body
            if len(together) > 1:
                body = b"[" + b",\n".join(aside.body for aside in together) + b"]"
            await self._keep(f"{together[0].reason}{more}", answer, body, whole=False)
        # Made anew: taken out one by one at the front, each would be looked for behind all that are gone already.
        self._marks = dict.fromkeys([*self._marks, *marks][-_MOST_MARKS:])
        return len(asides) + left_out

    async def _keep(self, reason: str, answer: Answer, body: bytes, *, whole: bool) -> None:
        head = {
            "method": "GET",
            "path": answer.target.partition("?")[0],
            "query": "",  # it may hold a signature; what was asked is known from the configuration
            "content_type": answer.headers.get("content-type", ""),
            "status": answer.status,
            "source": self._source,
            "bytes": len(body),
            "cut": len(body) > _LETTER_BYTES,
            "whole": whole,
        }
        await self._outbox.keep_letter(
            stage="parse",
            sender=self._poll,
            reason=reason,
            received_at=answer.received_at,
            head=head,
            body=await to_thread.run_sync(redact_body, body[:_LETTER_BYTES]),
        )
        self.letters += 1


def _parcels(asides: Sequence[Aside]) -> list[list[Aside]]:
    """Put records together as they fit into one letter; those of one reason lie beside each other."""
    parcels: list[list[Aside]] = []
    room = 0
    for aside in sorted(asides, key=lambda aside: aside.reason):
        needed = len(aside.body) + 2
        if not parcels or needed > room:
            parcels.append([])
            room = _LETTER_BYTES - 2
        parcels[-1].append(aside)
        room -= needed
    return parcels
