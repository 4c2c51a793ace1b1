"""Run the checks side by side: each in its own thread, so that one that hangs holds up nobody."""

import threading
from collections.abc import Iterator, Sequence

from gateway import clock
from gateway.doctor.box import Box, Check, hindered
from gateway.doctor.finding import Finding


class Look:
    """One check on its way; what it found so far can be read at any time."""

    def __init__(self, check: Check, box: Box) -> None:
        self.check = check
        self._box = box
        self._found: list[Finding] = []
        self._ended = threading.Event()
        # A daemon thread: one that hangs for ever does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"doctor {check.name}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """It came back."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> None:
        """Wait until it comes back, for so long at most."""
        self._ended.wait(max(seconds, 0.0))

    def found(self) -> list[Finding]:
        """Give what it found, and that it hangs when it does."""
        ended, found = self.ended, list(self._found)
        if not ended:
            found.append(
                hindered(
                    self.check.name, "This check did not come back in time; something that it asks hangs."
                )
            )
        return found

    def _run(self) -> None:
        try:
            for finding in self.check.look(self._box):
                self._found.append(finding)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in one check, the others are told
            self._found.append(
                hindered(self.check.name, f"This check failed ({type(error).__name__}: {error}).")
            )
        finally:
            self._ended.set()


def examine(checks: Sequence[Check], box: Box, limit_s: float) -> Iterator[Finding]:
    """Yield what all the checks find, in their order, within the limit for all together."""
    end = clock.steady() + limit_s
    for look in [Look(check, box) for check in checks]:
        look.wait(end - clock.steady())
        yield from look.found()
