"""Where a person looks while the demo runs: a screen that is redrawn, or lines for a pipe or a log."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, TextIO

from gateway.simulate.demo.live_view import frame, one_line
from gateway.simulate.demo.screen import Screen
from gateway.simulate.demo.snapshot import Snapshot


class View(Protocol):
    """Shows what it is given; raises OSError when nobody can see it any more."""

    every_s: float

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def begin(self, url: str, hints: Sequence[str]) -> None: ...
    def announce(self, sentence: str) -> None: ...
    def show(self, now: Snapshot) -> None: ...


class LiveView:
    """Redraws the whole terminal."""

    every_s = 1.0

    def __init__(self, stream: TextIO) -> None:
        self._screen = Screen(stream)

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the terminal may be gone, and the demo ends all the same
            self._screen.__exit__(kind, error, trace)

    def begin(self, url: str, hints: Sequence[str]) -> None:
        """Do nothing: every frame has it."""

    def announce(self, sentence: str) -> None:
        """Do nothing: every frame has it."""

    def show(self, now: Snapshot) -> None:
        """Draw a frame."""
        size = shutil.get_terminal_size()
        self._screen.show(frame(now, size.columns, size.lines))


class PlainView:
    """Says a line now and then."""

    every_s = 5.0

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: lines need no end."""

    def begin(self, url: str, hints: Sequence[str]) -> None:
        """Say once what does not change."""
        self._tell(f"The gateway takes pushes at {url}. Try in a second terminal:")
        for hint in hints:
            self._tell(f"  {hint}")

    def announce(self, sentence: str) -> None:
        """Say at once what happens on purpose."""
        self._tell(f"> {sentence}")

    def show(self, now: Snapshot) -> None:
        """Say how far it is."""
        self._tell(one_line(now))
        for fault in now.faults:
            self._tell(f"  ! {fault}")
