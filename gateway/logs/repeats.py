"""Thins out lines that repeat: a device that pushes nonsense ten times a second must not fill the journal.

The first few of a kind are written, the rest of the window is counted, and the next line that is written
says how many were left out. Errors are always written.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_SUBJECTS = ("device", "sender", "sink", "part")  # whose lines are counted apart
_KINDS_MAX = 2000


@dataclass(slots=True)
class _Window:
    began: float
    written: int = 0
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Let through so many lines per event and subject, and so many per event, in each window."""

    def __init__(
        self,
        *,
        per_subject: int = 5,
        per_event: int = 100,
        window_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._limits = (per_subject, per_event)
        self._window_s = window_s
        self._clock = clock
        self._windows: dict[tuple[object, ...], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is written; ``record.suppressed`` is the number left out before it."""
        if record.levelno >= logging.ERROR:
            return True
        now = self._clock()
        event, subject = _kind(record)
        windows = [self._window((record.name, event, *key), now) for key in ((subject,), ())]
        over = any(window.written >= limit for window, limit in zip(windows, self._limits, strict=True))
        if over:
            windows[0].left_out += 1
            return False
        if windows[0].left_out:
            record.suppressed = windows[0].left_out
            windows[0].left_out = 0
        for window in windows:
            window.written += 1
        return True

    def _window(self, key: tuple[object, ...], now: float) -> _Window:
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= _KINDS_MAX:
                del self._windows[next(iter(self._windows))]
            window = self._windows[key] = _Window(now)
        elif now - window.began >= self._window_s:
            window.began, window.written = now, 0
        return window


def _kind(record: logging.LogRecord) -> tuple[str, str]:
    """Name the event and its subject; of a foreign line, its text before the figures were put in."""
    fields = record.msg
    if not isinstance(fields, dict):
        return str(fields)[:200], ""
    subject = next((fields[name] for name in _SUBJECTS if fields.get(name) is not None), "")
    return str(fields.get("event"))[:200], str(subject)[:100]
