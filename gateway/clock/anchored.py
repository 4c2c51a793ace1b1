"""A clock that does not fall back behind what is known.

A box without a battery starts in 1970, or where it was last month, and learns the time later. Until then its
instants go on from the newest one that the store knows: that is behind the truth too, but nothing that comes is
older than what came before. A step of the clock while this runs is somebody's correction and is followed, in
either direction, unless it leads to where no clock can be right.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.clock.box import RELEASED, Clock, is_step

_AHEAD = timedelta(seconds=1)


class Standing(StrEnum):
    """How far an instant can be believed."""

    SYNCED = "synced"  # somebody who knows the time keeps the clock right
    BELIEVED = "believed"  # nobody does, and the owner says that it is right all the same
    UNSYNCED = "unsynced"  # nobody does; it may be right
    UNSET = "unset"  # it cannot be right; the instants are a guess


@dataclass(frozen=True, slots=True)
class _Guess:
    """Where the instants go on from while the box does not know the time."""

    known: datetime
    shown: datetime  # what the box showed then
    steady: float


class Anchored:
    """The clock of the box, as far as it can be right; else a guess."""

    def __init__(self, box: Clock, newest: datetime | None, *, believe: bool) -> None:
        self.believe = believe
        self.tick_s = box.tick_s
        self._box = box
        self._guess: _Guess | None = None
        self._trusted_from: datetime | None = None  # None: from the start
        now = box.now()
        if newest is not None and now < newest and not box.trusted():
            self._guess = _Guess(newest, now, box.steady())
        self._was_trusted = True
        self._was_trusted = self.trusted()

    def now(self) -> datetime:
        guess = self._guess
        if guess is None:
            return self._box.now()
        now, gone_s = self._box.now(), self._box.steady() - guess.steady
        instant = guess.known + timedelta(seconds=gone_s)
        stepped = is_step((now - guess.shown).total_seconds() - gone_s, gone_s)
        if not (stepped or self._box.trusted()):
            return instant
        if now < RELEASED and not self._box.trusted():
            self._guess = _Guess(instant, now, self._box.steady())
            return instant
        self._guess = None
        return now

    def steady(self) -> float:
        return self._box.steady()

    def trusted(self) -> bool:
        sure = self._box.trusted() or (self.believe and self.plausible())
        if sure and not self._was_trusted:
            self._trusted_from = self.now()
        self._was_trusted = sure
        return sure

    def plausible(self) -> bool:
        """Say whether the instant can be true."""
        now = self.now()  # which ends a guess when that is due
        return self._guess is None and (now >= RELEASED or self._box.trusted())

    def vouches(self, instant: datetime) -> bool:
        """Say whether an instant that was read from this clock was right."""
        if not self.trusted():
            return False
        since = self._trusted_from
        return since is None or since <= instant <= self.now() + _AHEAD

    def standing(self) -> Standing:
        """Say how far the instant can be believed, in a word."""
        if self._box.trusted():
            return Standing.SYNCED
        if not self.plausible():
            return Standing.UNSET
        return Standing.BELIEVED if self.believe else Standing.UNSYNCED
