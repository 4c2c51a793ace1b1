"""Polls for tests of the poller alone: they ask one target, and read what the test says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from gateway.source import Answer, Ask, Cursor, Page, Reading


@dataclass
class Scripted:
    """A poll that keeps what it was given; ``reads`` makes a page of an answer."""

    endpoint: str
    name: str = "test.one"
    source: str = "test"
    period_s: float = 0.01
    key: str | None = None
    spacing_s: float = 0.0
    target: str = "/x?b=%2F+~&a=1"
    timeout_s: float = 5.0
    max_bytes: int = 4_000_000
    reads: Callable[[Answer, Cursor], Page] | None = None
    nonces: list[int] = field(default_factory=list, compare=False)
    moments: list[float] = field(default_factory=list, compare=False)
    answers: list[Answer] = field(default_factory=list, compare=False)

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:
        self.nonces.append(nonce)
        self.moments.append(now.timestamp())
        return Ask(
            target=self.target,
            headers={"x-sign": "s"},
            timeout_s=self.timeout_s,
            max_bytes=self.max_bytes,
        )

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        self.answers.append(answer)
        if self.reads is not None:
            return self.reads(answer, cursor)
        return Page(reading=Reading(()), cursor={"asked": len(self.answers)})
