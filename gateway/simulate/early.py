"""Devices that were running before anybody looked: they begin with what they kept of the last minutes.

A counter says nothing before its first full minute is over; nobody wants to wait that long to see something.
"""

from collections.abc import Iterator

from gateway.simulate.counter import Counter
from gateway.simulate.device import Device, Push
from gateway.simulate.terminal import Terminal

_EARLIER_S = 180.0  # two windows of a minute are over; and it is less than what makes a door event late


class _Early(Device):
    """Its script begins before its line does; its clock is right all the same."""

    def script(self, start: float) -> Iterator[Push]:
        yield from super().script(start - _EARLIER_S)


class EarlyCounter(_Early, Counter):
    """A counter that has counted for a while."""


class EarlyTerminal(_Early, Terminal):
    """A terminal that has recognised people for a while."""
