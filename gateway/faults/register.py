"""What is wrong right now: the register of the faults that stand.

A fault is raised when it is noticed and cleared when it is gone; raising it again only counts.
"""

import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from gateway import clock
from gateway.faults.actions import ACTIONS


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    code: str
    subject: str  # which sink, device or address; "" for the gateway itself
    sentence: str
    action: str
    since: datetime
    count: int = 1
    last: datetime | None = None
    heard: float = 0.0  # steady seconds, at the last time

    def as_json(self) -> dict[str, object]:
        """Give the fault as JSON values."""
        return {
            "code": self.code,
            "subject": self.subject,
            "sentence": self.sentence,
            "action": self.action,
            "since": self.since.isoformat(timespec="seconds"),
            "count": self.count,
            "last": (self.last or self.since).isoformat(timespec="seconds"),
        }


class Faults:
    """The faults that stand. Bounded: hostile senders cannot fill it."""

    MAX_ALIKE = 50  # of one code
    MAX_MORE = 1_000  # subjects beyond that are only counted
    # What happened rather than what stands: forgotten when it has not happened again for so many seconds.
    PASSING: ClassVar[Mapping[str, float]] = {
        "callback_refused": 3600,
        "callback_unauthorised": 3600,
        "camlytics_rules": 86_400,
        "book_damaged": 86_400,
        "zone_damaged": 86_400,
        "camlytics_two_ways": 86_400,
        "camlytics_unknown": 86_400,
        "records_unreadable": 86_400,
        "date_impossible": 3600,
        "devices_refused": 3600,
        "identity_shared": 3600,
        "pinned_device_refused": 3600,
        "refused_request": 3600,
        "refused_sender": 3600,
        "task_restarted": 3600,
        "terminal_asks_to_open_door": 3600,
        "unreadable_pushes": 3600,
    }

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], Fault] = {}
        self._more: dict[str, set[str]] = {}  # by code: whose fault stands as well, and had no room
        self._lock = threading.RLock()  # the status is read in a thread

    def report(
        self, code: str, subject: str, sentence: str, action: str | None = None, *, again: bool = True
    ) -> bool:
        """Note that something is wrong; True when this is news. Not ``again``: it stands, it did not happen."""
        now, heard = clock.now(), clock.steady()
        with self._lock:
            known = self._standing.get((code, subject))
            if known is not None:
                count = known.count + again
                self._standing[code, subject] = replace(
                    known,
                    sentence=sentence,
                    action=action or ACTIONS.get(code, known.action),  # it may happen for another reason now
                    count=count,
                    last=now,
                    heard=heard,
                )
                return False
            if not self._make_room(code):
                return self._count_in(code, subject)
            told = self._is_counted(code, subject)
            self._forget_more(code, subject)
            advice = action or ACTIONS.get(code, ACTIONS["sink_unavailable"])
            self._standing[code, subject] = Fault(code, subject, sentence, advice, now, heard=heard)
            return not told

    def _make_room(self, code: str) -> bool:
        """Let the oldest of the same code go: a noisy sender never pushes out what somebody else reported.

        Of faults that stand, and are reported again and again, none goes: False says that there is no room.
        """
        alike = [key for key in self._standing if key[0] == code]
        if len(alike) < self.MAX_ALIKE:
            return True
        if code not in self.PASSING:
            return False
        del self._standing[alike[0]]
        return True

    def _count_in(self, code: str, subject: str) -> bool:
        """Count a fault that has no room; True when it is news."""
        more = self._more.setdefault(code, set())
        if subject in more or len(more) >= self.MAX_MORE:
            return False
        more.add(subject)
        return True

    def _is_counted(self, code: str, subject: str) -> bool:
        return subject in self._more.get(code, ())

    def _forget_more(self, code: str, subject: str) -> bool:
        counted = self._is_counted(code, subject)
        if counted:
            self._more[code].discard(subject)
            if not self._more[code]:
                del self._more[code]
        return counted

    def clear(self, code: str, subject: str = "") -> bool:
        """Note that it is gone; True when it stood."""
        with self._lock:
            counted = self._forget_more(code, subject)
            return self._standing.pop((code, subject), None) is not None or counted

    def clear_subject(self, subject: str, prefixes: tuple[str, ...], *, but: str | None = None) -> bool:
        """Clear every fault of a subject whose code begins with one of the prefixes, all or all ``but`` one."""
        with self._lock:
            gone = [
                key
                for key in self._standing
                if key[1] == subject and key[0].startswith(prefixes) and key[0] != but
            ]
            for key in gone:
                del self._standing[key]
            counted = [code for code in self._more if code.startswith(prefixes) and code != but]
            more = [self._forget_more(code, subject) for code in counted]
            return bool(gone) or any(more)

    def shift(self, jump: timedelta) -> None:
        """Follow a jump of the clock: what began two minutes before it began two minutes ago."""
        with self._lock:
            for key, fault in self._standing.items():
                last = None if fault.last is None else fault.last + jump
                self._standing[key] = replace(fault, since=fault.since + jump, last=last)

    def __iter__(self) -> Iterator[Fault]:
        now = clock.steady()
        with self._lock:
            for key, fault in list(self._standing.items()):
                age_s = now - fault.heard
                if age_s > self.PASSING.get(fault.code, math.inf):
                    del self._standing[key]
            last = {code: (code, subject) for code, subject in self._standing if code in self._more}
            return iter([self._with_more(fault, last) for fault in self._standing.values()])

    def _with_more(self, fault: Fault, last: Mapping[str, tuple[str, str]]) -> Fault:
        """Say beside the newest of a code how many more there are."""
        if last.get(fault.code) != (fault.code, fault.subject):
            return fault
        return replace(
            fault, sentence=f"{fault.sentence} (And {len(self._more[fault.code])} more like this.)"
        )

    def __len__(self) -> int:
        with self._lock:
            return len(self._standing)
