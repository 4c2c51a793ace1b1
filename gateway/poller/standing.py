"""Whether a polled system answers: what liveness and the status say about it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one poll stands. ``answers`` is None before the first answer or failure."""

    name: str  # of the poll
    source: str
    answers: bool | None = None
    since: datetime | None = None  # since when that is so
    heard: datetime | None = None  # the last answer that could be read
    heard_steady: float | None = None  # the same, in seconds of `clock.steady`
    trouble: str = ""  # why it does not answer, for people
    asks: int = 0
    events: int = 0

    def as_json(self) -> dict[str, object]:
        """Give the standing as JSON values."""
        return {
            "name": self.name,
            "source": self.source,
            "answers": self.answers,
            "since": _text(self.since),
            "heard": _text(self.heard),
            "trouble": self.trouble,
            "asks": self.asks,
            "events": self.events,
        }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds")
