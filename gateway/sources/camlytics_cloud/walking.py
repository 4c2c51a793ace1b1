"""How far a paged reading by time has got, and what to read next; a value that goes to disk as JSON.

The cloud has no page numbers and documents no limit, so a page that may have been cut is read again in halves.
The place never passes what the cloud has shown: the newest record that was seen, or the cloud's own clock where
that is earlier, less the overlap. So a camera PC whose clock is behind, and one that was offline, lose nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from gateway.event import Json

_SHORTEST_MS = 2_000
_SEAM_MS = 1_000  # nobody says whether `since` and `until` include their own instant
_FIRST_SPAN_MS = 6 * 3_600_000
_LONGEST_MS = 400 * 86_400_000
_SMALLEST_LIMIT = 50
_AHEAD_MS = 3_600_000
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The next window, in ms since 1970. Without ``until`` it reaches to the cloud's now."""

    since: int
    until: int | None
    span: int  # what last fitted into one page, with some courage added
    newest: int | None = None  # the newest record ever seen, by the camera's clock

    @classmethod
    def starting(cls, since: int, now: int) -> "Walk":
        """Begin at an instant; ``now`` is the cloud's."""
        return _opened(cls(since=since, until=None, span=_FIRST_SPAN_MS), since, now)

    @classmethod
    def read(cls, stored: Json) -> "Walk | None":
        """Read what `asdict` made; None for anything else."""
        if not isinstance(stored, Mapping):
            return None
        since, until, span, newest = (
            _whole(stored.get(name)) for name in ("since", "until", "span", "newest")
        )
        if since is None or span is None:
            return None
        return cls(since=since, until=until, span=span, newest=newest)

    def as_json(self) -> dict[str, Json]:
        """Give the walk as JSON values."""
        return asdict(self)

    def is_ahead(self, now: int, overlap: int) -> bool:
        """Say whether it begins where the cloud's clock has not come yet: it was begun by a wrong one."""
        return self.since > now + overlap

    def halved(self, now: int, shortest: int = _SHORTEST_MS) -> "Walk | None":
        """Give the first half of its window; None when that is as short as can be."""
        extent = max((now if self.until is None else self.until) - self.since, 0)
        if extent <= shortest:
            return None
        half = max(extent // 2, shortest)
        return replace(self, until=self.since + half, span=half)

    def reached(self, *, records: int, newest: int | None, now: int, overlap: int) -> tuple["Walk", bool]:
        """Say what follows a window that was read, and whether it follows at once."""
        if may_be_cut(records) and (half := self.halved(now)) is not None:
            return half, True
        seen = max((one for one in (self.newest, newest) if one is not None), default=None)
        grown = replace(
            self,
            newest=None if seen is None else min(seen, now),
            span=min(self.span * 3 // 2, _LONGEST_MS),
        )
        if self.until is not None:
            return _opened(grown, max(self.until - _SEAM_MS, self.since + _SEAM_MS), now), True
        if grown.newest is None:  # an empty account: nobody knows yet how far behind its clock is
            return _opened(grown, self.since, now), False
        return _opened(grown, grown.newest - overlap, now), False


def may_be_cut(records: int) -> bool:
    """Say whether a page has a size that a limit would have: round to a person, or round to a machine."""
    return records >= _SMALLEST_LIMIT and (records % 50 == 0 or records & (records - 1) == 0)


def shown_by(when: int, now: int) -> int:
    """Say how far a record shows that the cloud has got; ``when`` it happened, by the camera's clock.

    One that is ahead by minutes is from now. Of one that is further ahead nobody knows when it was, so it leads no
    nearer than a day: what other cameras bring late is still found.
    """
    return min(when, now) if when <= now + _AHEAD_MS else now - _DAY_MS


def _opened(walk: Walk, since: int, now: int) -> Walk:
    """Begin the next window at an instant: as long as what last fitted, or open where that reaches the end."""
    return replace(walk, since=since, until=since + walk.span if now - since > walk.span else None)


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
