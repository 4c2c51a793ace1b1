"""What goes wrong on purpose in the demo, so that a person sees what waiting is: one act per far end."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.simulate.clock import pause
from gateway.simulate.demo.site import Site

_FULL_S = 80.0  # a demo of less gets shorter acts, so that there is time for everything to arrive
_ACTS: tuple[tuple[Literal["broker", "upstream"], float, float], ...] = (
    ("broker", 20.0, 15.0),
    ("upstream", 45.0, 15.0),
)
_SAYS = {
    "broker": "The broker was stopped on purpose",
    "upstream": "The upstream answers 503 on purpose",
}
_SAYS_AFTER = {"broker": "The broker runs again", "upstream": "The upstream takes events again"}


@dataclass(frozen=True, slots=True)
class Act:
    """One outage, in seconds from the start."""

    who: Literal["broker", "upstream"]
    start_s: float
    length_s: float


def acts(length_s: float | None) -> Iterator[Act]:
    """Plan the outages for a demo of this length; None is one that lasts until a person ends it."""
    scale = 1.0 if length_s is None else min(length_s / _FULL_S, 1.0)
    for who, start_s, lasts_s in _ACTS:
        yield Act(who, start_s * scale, lasts_s * scale)


class Trouble:
    """Makes it and takes it back. ``note`` is what a person should know right now."""

    def __init__(self, site: Site, announce: Callable[[str], None]) -> None:
        self._site, self._announce = site, announce
        self._saying = ""
        self._until = 0.0  # monotonic; 0 when no end was named
        self._broken: set[str] = set()

    @property
    def note(self) -> str:
        left_s = self._until - time.monotonic()
        return f"{self._saying}, for {left_s:.0f} s more." if self._broken and left_s > 0 else self._saying

    async def play(self, length_s: float | None, stop: asyncio.Event) -> None:
        """Play every act at its time, until it is to stop."""
        begun = time.monotonic()
        for act in acts(length_s):
            await pause(max(begun + act.start_s - time.monotonic(), 0.0), stop)
            if stop.is_set():
                return
            await self._break(act)
            await pause(act.length_s, stop)
            await self.mend()

    async def mend(self) -> None:
        """Take back whatever is broken; it may be called at any time."""
        for who in tuple(self._broken):
            self._until = 0.0
            if who == "broker":
                await self._site.start_broker()
            else:
                self._site.mend_upstream()
            self._broken.discard(who)
            self._say(f"{_SAYS_AFTER[who]}: what waited is on its way.")

    async def _break(self, act: Act) -> None:
        self._broken.add(act.who)
        self._until = time.monotonic() + act.length_s
        self._say(_SAYS[act.who])
        if act.who == "broker":
            await self._site.stop_broker()
        else:
            self._site.spoil_upstream()

    def _say(self, sentence: str) -> None:
        self._saying = sentence
        self._announce(sentence)
